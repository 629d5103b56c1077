package dispatch

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus/testutil"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/slo"
)

// got is a request that a receiver has accepted or not.
type got struct {
	path   string
	header http.Header
	body   string
}

// receiver is a destination under test: it answers what it is told to, and keeps what it was sent.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	all    []got
	answer func(n int, w http.ResponseWriter) // of the n-th request; nil: 202
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.all = append(r.all, got{req.URL.Path, req.Header, string(body)})
		n, answer := len(r.all), r.answer
		r.mu.Unlock()
		if answer != nil {
			answer(n, w)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) got() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]got(nil), r.all...)
}

// kit is a dispatcher under test.
type kit struct {
	*Dispatcher
	t    *testing.T
	m    *metrics.Metrics
	acks []alerts.Ack
}

const secretText = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func start(t *testing.T, set func(c *Config)) *kit {
	var cfg Config
	cfg.RegisterFlags(flag.NewFlagSet("test", flag.PanicOnError))
	cfg.PagerDuty = ""
	cfg.MinBackoff, cfg.MaxBackoff = time.Millisecond, 20*time.Millisecond
	set(&cfg)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	owners := map[string]*slo.Owner{
		"payments": {Name: "payments", Alertmanager: map[string]string{"team": "pay"}, Slack: "#payments", PagerDutyKey: slo.NewSecret("key-of-payments")},
		"risk":     {Name: "risk"},
	}
	k := &kit{t: t, m: metrics.New(nil)}
	d, err := New(cfg, func() map[string]*slo.Owner { return owners }, k.m, time.Now, log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	k.Dispatcher = d
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = d.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return k
}

// until waits for a condition; what it said last is what the test fails with.
func (k *kit) until(condition func() string) {
	k.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		k.acks = append(k.acks, k.Acks()...)
		missing := condition()
		if missing == "" {
			return
		}
		select {
		case <-deadline:
			k.t.Fatal(missing)
		case <-tick.C:
		}
	}
}

func (k *kit) awaitAcks(n int) {
	k.t.Helper()
	k.until(func() string {
		if len(k.acks) >= n {
			return ""
		}
		return fmt.Sprintf("%d of %d deliveries are acknowledged", len(k.acks), n)
	})
}

func row(id string) *alerts.Row {
	return &alerts.Row{ID: id, Name: alerts.SourceSilent, Status: alerts.Firing, Severity: slo.Page, Owner: "payments", Owners: []string{"payments"}, Sequence: 3,
		Labels: map[string]string{"kind": "policy", "key": "refund<1>"}, Annotations: map[string]string{"summary": "Nothing is heard of <policy>.", "description": "Nothing is heard of <policy>.\n\nUsers: …"},
		Starts: event.Of(time.Now()) - 1000, Runbook: "https://runbooks.example.com/SourceSilent.md"}
}

func (k *kit) notifications(r *alerts.Row, p alerts.Purpose, owner string) []alerts.Notification {
	var all []alerts.Notification
	for _, to := range k.Targets() {
		all = append(all, alerts.Notification{To: to, Owner: owner, Purpose: p, Row: r, Since: event.Of(time.Now())})
	}
	return all
}

func decode[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return v
}

func TestAlertmanager(t *testing.T) {
	a, b := newReceiver(t), newReceiver(t)
	k := start(t, func(c *Config) { c.Alertmanagers = a.URL + "/, " + b.URL })
	r := row("SourceSilent/policy/refund")
	k.Offer(k.notifications(r, alerts.Tell, "payments"), true)
	k.awaitAcks(2)
	for _, rec := range []*receiver{a, b} { // every replica
		g := rec.got()
		if len(g) != 1 || g[0].path != "/api/v2/alerts" {
			t.Fatalf("requests: %v", g)
		}
		list := decode[[]amAlert](t, g[0].body)
		if len(list) != 1 {
			t.Fatalf("alerts: %s", g[0].body)
		}
		want := map[string]string{"alertname": "SourceSilent", "severity": "page", "owner": "payments", "team": "pay", "kind": "policy", "key": "refund<1>"}
		if fmt.Sprint(list[0].Labels) != fmt.Sprint(want) {
			t.Errorf("labels %v, want %v", list[0].Labels, want)
		}
		if ahead := time.Until(list[0].EndsAt); ahead < 23*time.Hour || ahead > 24*time.Hour {
			t.Errorf("the end lies %v ahead", ahead)
		}
		if list[0].Annotations["alert_id"] != r.ID || list[0].Annotations["runbook_url"] != r.Runbook {
			t.Errorf("annotations %v", list[0].Annotations)
		}
	}
	over := *r
	over.Status, over.Ends = alerts.Resolved, r.Starts+500
	k.Offer(k.notifications(&over, alerts.Resolve, "payments"), true)
	k.awaitAcks(4)
	list := decode[[]amAlert](t, a.got()[1].body)
	if !list[0].EndsAt.Equal(over.Ends.Go()) || list[0].Labels["severity"] != "page" {
		t.Errorf("resolved: %s", a.got()[1].body)
	}
}

