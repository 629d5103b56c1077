package alerting

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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/query/client"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/go-kit/log"
	"github.com/twmb/franz-go/pkg/kgo"
)

var verbose = flag.Bool("alerting.log", false, "print the engine's log")

const contract = `
version: 1
owners:
  risk: {slack: "#risk", pagerduty_key: "${FRESHET_TEST_PD}", alertmanager: {team: risk}}
  payments: {slack: "#payments"}
contexts:
  policy: {owner: risk, max_silence: 1s}
  quiet: {owner: payments}
workflows:
  refund: {owner: payments, bounds: {policy: {max_staleness: 60s}}}
slos:
  - {name: refunds, workflow: refund, use: action.executed, objective: 0.995, window: 30d, alerting: {min_events: 3}}
detections:
  - {name: held, workflow: refund, for: 1s}
lateness: {default: 200ms}
`

// receiver is every destination at once.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	got  []string // "slack …", "pagerduty …", "webhook …", "alertmanager …"
	dead map[string]bool
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{dead: map[string]bool{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		name, _, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.dead[name] {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.got = append(r.got, name+" "+string(body))
	}))
	t.Cleanup(r.Close)
	return r
}

// count returns how many deliveries to a destination contain all the texts.
func (r *receiver) count(name string, texts ...string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, g := range r.got {
		all := strings.HasPrefix(g, name+" ")
		for _, text := range texts {
			all = all && strings.Contains(g, text)
		}
		if all {
			n++
		}
	}
	return n
}

