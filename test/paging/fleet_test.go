//go:build unix

package paging

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/loader"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/topology"
)

// contract is of a fleet with four kinds of decisions that have an objective, a source that says that it is alive, and open workflows.
const contract = `
version: 1
owners:
  payments: {alertmanager: {team: payments}}
  billing: {}
  support: {}
  procurement: {}
  desk: {}
  risk: {alertmanager: {team: risk}}
  treasury: {}
  search: {}
  catalogue: {}
  ml: {}
  platform: {}
contexts:
  policy: {owner: risk}
  rate: {owner: treasury}
  index: {owner: catalogue, serving_owner: search, availability: reported}
  price: {owner: catalogue}
  feature: {owner: ml, max_silence: 10s}
  manual: {owner: catalogue}
workflows:
  refund: {owner: payments, bounds: {policy: {max_staleness: 2s}}}
  invoice: {owner: billing, bounds: {rate: {max_staleness: 2s}}}
  answer: {owner: support, bounds: {index: {max_staleness: 2s}}}
  purchase: {owner: procurement, bounds: {price: {max_staleness: 2s}}}
  score: {owner: ml, bounds: {feature: {max_staleness: 1m}}}
  triage: {owner: desk, bounds: {manual: {max_staleness: 2s}}}
slos:
  - {name: refunds, workflow: refund, use: action.executed, objective: 0.9, window: 1d, owner: payments, ALERTING}
  - {name: invoices, workflow: invoice, use: action.executed, objective: 0.9, window: 1d, owner: billing, ALERTING}
  - {name: answers, workflow: answer, use: action.executed, objective: 0.9, window: 1d, owner: support, ALERTING}
  - {name: purchases, workflow: purchase, use: action.executed, objective: 0.9, window: 1d, owner: procurement, ALERTING}
  - {name: scores, workflow: score, use: action.executed, objective: 0.9, window: 1d, owner: ml, ALERTING}
detections:
  - {name: open-triage, workflow: triage, for: 2s, severity: ticket}
lateness: {default: 500ms}
`

const alerting = "alerting: {page: [{burn: 2, long: 30s, short: 10s}], min_events: 5}"

// contractFile writes the contract.
func contractFile(t *testing.T, dir string) (string, *topology.Graph) {
	t.Helper()
	text := []byte(strings.ReplaceAll(contract, "ALERTING", alerting))
	path := filepath.Join(dir, "contracts.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := slo.Parse(text, path, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	graph, err := topology.FromContract(topology.Config{Partitions: partitions, MaxMessageBytes: 1 << 20}, file)
	if err != nil {
		t.Fatal(err)
	}
	return path, graph
}

// fleet writes what agents and sources do, four times a second.
type fleet struct {
	t    *testing.T
	l    *loader.Loader
	done chan struct{}

	mu      sync.Mutex
	n       int
	paused  bool
	broken  map[string]bool
	current map[string]int // seq of each kind
	waiting []approval
	beats   int
}

// approval is a purchase that waits for one.
type approval struct {
	id    string
	since time.Time
}

const (
	pace     = 250 * time.Millisecond
	repriced = 12              // beats after which a price changes
	patience = 8 * time.Second // that an approval takes which takes long
)

// newFleet connects to the brokers, and has everything at work in good order.
func newFleet(ctx context.Context, t *testing.T, brokers []string, graph *topology.Graph) *fleet {
	t.Helper()
	l, err := loader.Open(ctx, access.Open(brokers...), graph)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, l: l, done: make(chan struct{}), broken: map[string]bool{}, current: map[string]int{}}
	f.mu.Lock()
	for _, kind := range []string{"policy", "rate", "index", "price", "feature", "manual"} {
		f.publish(ctx, kind, time.Now().Add(-time.Minute))
		f.available(ctx, kind)
	}
	f.event(ctx, "task.started", "triage-1", "triage", `{}`)
	f.event(ctx, "context.loaded", "triage-1", "triage", `{"refs":[%s]}`, f.ref("manual", 0))
	f.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(f.done)
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				f.beat(ctx)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-f.done; l.Close() })
	return f
}

// event writes one event that happens now. The fleet is locked.
func (f *fleet) event(ctx context.Context, kind, subject, workflow, format string, args ...any) {
	f.n++
	line := map[string]any{"specversion": "1.0", "id": fmt.Sprint("e", f.n), "source": "/fleet", "type": kind, "subject": subject,
		"time": time.Now().UTC().Format(time.RFC3339Nano), "data": json.RawMessage(fmt.Sprintf(format, args...))}
	if workflow != "" {
		line["workflowtype"] = workflow
	}
	b, err := json.Marshal(line)
	if err != nil {
		f.t.Errorf("event %v: %v", line, err)
		return
	}
	r, reason := f.l.Record(b)
	if reason != event.OK {
		f.t.Errorf("event %s: %v", b, reason)
		return
	}
	if err := f.l.Produce(ctx, r); err != nil && ctx.Err() == nil {
		f.t.Errorf("the fleet cannot write: %v", err)
	}
}

