package dispatch

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/slo"
)

// failure is an attempt that was not accepted. After says how long the receiver wants to be left alone; Refused that trying the same
// again will not help.
type failure struct {
	err     error
	after   time.Duration
	refused bool
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// errNoEntry says that the contract does not lead from an owner to a place.
var errNoEntry = errors.New("has in the contract no")

// sender delivers to one place.
type sender interface {
	// most is how many notifications go into one request.
	most() int
	send(ctx context.Context, batch []alerts.Notification) error
}

// poster posts JSON. It follows no redirects: an address is where the operator said, and nowhere else.
type poster struct {
	client *http.Client
	now    func() time.Time
}

func newPoster(now func() time.Time) *poster {
	return &poster{now: now, client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (p *poster) post(ctx context.Context, to string, body []byte, header http.Header) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return &failure{err: errors.New("the address is no URL"), refused: true}
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "freshet")
	resp, err := p.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address, which may be a secret
		}
		return &failure{err: err}
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		return nil
	}
	f := &failure{err: fmt.Errorf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)), after: p.retryAfter(resp.Header.Get("Retry-After"))}
	f.refused = resp.StatusCode/100 != 5 && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusRequestTimeout
	return f
}

// longestWait bounds what a receiver can ask for.
const longestWait = 15 * time.Minute

func (p *poster) retryAfter(s string) time.Duration {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return min(time.Duration(n)*time.Second, longestWait)
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(t.Sub(p.now()), 0), longestWait)
	}
	return 0
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("a notification is not JSON: %v", err)) // it consists of strings and instants
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// ---- Alertmanager, API v2

type alertmanager struct {
	*poster
	url    string
	owners func() map[string]*slo.Owner
}

type amAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
	Generator   string            `json:"generatorURL,omitempty"`
}

// endAhead is how far the end of a firing alert lies ahead: an engine that stops resolves nothing.
const endAhead = 24 * time.Hour

// tryFor is how long a test is shown, of which nobody will say that it is over.
const tryFor = 5 * time.Minute

func (a *alertmanager) most() int { return 64 }

func (a *alertmanager) send(ctx context.Context, batch []alerts.Notification) error {
	var all []amAlert
	for i := range batch {
		n := &batch[i]
		all = append(all, a.alert(n, n.Row.Severity.String(), n.Purpose == alerts.Resolve))
		// An Alertmanager knows an alert by its labels: what has become a page is no longer a ticket.
		if n.Raised() {
			all = append(all, a.alert(n, slo.Ticket.String(), true))
		}
	}
	return a.post(ctx, strings.TrimSuffix(a.url, "/")+"/api/v2/alerts", encode(all), nil)
}

func (a *alertmanager) alert(n *alerts.Notification, severity string, over bool) amAlert {
	r := n.Row
	now := a.now().UTC()
	out := amAlert{Labels: map[string]string{}, Annotations: map[string]string{"alert_id": r.ID}, StartsAt: r.Starts.Go(), EndsAt: now.Add(endAhead), Generator: r.Annotations["explain_url"]}
	if n.Purpose == alerts.Try {
		out.EndsAt = now.Add(tryFor)
	}
	if over {
		out.EndsAt = now
		if r.Status == alerts.Resolved {
			out.EndsAt = r.Ends.Go()
		}
		if !out.EndsAt.After(out.StartsAt) { // it refuses what ends before it begins
			out.StartsAt = out.EndsAt.Add(-time.Millisecond)
		}
	}
	maps.Copy(out.Labels, r.Labels)
	if o := a.owners()[n.Owner]; o != nil {
		maps.Copy(out.Labels, o.Alertmanager)
	}
	out.Labels["alertname"], out.Labels["severity"] = r.Name, severity
	if n.Owner != "" {
		out.Labels["owner"] = n.Owner
	}
	maps.DeleteFunc(out.Labels, func(_, v string) bool { return v == "" })
	maps.Copy(out.Annotations, r.Annotations)
	for key, v := range map[string]string{"runbook_url": r.Runbook, "dashboard_url": r.Dashboard} {
		if v != "" {
			out.Annotations[key] = v
		}
	}
	return out
}

// ---- webhook, signed by Standard Webhooks

type webhook struct {
	*poster
	url    string
	secret []byte
}

func (w *webhook) most() int { return 1 }