func (r *receiver) kill(name string, dead bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead[name] = dead
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// engine makes an engine that tells the receiver.
func engine(t *testing.T, r *receiver, o harness.Options) *harness.Engine {
	t.Helper()
	t.Setenv("FRESHET_TEST_PD", "key-of-risk")
	file := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(file, []byte(contract), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Contract, o.Partitions, o.HTTP = file, 2, true
	if *verbose {
		o.Logger = log.NewLogfmtLogger(log.NewSyncWriter(os.Stderr))
	}
	more := o.Config
	o.Config = func(c *app.Config) {
		c.Alerting.Tick = 200 * time.Millisecond
		if more != nil {
			more(c)
		}
		c.Dispatch.Alertmanagers, c.Dispatch.Webhooks = r.URL+"/alertmanager", r.URL+"/webhook"
		c.Dispatch.PagerDuty, c.Dispatch.Slack = r.URL+"/pagerduty", r.URL+"/slack"
		c.Dispatch.MinBackoff, c.Dispatch.MaxBackoff = 20*time.Millisecond, 100*time.Millisecond
	}
	return harness.New(t, o)
}

// update publishes a version of an item.
func update(ctx context.Context, t *testing.T, e *harness.Engine, id, key string, seq int) {
	t.Helper()
	emit(ctx, t, e, "context.source", "policy/"+key, id, "source.updated", fmt.Sprintf(`{"kind":"policy","key":%q,"version":"v%d","seq":%d}`, key, seq, seq))
}

func emit(ctx context.Context, t *testing.T, e *harness.Engine, topic, subject, id, typ, data string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(e.Brokers()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	h := func(k, v string) kgo.RecordHeader { return kgo.RecordHeader{Key: k, Value: []byte(v)} }
	r := &kgo.Record{Topic: e.Name(topic), Key: []byte(subject), Value: []byte(data), Headers: []kgo.RecordHeader{
		h("ce_specversion", "1.0"), h("ce_id", id), h("ce_source", "/test"), h("ce_type", typ), h("ce_subject", subject),
		h("ce_time", time.Now().UTC().Format(time.RFC3339Nano)), h("content-type", "application/json")}}
	if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// rows reads freshet.alerts, committed records only, and returns the last one of each alert.
func rows(ctx context.Context, t *testing.T, e *harness.Engine) map[string]map[string]any {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(e.Brokers()...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{e.Name("freshet.alerts"): {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := e.Admin().ListCommittedOffsets(ctx, e.Name("freshet.alerts"))
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(e.Name("freshet.alerts"), 0)
	last := map[string]map[string]any{}
	for next := int64(0); next < end.Offset; {
		if ctx.Err() != nil {
			t.Fatalf("freshet.alerts was read to %d, not to %d", next, end.Offset)
		}
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if next = r.Offset + 1; r.Attrs.IsControl() {
				return
			}
			row := map[string]any{}
			if err := json.Unmarshal(r.Value, &row); err != nil {
				t.Errorf("record %s: %v", r.Key, err)
			}
			if row["alert_id"] != string(r.Key) {
				t.Errorf("record %s is keyed %s", r.Value, r.Key)
			}
			for _, h := range r.Headers {
				if h.Key == "ce_id" && string(h.Value) != fmt.Sprintf("%s/%v", r.Key, row["sequence"]) {
					t.Errorf("record %s has id %s", r.Value, h.Value)
				}
			}
			last[string(r.Key)] = row
		})
	}
	return last
}

func want(r *receiver, name string, n int, texts ...string) func() string {
	return func() string {
		if got := r.count(name, texts...); got < n {
			return fmt.Sprintf("%s got %d of %d %v", name, got, n, texts)
		}
		return ""
	}
}

// A source goes silent: everybody is told once. The engine is restarted, with what it had on disk and without: nobody is told again, and
// who could not be reached before is told now.
func TestASilentSourceAndRestarts(t *testing.T) {
	ctx := within(t)
	r := newReceiver(t)
	r.kill("pagerduty", true)
	e := engine(t, r, harness.Options{})
	e.Start(ctx)
	update(ctx, t, e, "1", "refund", 1)
	for _, name := range []string{"slack", "webhook", "alertmanager"} {
		e.Until(ctx, want(r, name, 1, "SourceSilent/policy/refund"))
	}
	e.Until(ctx, want(r, "webhook", 1, `"name":"Watchdog"`))
	e.Until(ctx, func() string { return kept(ctx, e, "SourceSilent/policy/refund", 3) })
	text := get(ctx, t, e, "/v1/alerts/why?name=SourceSilent")
	if !strings.Contains(text, `"destination":"slack"`) || !strings.Contains(text, `"why":"told"`) || !strings.Contains(text, "objectives that depend on it: refunds") {
		t.Errorf("why: %s", text)
	}
	e.AwaitNow(ctx) // and committed
	e.Stop()
	r.kill("pagerduty", false)
	e.LoseRows()
	e.Start(ctx)
	e.Until(ctx, want(r, "pagerduty", 1, `"event_action":"trigger"`, `"dedup_key":"SourceSilent/policy/refund"`, `"routing_key":"key-of-risk"`))
	update(ctx, t, e, "2", "other", 1)
	e.Until(ctx, want(r, "slack", 1, "SourceSilent/policy/other")) // it evaluates and sends
	if n := r.count("slack", "SourceSilent/policy/refund"); n != 1 {
		t.Errorf("Slack was told %d times", n)
	}
	if n := r.count("pagerduty", "SourceSilent/policy/refund"); n != 1 {
		t.Errorf("PagerDuty was told %d times", n)
	}
	for _, dest := range []string{"slack", "pagerduty", "alertmanager"} {
		if n := r.count(dest, "esolve"); n != 0 {
			t.Errorf("%s was told %d times that something is over", dest, n)
		}
	}
	last := rows(ctx, t, e)
	if row := last["SourceSilent/policy/refund"]; row == nil || row["status"] != "firing" || row["severity"] != "page" || row["owner"] != "risk" || row["ends_at"] != nil {
		t.Errorf("its row: %v", row)
	}
	if row := last[alerts.Watchdog]; row == nil || row["status"] != "firing" {
		t.Errorf("the watchdog's row: %v", row)
	}
}

// Open workflows hold a stale item.
func TestOpenWorkflowsHoldStaleContext(t *testing.T) {
	ctx := within(t)
	r := newReceiver(t)
	e := engine(t, r, harness.Options{})
	e.Start(ctx)
	e.AwaitNow(ctx)
	all, own := watching(ctx, t, e, ""), watching(ctx, t, e, "wf-1")
	quiet := func(id string, seq int, at time.Time) {
		emit(ctx, t, e, "context.source", "policy/refund", id, "source.updated",
			fmt.Sprintf(`{"kind":"policy","key":"refund","version":"v%d","seq":%d,"effective_at":%q}`, seq, seq, at.UTC().Format(time.RFC3339Nano)))
	}
	now := time.Now()
	quiet("s1", 1, now.Add(-time.Hour))
	emit(ctx, t, e, "workflow.control", "wf-1", "c1", "task.started", `{"workflow_type":"refund"}`)
	emit(ctx, t, e, "workflow.context", "wf-1", "l1", "context.loaded", `{"refs":[{"kind":"policy","key":"refund","version":"v1","seq":1}]}`)
	quiet("s2", 2, now.Add(-10*time.Minute)) // published late
	e.Until(ctx, want(r, "slack", 1, "StaleContextHeld/held/refund/policy/refund/2", "workflow wf-1"))
	last := rows(ctx, t, e)
	row := last["StaleContextHeld/held/refund/policy/refund/2"]
	if row == nil || row["severity"] != "ticket" || len(row["evidence"].([]any)) == 0 || len(row["cause_shares"].([]any)) == 0 {
		t.Errorf("its row: %v", row)
	}
	// Whoever watches has had both; whoever watches the workflow the detection.
	e.Until(ctx, all("detection", `"workflow":"wf-1"`, `"status":"open"`))
	e.Until(ctx, all("alert", `"alert_id":"StaleContextHeld/held/refund/policy/refund/2"`, `"status":"firing"`))
	e.Until(ctx, own("detection", `"workflow":"wf-1"`, `"status":"open"`))
}

// watching watches, and returns the condition that an event with all the texts has come.
func watching(ctx context.Context, t *testing.T, e *harness.Engine, workflow string) func(event string, texts ...string) func() string {
	t.Helper()
	c, err := client.New(client.Config{Server: "http://" + e.App.HTTPAddr()})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var had []client.Event
	begun := make(chan struct{})
	var once sync.Once
	go func() {
		_ = c.Watch(ctx, workflow, "", func(one client.Event) error {
			once.Do(func() { close(begun) }) // the first is a bookmark
			mu.Lock()
			defer mu.Unlock()
			had = append(had, client.Event{Name: one.Name, Data: slices.Clone(one.Data)})
			return nil
		})
	}()
	select {
	case <-begun:
	case <-ctx.Done():
		t.Fatal("nothing is sent to who watches")
	}
	return func(event string, texts ...string) func() string {
		return func() string {
			mu.Lock()
			defer mu.Unlock()
			for _, one := range had {
				fits := one.Name == event
				for _, text := range texts {
					fits = fits && strings.Contains(string(one.Data), text)
				}
				if fits {
					return ""
				}
			}
			return fmt.Sprintf("who watches %q has not had %s with %v", workflow, event, texts)
		}
	}
}

// Decisions are taken on stale context: the objective's budget burns, and whose cause it is is paged.
func TestAnObjectiveBurns(t *testing.T) {
	ctx := within(t)
	r := newReceiver(t)
	e := engine(t, r, harness.Options{})
	e.Start(ctx)
	e.AwaitNow(ctx)
	source := func(seq int, effective time.Time) {
		emit(ctx, t, e, "context.source", "policy/refund", fmt.Sprint("s", seq), "source.updated",
			fmt.Sprintf(`{"kind":"policy","key":"refund","version":"v%d","seq":%d,"effective_at":%q}`, seq, seq, effective.UTC().Format(time.RFC3339Nano)))
	}
	source(1, time.Now().Add(-time.Hour))
	for i := range 4 {
		wf := fmt.Sprint("wf-", i)
		emit(ctx, t, e, "workflow.control", wf, "c"+wf, "task.started", `{"workflow_type":"refund"}`)
		emit(ctx, t, e, "workflow.context", wf, "l"+wf, "context.loaded", `{"refs":[{"kind":"policy","key":"refund","version":"v1","seq":1}]}`)
		emit(ctx, t, e, "workflow.decision", wf, "d"+wf, "action.executed", `{"decision_id":"d1"}`)
	}
	source(2, time.Now().Add(-30*time.Minute)) // 30 minutes late: the source's owner
	e.Until(ctx, want(r, "slack", 1, "FreshnessSLOBurn/refunds/page", "#risk"))
	e.Until(ctx, want(r, "slack", 1, "FreshnessSLOBurn/refunds/page", "#payments")) // the objective's owner, too
	e.Until(ctx, want(r, "pagerduty", 1, `"dedup_key":"FreshnessSLOBurn/refunds/page"`))
	row := rows(ctx, t, e)["FreshnessSLOBurn/refunds/page"]
	if row == nil || row["owner"] != "risk" || !strings.Contains(fmt.Sprint(row["cause_shares"]), "source_late") || !strings.Contains(fmt.Sprint(row["evidence"]), "decision_id:d1") {
		t.Errorf("its row: %v", row)
	}
}

// Of two instances one evaluates and dispatches; when it ends the other takes over, and nobody is told again.
func TestTwoInstances(t *testing.T) {
	ctx := within(t)
	r := newReceiver(t)
	one := engine(t, r, harness.Options{Instance: "one"})
	one.Start(ctx)
	update(ctx, t, one, "1", "a", 1)
	one.Until(ctx, want(r, "slack", 1, "SourceSilent/policy/a"))
	two := engine(t, r, harness.Options{Instance: "two", Brokers: strings.Join(one.Brokers(), ",")})
	two.Start(ctx)
	evaluator := func() *harness.Engine {
		for _, e := range []*harness.Engine{one, two} {
			if status(ctx, e, "/v1/alerts") == http.StatusOK {
				return e
			}
		}
		return nil
	}
	two.Until(ctx, func() string {
		a, b := status(ctx, one, "/v1/alerts"), status(ctx, two, "/v1/alerts")
		if a+b != http.StatusOK+http.StatusServiceUnavailable {
			return fmt.Sprintf("one answers %d, two %d", a, b)
		}
		return ""
	})
	update(ctx, t, one, "2", "b", 1)
	two.Until(ctx, want(r, "slack", 1, "SourceSilent/policy/b"))
	var first *harness.Engine
	two.Until(ctx, func() string {
		if first = evaluator(); first == nil { // it may just be moving
			return "nobody evaluates"
		}
		return kept(ctx, first, "SourceSilent/policy/b", 4)
	})
	second := one
	if first == one {
		second = two
	}
	first.Stop()
	second.Until(ctx, func() string {
		if s := status(ctx, second, "/v1/alerts"); s != http.StatusOK {
			return fmt.Sprintf("the other one answers %d", s)
		}
		return ""
	})
	update(ctx, t, second, "3", "c", 1)
	second.Until(ctx, want(r, "slack", 1, "SourceSilent/policy/c"))
	for _, key := range []string{"a", "b", "c"} {
		if n := r.count("slack", "SourceSilent/policy/"+key+")"); n != 1 {
			t.Errorf("Slack was told %d times of %s", n, key)
		}
	}
}

// Whichever instance is asked for alerts, the one that evaluates answers: also a processor that never evaluates asks the dispatcher.
func TestAnyInstanceAnswersForAlerts(t *testing.T) {
	ctx := within(t)
	r := newReceiver(t)
	one := engine(t, r, harness.Options{Instance: "one"})
	others := map[string]*harness.Engine{"two": one.Another("two"), "processor": one.Another("processor").Target(app.Processor)}
	one.Start(ctx)
	update(ctx, t, one, "1", "a", 1)
	one.Until(ctx, want(r, "slack", 1, "SourceSilent/policy/a"))
	for name, e := range others {
		e.Start(ctx)
		e.Until(ctx, func() string {
			if s := status(ctx, e, "/v1/alerts/why?name=SourceSilent"); s != http.StatusOK {
				return fmt.Sprintf("%s answers %d", name, s)
			}
			return ""
		})
	}
	one.Until(ctx, func() string {
		for name, e := range map[string]*harness.Engine{"one": one, "two": others["two"], "processor": others["processor"]} {
			if code, text := ask(ctx, e, "/v1/alerts?status=firing"); code != http.StatusOK || !strings.Contains(text, "SourceSilent/policy/a") {
				return fmt.Sprintf("%s answers %d: %s", name, code, text)
			}
		}
		return ""
	})
	resp, err := http.Post("http://"+others["processor"].App.HTTPAddr()+"/v1/alerts/test?owner=risk", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || !strings.Contains(string(b), `"delivered":true`) {
		t.Errorf("test: %d %s", resp.StatusCode, b)
	}
	if r.count("slack", "[TEST]") != 1 {
		t.Error("the test page has not arrived once")
	}
}

// kept says what is missing until a row knows that so many have been told.
func kept(ctx context.Context, e *harness.Engine, id string, n int) string {
	var answer struct {
		Alerts []struct {
			ID   string `json:"alert_id"`
			Told []any  `json:"told"`
		} `json:"alerts"`
	}
	code, body := ask(ctx, e, "/v1/alerts?status=firing")
	if err := json.Unmarshal([]byte(body), &answer); code != http.StatusOK || err != nil {
		return fmt.Sprintf("the alerts cannot be had: %d %s %v", code, body, err)
	}
	for _, a := range answer.Alerts {
		if a.ID == id && len(a.Told) >= n {
			return ""
		}
	}
	return fmt.Sprintf("the row of %s does not know that %d have been told: %+v", id, n, answer.Alerts)
}

func get(ctx context.Context, t *testing.T, e *harness.Engine, path string) string {
	t.Helper()
	code, body := ask(ctx, e, path)
	if code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, code, body)
	}
	return body
}

// status asks for a path; 0 if nobody answers.
func status(ctx context.Context, e *harness.Engine, path string) int {
	code, _ := ask(ctx, e, path)
	return code
}

// ask asks for a path. Where nobody answers the code is 0, and what is returned is why.
func ask(ctx context.Context, e *harness.Engine, path string) (code int, body string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.App.HTTPAddr()+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// Sources fall silent one after the other, and no event arrives any more: each is found by itself, and none before complete_through has passed
// the instant at which it was due. How soon after is printed.
func TestSilenceIsFoundWithoutEvents(t *testing.T) {
	ctx := within(t)
	e := engine(t, newReceiver(t), harness.Options{Config: func(c *app.Config) { c.Alerting.Tick = time.Second }}) // the default
	e.Start(ctx)
	e.AwaitNow(ctx)
	const silence, late, n = time.Second, 200 * time.Millisecond, 20
	due := map[string]time.Time{}
	for i := range n {
		key := fmt.Sprintf("s%d", i)
		before := time.Now()
		update(ctx, t, e, key, key, 1)
		due["SourceSilent/policy/"+key] = before.Add(silence + late)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(e.Brokers()...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{e.Name("freshet.alerts"): {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var after []time.Duration
	for len(due) > 0 {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			at, waited := due[string(r.Key)]
			if !waited || !strings.Contains(string(r.Value), `"firing"`) {
				return
			}
			delete(due, string(r.Key))
			if r.Timestamp.Before(at.Truncate(time.Millisecond)) {
				t.Errorf("%s fires at %s; it is due at %s", r.Key, r.Timestamp, at)
			}
			after = append(after, r.Timestamp.Sub(at))
		})
		if ctx.Err() != nil {
			t.Fatalf("%d of %d silent sources were not found", len(due), n)
		}
	}
	slices.Sort(after)
	t.Logf("%d silent sources, each found so long after complete_through may pass it: median %v, at most %v", n, after[n/2].Round(time.Millisecond), after[n-1].Round(time.Millisecond))
}