// publish writes the next version of a kind's item. The fleet is locked.
func (f *fleet) publish(ctx context.Context, kind string, effective time.Time) {
	f.current[kind]++
	f.event(ctx, "source.updated", kind+"/it", "", `{"kind":%q,"key":"it","version":"v%d","seq":%[2]d,"effective_at":%q}`, kind, f.current[kind], effective.UTC().Format(time.RFC3339Nano))
}

// available says that a kind's current version is served. The fleet is locked.
func (f *fleet) available(ctx context.Context, kind string) {
	f.event(ctx, "source.available", kind+"/it", "", `{"kind":%q,"key":"it","seq":%d,"consumer":"serving"}`, kind, f.current[kind])
}

// ref is a REF to the version of a kind that is so many behind.
func (f *fleet) ref(kind string, behind int) string {
	return fmt.Sprintf(`{"kind":%q,"key":"it","seq":%d}`, kind, f.current[kind]-behind)
}

// act is a decision on what has just been looked up. The fleet is locked.
func (f *fleet) act(ctx context.Context, workflow, ref string) {
	id := fmt.Sprint(workflow, "-", f.n)
	f.event(ctx, "action.executed", id, workflow, `{"decision_id":"d","based_on":[%s]}`, ref)
	f.event(ctx, "task.completed", id, workflow, `{}`)
}

// beat is what happens every quarter of a second.
func (f *fleet) beat(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.paused {
		return
	}
	f.beats++
	behind := func(fault string) int {
		if f.broken[fault] {
			return 1
		}
		return 0
	}
	f.act(ctx, "refund", f.ref("policy", behind(policyLate)))
	f.act(ctx, "invoice", f.ref("rate", behind(rateLate)))
	f.act(ctx, "answer", f.ref("index", behind(indexOld)))
	if !f.broken[sourceSilent] {
		f.event(ctx, "source.heartbeat", "feature/", "", `{"kind":"feature","through":%q}`, time.Now().UTC().Format(time.RFC3339Nano))
	}
	if f.beats%repriced == 0 {
		f.publish(ctx, "price", time.Now())
	}
	f.purchase(ctx)
}

// purchase loads a price, and has what it is to pay approved: at once, or after a while in which the price changes.
func (f *fleet) purchase(ctx context.Context) {
	id := fmt.Sprint("purchase-", f.n)
	f.event(ctx, "context.loaded", id, "purchase", `{"refs":[%s]}`, f.ref("price", 0))
	f.event(ctx, "approval.requested", id, "purchase", `{}`)
	f.waiting = append(f.waiting, approval{id, time.Now()})
	for len(f.waiting) > 0 && (!f.broken[approvalsLong] || time.Since(f.waiting[0].since) > patience) {
		id, f.waiting = f.waiting[0].id, f.waiting[1:]
		f.event(ctx, "approval.granted", id, "purchase", `{}`)
		f.event(ctx, "action.executed", id, "purchase", `{"decision_id":"d"}`)
		f.event(ctx, "task.completed", id, "purchase", `{}`)
	}
}

// What breaks.
const (
	policyLate    = "policy published late"
	rateLate      = "rate published late"
	indexOld      = "index not refreshed"
	approvalsLong = "approvals take long"
	sourceSilent  = "source silent"
	heldOpen      = "open workflow holds what is stale"
)

// breaks has something go wrong from now on.
func (f *fleet) breaks(ctx context.Context, faults ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range faults {
		f.broken[fault] = true
		switch fault {
		case policyLate: // half an hour after it came into force
			f.publish(ctx, "policy", time.Now().Add(-30*time.Minute))
		case rateLate:
			f.publish(ctx, "rate", time.Now().Add(-30*time.Minute))
		case indexOld: // published at once, and not yet where it is served
			f.publish(ctx, "index", time.Now())
		case heldOpen:
			f.publish(ctx, "manual", time.Now())
		}
	}
}

// heals puts everything right, and returns when it is written.
func (f *fleet) heals(ctx context.Context) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.available(ctx, "index")
	f.waiting = nil // who has waited for so long gives up
	f.event(ctx, "context.loaded", "triage-1", "triage", `{"refs":[%s]}`, f.ref("manual", 0))
	clear(f.broken)
	if err := f.l.Finish(ctx); err != nil {
		f.t.Errorf("the fleet cannot write: %v", err)
	}
}

// pause has nothing happen any more, or again.
func (f *fleet) pause(paused bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paused = paused
}