// send posts the data of the alert's record. The id of the message is the record's: a repetition has the id of what it repeats.
func (w *webhook) send(ctx context.Context, batch []alerts.Notification) error {
	r := batch[0].Row
	body := r.JSON()
	msg := r.ID + "/" + strconv.FormatInt(r.Sequence, 10)
	h := http.Header{}
	h.Set("Webhook-Id", msg)
	stamp := strconv.FormatInt(w.now().Unix(), 10)
	h.Set("Webhook-Timestamp", stamp)
	if w.secret != nil {
		mac := hmac.New(sha256.New, w.secret)
		fmt.Fprintf(mac, "%s.%s.%s", msg, stamp, body)
		h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return w.post(ctx, w.url, body, h)
}

// ---- PagerDuty, Events API v2

type pagerduty struct {
	*poster
	url    string
	owners func() map[string]*slo.Owner
}

type pdEvent struct {
	RoutingKey string     `json:"routing_key"`
	Action     string     `json:"event_action"`
	DedupKey   string     `json:"dedup_key"`
	Client     string     `json:"client,omitempty"`
	Payload    *pdPayload `json:"payload,omitempty"`
	Links      []pdLink   `json:"links,omitempty"`
}

type pdPayload struct {
	Summary   string          `json:"summary"`
	Source    string          `json:"source"`
	Severity  string          `json:"severity"`
	Timestamp time.Time       `json:"timestamp"`
	Class     string          `json:"class"`
	Details   json.RawMessage `json:"custom_details"`
}

type pdLink struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

func (p *pagerduty) most() int { return 1 }

func (p *pagerduty) send(ctx context.Context, batch []alerts.Notification) error {
	n := &batch[0]
	r := n.Row
	o := p.owners()[n.Owner]
	if o == nil || !o.PagerDutyKey.Set() {
		return &failure{err: fmt.Errorf("owner %s %w pagerduty_key", n.Owner, errNoEntry), refused: true}
	}
	e := pdEvent{RoutingKey: o.PagerDutyKey.Reveal(), Action: "trigger", DedupKey: dedupKey(r.ID)}
	if n.Purpose == alerts.Resolve {
		e.Action = "resolve"
		return p.post(ctx, p.url, encode(e), nil)
	}
	severity := "warning"
	if r.Severity == slo.Page {
		severity = "critical"
	}
	e.Client = "Freshet"
	e.Payload = &pdPayload{Summary: cut(marked(n)+r.Annotations["summary"], 1024), Source: "freshet", Severity: severity, Timestamp: r.Starts.Go(), Class: r.Name, Details: r.JSON()}
	for _, l := range []pdLink{{r.Runbook, "Runbook"}, {r.Dashboard, "Dashboard"}, {r.Annotations["explain_url"], "Explain"}} {
		if l.Href != "" {
			e.Links = append(e.Links, l)
		}
	}
	return p.post(ctx, p.url, encode(e), nil)
}

// dedupKey is the alert's id, or a hash of it where it is longer than PagerDuty takes.
func dedupKey(id string) string {
	if len(id) <= 255 {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ---- Slack, incoming webhook

type slack struct {
	*poster
	url    string
	owners func() map[string]*slo.Owner
}

func (s *slack) most() int { return 1 }

func (s *slack) send(ctx context.Context, batch []alerts.Notification) error {
	n := &batch[0]
	o := s.owners()[n.Owner]
	if o == nil || o.Slack == "" {
		return &failure{err: fmt.Errorf("owner %s %w Slack channel", n.Owner, errNoEntry), refused: true}
	}
	r := n.Row
	head := "*Firing, " + r.Severity.String() + "*"
	body := r.Annotations["description"]
	if n.Purpose == alerts.Resolve {
		head, body = "*Resolved*", r.Annotations["summary"]
	}
	text := head + " " + r.Name + " (" + r.ID + ")\n" + marked(n) + body
	return s.post(ctx, s.url, encode(map[string]string{"channel": o.Slack, "text": slackText(cut(text, 4000))}), nil)
}

// slackText escapes what Slack takes for markup of its own: nobody is to be mentioned by a context key.
func slackText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// marked says of a test that it is one.
func marked(n *alerts.Notification) string {
	if n.Purpose == alerts.Try {
		return "[TEST] "
	}
	return ""
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len("…")], "") + "…"
}