// What was a ticket and is a page now is two alerts to an Alertmanager: the ticket ends.
func TestAlertmanagerOfARaisedAlert(t *testing.T) {
	a := newReceiver(t)
	k := start(t, func(c *Config) { c.Alertmanagers = a.URL })
	r := row("SourceSilent/x")
	r.Told = map[string]alerts.Told{k.Targets()[0].ID + " payments": {Episode: r.Starts, Severity: slo.Ticket, At: 1}}
	k.Offer(k.notifications(r, alerts.Tell, "payments"), true)
	k.awaitAcks(1)
	list := decode[[]amAlert](t, a.got()[0].body)
	if len(list) != 2 || list[0].Labels["severity"] != "page" || list[1].Labels["severity"] != "ticket" || list[1].EndsAt.After(time.Now()) {
		t.Errorf("sent %s", a.got()[0].body)
	}
}

func TestWebhookIsSigned(t *testing.T) {
	rec := newReceiver(t)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secretText+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := start(t, func(c *Config) { c.Webhooks, c.SecretFile = rec.URL+"/hook", file })
	r := row("SourceSilent/policy/refund")
	k.Offer(k.notifications(r, alerts.Tell, ""), true)
	k.awaitAcks(1)
	g := rec.got()[0]
	if g.body != string(r.JSON()) || g.path != "/hook" {
		t.Errorf("posted %s", g.body)
	}
	oracle, err := standardwebhooks.NewWebhook(secretText)
	if err != nil {
		t.Fatal(err)
	}
	if err := oracle.Verify([]byte(g.body), g.header); err != nil {
		t.Errorf("the signature: %v", err)
	}
	if err := oracle.Verify([]byte(g.body+" "), g.header); err == nil {
		t.Error("another body has the same signature")
	}
	if id := g.header.Get("Webhook-Id"); id != "SourceSilent/policy/refund/3" {
		t.Errorf("id %q", id)
	}
}

func TestPagerDuty(t *testing.T) {
	rec := newReceiver(t)
	k := start(t, func(c *Config) { c.PagerDuty = rec.URL })
	r := row("SourceSilent/" + strings.Repeat("x", 300))
	k.Offer(k.notifications(r, alerts.Tell, "payments"), true)
	k.awaitAcks(1)
	over := *r
	over.Status = alerts.Resolved
	k.Offer(k.notifications(&over, alerts.Resolve, "payments"), true)
	k.awaitAcks(2)
	fired, ended := decode[pdEvent](t, rec.got()[0].body), decode[pdEvent](t, rec.got()[1].body)
	if fired.RoutingKey != "key-of-payments" || fired.Action != "trigger" || fired.Payload.Severity != "critical" || fired.Payload.Summary != r.Annotations["summary"] || len(fired.Links) != 1 {
		t.Errorf("fired: %s", rec.got()[0].body)
	}
	if ended.Action != "resolve" || ended.DedupKey != fired.DedupKey || len(fired.DedupKey) > 255 || ended.Payload != nil {
		t.Errorf("ended: %s", rec.got()[1].body)
	}
	if dedupKey("SourceSilent/x") != "SourceSilent/x" {
		t.Error("the dedup key is not the alert's id")
	}
}

func TestSlack(t *testing.T) {
	rec := newReceiver(t)
	k := start(t, func(c *Config) { c.Slack = rec.URL })
	k.Offer(k.notifications(row("SourceSilent/policy"), alerts.Tell, "payments"), true)
	k.awaitAcks(1)
	m := decode[map[string]string](t, rec.got()[0].body)
	if m["channel"] != "#payments" || !strings.Contains(m["text"], "Firing, page") || !strings.Contains(m["text"], "&lt;policy&gt;") || strings.Contains(m["text"], "<policy>") {
		t.Errorf("sent %v", m)
	}
}

// A process is frozen while something waits to be sent, and something else is being sent. When it goes on, nothing of it is sent before
// somebody has said that the process runs; who says so gives up what waited first.
func TestWhatWaitedInAFrozenProcessIsNotSent(t *testing.T) {
	rec := newReceiver(t)
	var mu sync.Mutex
	var ahead time.Duration
	thaw := make(chan struct{})
	rec.answer = func(n int, w http.ResponseWriter) {
		if n == 1 {
			<-thaw
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	k := start(t, func(c *Config) { c.Webhooks, c.Timeout = rec.URL, time.Minute })
	k.now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Add(ahead)
	}
	k.Alive()
	sending, waiting := row("SourceSilent/sending"), row("SourceSilent/waiting")
	k.Offer(k.notifications(sending, alerts.Tell, ""), true)
	k.until(func() string {
		if len(rec.got()) == 0 {
			return "nothing is being sent"
		}
		return ""
	})
	k.Offer(append(k.notifications(sending, alerts.Tell, ""), k.notifications(waiting, alerts.Tell, "")...), true)
	mu.Lock()
	ahead = time.Minute
	mu.Unlock()
	close(thaw)
	k.until(func() string { // the attempt has failed, and the queue has looked for what is next
		if testutil.ToFloat64(k.m.Notifications.WithLabelValues("webhook", metrics.FailedAttempt)) == 0 {
			return "the attempt goes on"
		}
		return ""
	})
	k.Offer(nil, true)
	k.Alive()
	fresh := row("SourceSilent/fresh")
	k.Offer(k.notifications(fresh, alerts.Tell, ""), true)
	k.awaitAcks(1)
	for _, g := range rec.got()[1:] {
		if !strings.HasPrefix(g.header.Get("Webhook-Id"), fresh.ID+"/") {
			t.Errorf("%s was sent", g.header.Get("Webhook-Id"))
		}
	}
}

// A place that is dead, and one that hangs, delay no other; what they were to be told is delivered when they are back.
func TestADeadPlaceDelaysNoOther(t *testing.T) {
	dead, hanging, well := newReceiver(t), newReceiver(t), newReceiver(t)
	back := make(chan struct{})
	dead.answer = func(_ int, w http.ResponseWriter) {
		select {
		case <-back:
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	hanging.answer = func(int, http.ResponseWriter) { <-back }
	k := start(t, func(c *Config) {
		c.Webhooks = strings.Join([]string{dead.URL, hanging.URL, well.URL}, ",")
		c.Timeout = time.Minute
	})
	t.Cleanup(func() {
		select {
		case <-back:
		default:
			close(back)
		}
	})
	var rows []*alerts.Row // of one episode each: another start would be something else to tell
	for i := range 20 {
		rows = append(rows, row(fmt.Sprintf("SourceSilent/%d", i)))
		var due []alerts.Notification
		for _, r := range rows {
			due = append(due, k.notifications(r, alerts.Tell, "")...)
		}
		k.Offer(due, true)
	}
	distinct := func(n int) {
		k.until(func() string {
			seen := map[string]bool{}
			for _, a := range k.acks {
				seen[a.To.ID+a.Alert] = true
			}
			if len(seen) < n {
				return fmt.Sprintf("%d of %d have been delivered", len(seen), n)
			}
			return ""
		})
	}
	distinct(20)
	k.until(func() string {
		if n := len(dead.got()); n < 3 {
			return fmt.Sprintf("the dead place was tried %d times", n)
		}
		return ""
	})
	close(back)
	distinct(60)
	if n := testutil.ToFloat64(k.m.Notifications.WithLabelValues("webhook", metrics.Delivered)); n != 60 {
		t.Errorf("%v deliveries are counted", n)
	}
	if n := testutil.ToFloat64(k.m.Notifications.WithLabelValues("webhook", metrics.FailedAttempt)); n < 3 {
		t.Errorf("%v failures are counted", n)
	}
}

// Retry-After is obeyed; what is refused is not tried again at once, and does not hold up what waits behind it.
func TestWhatReceiversSay(t *testing.T) {
	rec := newReceiver(t)
	rec.answer = func(n int, w http.ResponseWriter) {
		switch n {
		case 1:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.WriteHeader(http.StatusBadRequest)
		}
	}
	k := start(t, func(c *Config) { c.Webhooks = rec.URL })
	began := time.Now()
	due := append(k.notifications(row("a"), alerts.Tell, ""), k.notifications(row("b"), alerts.Tell, "")...)
	k.Offer(due, true)
	k.awaitAcks(1)
	if waited := time.Since(began); waited < time.Second {
		t.Errorf("tried again after %v", waited)
	}
	if k.acks[0].Alert != "b" || len(rec.got()) != 3 {
		t.Errorf("acknowledged %+v after %d requests", k.acks, len(rec.got()))
	}
	k.Offer(due, true) // a is offered again, as at every tick, and rests; b had been delivered and the tick did not know
	k.awaitAcks(2)
	if len(rec.got()) != 3 || k.acks[1] != k.acks[0] {
		t.Errorf("%d requests, acknowledged %+v", len(rec.got()), k.acks)
	}
}

// What is no longer due is forgotten, and what has become another thing meanwhile is told as that.
func TestOnlyTheLatestCounts(t *testing.T) {
	rec := newReceiver(t)
	hold := make(chan struct{})
	rec.answer = func(n int, _ http.ResponseWriter) {
		if n == 1 {
			<-hold
		}
	}
	k := start(t, func(c *Config) { c.Webhooks, c.Timeout = rec.URL, time.Minute })
	fired, gone := row("fired"), row("gone")
	k.Offer(k.notifications(fired, alerts.Tell, ""), true)
	k.until(func() string {
		if len(rec.got()) == 1 {
			return ""
		}
		return "nothing has arrived"
	})
	k.Offer(append(k.notifications(fired, alerts.Tell, ""), k.notifications(gone, alerts.Tell, "")...), true)
	over := *fired
	over.Status, over.Sequence = alerts.Resolved, 4
	k.Offer(k.notifications(&over, alerts.Resolve, ""), true)
	close(hold)
	k.awaitAcks(2)
	if k.acks[0].Purpose != alerts.Tell || k.acks[1].Purpose != alerts.Resolve || k.acks[1].Alert != "fired" {
		t.Errorf("acknowledged %+v", k.acks)
	}
	for _, g := range rec.got() {
		if strings.Contains(g.body, `"gone"`) {
			t.Errorf("delivered %s", g.body)
		}
	}
}

// Nobody who reads errors learns an address or a key.
func TestErrorsTellNoSecrets(t *testing.T) {
	k := start(t, func(c *Config) {
		c.Slack, c.PagerDuty = "http://127.0.0.1:1/services/T0/B0/verysecret", "http://127.0.0.1:1/verysecret"
	})
	for _, r := range k.Test(t.Context(), "payments") {
		if text := fmt.Sprint(r); r.Delivered || strings.Contains(text, "verysecret") || strings.Contains(text, "key-of-payments") {
			t.Errorf("result %s", text)
		}
	}
	var cfg Config
	cfg.RegisterFlags(flag.NewFlagSet("test", flag.PanicOnError))
	cfg.Slack, cfg.Webhooks = "ftp://example.com/verysecret", "/verysecret"
	if err := cfg.Validate(); err == nil || strings.Contains(err.Error(), "verysecret") || !strings.Contains(err.Error(), "-alerts.slack.url") || !strings.Contains(err.Error(), "-alerts.webhook.urls") {
		t.Errorf("validation said %v", err)
	}
}

// A receiver cannot send us elsewhere.
func TestRedirectsAreNotFollowed(t *testing.T) {
	inside, rec := newReceiver(t), newReceiver(t)
	rec.answer = func(_ int, w http.ResponseWriter) {
		w.Header().Set("Location", inside.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
	k := start(t, func(c *Config) { c.Webhooks = rec.URL })
	if r := k.Test(t.Context(), "payments"); r[0].Delivered || len(inside.got()) != 0 {
		t.Errorf("%+v, %d requests reached the other place", r, len(inside.got()))
	}
}

func TestTestPagesAreMarked(t *testing.T) {
	am, hook, pd, sl := newReceiver(t), newReceiver(t), newReceiver(t), newReceiver(t)
	k := start(t, func(c *Config) { c.Alertmanagers, c.Webhooks, c.PagerDuty, c.Slack = am.URL, hook.URL, pd.URL, sl.URL })
	for _, r := range k.Test(t.Context(), "payments") {
		if !r.Delivered {
			t.Errorf("%+v", r)
		}
	}
	for _, rec := range []*receiver{am, hook, pd, sl} {
		if g := rec.got(); len(g) != 1 || !strings.Contains(g[0].body, "This is a test") {
			t.Errorf("got %+v", g)
		}
	}
	if list := decode[[]amAlert](t, am.got()[0].body); len(list) != 1 || time.Until(list[0].EndsAt) > tryFor || time.Until(list[0].EndsAt) < time.Minute {
		t.Errorf("a test that nobody ends: %s", am.got()[0].body)
	}
	for _, r := range k.Test(t.Context(), "risk") {
		if (r.Destination == "slack" || r.Destination == "pagerduty") == r.Delivered || r.Leads != r.Delivered {
			t.Errorf("an owner with neither channel nor key: %+v", r)
		}
	}
}
