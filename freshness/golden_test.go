package freshness

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/testfile"
)

// goldenSets are the sets under testdata/golden, each with the contract it is judged by.
func goldenSets() map[string]*Contract {
	return map[string]*Contract{
		"coding-sessions": codingContract(),
		"adversarial-1":   adversarialContract(false),
		"adversarial-2":   adversarialContract(false),
		"adversarial-3":   adversarialContract(false),
		"adversarial-4":   adversarialContract(true),
	}
}

const (
	second = Duration(1000)
	minute = 60 * second
)

func staleness(d Duration) Bounds { return Bounds{MaxStaleness: d, HasStaleness: true} }
func versions(n int64) Bounds     { return Bounds{MaxVersionsBehind: n, HasVersions: true} }
func age(d Duration) Bounds       { return Bounds{MaxAge: d, HasAge: true} }

// both is every bound of both.
func both(a, b Bounds) Bounds {
	if b.HasStaleness {
		a.MaxStaleness, a.HasStaleness = b.MaxStaleness, true
	}
	if b.HasVersions {
		a.MaxVersionsBehind, a.HasVersions = b.MaxVersionsBehind, true
	}
	if b.HasAge {
		a.MaxAge, a.HasAge = b.MaxAge, true
	}
	return a
}

func judged(b Bounds) KindBounds { return KindBounds{Bounds: b, Judged: true} }

func codingContract() *Contract {
	return &Contract{
		Contexts: map[string]*Context{"file": {Owner: "repo", ServingOwner: "agents"}},
		Classes: map[string]map[string]*Rules{"coding-session": {
			"":       {Owner: "agents", Kinds: map[string]KindBounds{"file": judged(both(staleness(minute), versions(1)))}},
			"commit": {Owner: "agents", Kinds: map[string]KindBounds{"file": judged(both(staleness(0), versions(0)))}},
		}},
	}
}

func adversarialContract(short bool) *Contract {
	c := &Contract{
		Contexts: map[string]*Context{
			"policy":  {Owner: "risk", ServingOwner: "pay", MaxSilence: 10 * minute, HasMaxSilence: true, Reported: true},
			"feature": {Owner: "ml", ServingOwner: "ml", Basis: ByPublished},
			"doc":     {Owner: "kb", ServingOwner: "ml", Reported: true},
			"prompt":  {Owner: "pay", ServingOwner: "pay"},
		},
		Classes: map[string]map[string]*Rules{
			"refund": {
				"": {Owner: "pay", Require: []string{"policy"}, Kinds: map[string]KindBounds{
					"policy":  judged(both(staleness(minute), versions(1))),
					"feature": judged(both(age(30*second), staleness(5*second))),
					"*":       judged(age(10 * minute)),
				}},
				"large": {Owner: "pay", Require: []string{"policy"}, Kinds: map[string]KindBounds{
					"policy":  judged(both(staleness(0), versions(0))),
					"feature": judged(age(60 * second)),
					"prompt":  judged(age(10 * minute)),
					"*":       judged(age(10 * minute)),
				}},
			},
			"triage": {"": {Owner: "kb", Kinds: map[string]KindBounds{
				"doc":    judged(versions(0)),
				"policy": judged(staleness(5 * minute)),
				"prompt": {},
				"*":      judged(age(20 * minute)),
			}}},
		},
	}
	if !short {
		return c
	}
	f, d := c.Contexts["feature"], c.Contexts["doc"]
	f.History, f.MaxSilence, f.HasMaxSilence = 3, 45*second, true
	d.History, d.MaxSilence, d.HasMaxSilence = 2, 3*minute, true
	refund, triage := c.Classes["refund"], c.Classes["triage"][""]
	refund[""].Kinds["feature"] = judged(both(age(minute), both(staleness(10*minute), versions(5))))
	refund["large"].Kinds["feature"] = judged(both(age(minute), versions(5)))
	triage.Kinds["doc"] = judged(both(age(6*minute), staleness(30*minute)))
	triage.Kinds["policy"] = judged(both(staleness(20*minute), age(15*minute)))
	return c
}

// structured decodes a structured CloudEvent as simply as can be. It is kept apart from package event's decoder on purpose: the golden
// sets then check the two against each other.
func structured(line []byte) (*event.Event, error) {
	var in struct {
		ID, Source, Type, Subject, WorkflowType, TrafficClass, TraceParent string
		Time                                                               time.Time
		RecordedTime                                                       *time.Time
		Data                                                               json.RawMessage
	}
	if err := json.Unmarshal(line, &in); err != nil {
		return nil, err
	}
	type ref struct {
		Kind, Key, Version, Digest string
		Seq                        *int64
		AsOf                       *time.Time `json:"as_of"`
	}
	var d struct {
		WorkflowType                                string  `json:"workflow_type"`
		CallID                                      string  `json:"call_id"`
		DecisionID                                  string  `json:"decision_id"`
		CheckID                                     string  `json:"check_id"`
		Class                                       *string `json:"class"`
		BasedOn                                     *[]ref  `json:"based_on"`
		Refs                                        []ref
		Kind, Key, Version, Owner, Digest, Consumer string
		Change                                      string
		Seq                                         int64
		EffectiveAt                                 *time.Time `json:"effective_at"`
		Through                                     time.Time
	}
	if len(in.Data) > 0 {
		if err := json.Unmarshal(in.Data, &d); err != nil {
			return nil, err
		}
	}
	e := &event.Event{
		Type: typeOf(in.Type), Time: event.Of(in.Time), Appended: event.Of(in.Time), ID: in.ID, Source: in.Source, Subject: in.Subject,
		TypeName: in.Type, WorkflowType: in.WorkflowType, TraceParent: in.TraceParent, Data: string(in.Data),
		DecisionID: d.DecisionID, CheckID: d.CheckID, CallID: d.CallID, Kind: d.Kind, Key: d.Key, Version: d.Version, Owner: d.Owner, Digest: d.Digest,
		Consumer: d.Consumer, Seq: d.Seq, EffectiveAt: event.Of(in.Time), Through: event.Of(d.Through),
	}
	if e.WorkflowType == "" {
		e.WorkflowType = d.WorkflowType
	}
	if in.RecordedTime != nil {
		e.Recorded, e.HasRecorded = event.Of(*in.RecordedTime), true
	}
	if d.EffectiveAt != nil {
		e.EffectiveAt = event.Of(*d.EffectiveAt)
	}
	if d.Class != nil {
		e.Class, e.HasClass = *d.Class, true
	}
	e.Traffic = map[string]event.TrafficClass{"backfill": event.Backfill, "eval": event.Eval, "replay": event.Replay}[in.TrafficClass]
	e.Change = map[string]event.Change{"retracted": event.Retracted, "rolled_back": event.RolledBack}[d.Change]
	e.WholeKind = e.Type == event.SourceHeartbeat && d.Key == ""
	refs := d.Refs
	if d.BasedOn != nil {
		refs, e.HasBasedOn = *d.BasedOn, true
	}
	for _, r := range refs {
		x := event.Ref{Kind: r.Kind, Key: r.Key, Version: r.Version, Digest: r.Digest}
		if r.Seq != nil {
			x.Seq, x.HasSeq = *r.Seq, true
		}
		if r.AsOf != nil {
			x.AsOf, x.HasAsOf = event.Of(*r.AsOf), true
		}
		e.Refs = append(e.Refs, x)
	}
	return e, nil
}

// typeOf returns the type by the last two dotted segments of its name.
func typeOf(name string) event.Type {
	parts := strings.Split(name, ".")
	if len(parts) < 2 {
		return event.Other
	}
	return eventTypes[strings.Join(parts[len(parts)-2:], ".")]
}

var eventTypes = map[string]event.Type{
	"task.created": event.TaskCreated, "task.started": event.TaskStarted, "task.waiting": event.TaskWaiting, "task.resumed": event.TaskResumed,
	"task.completed": event.TaskCompleted, "task.failed": event.TaskFailed, "task.cancelled": event.TaskCancelled,
	"approval.requested": event.ApprovalRequested, "approval.granted": event.ApprovalGranted, "approval.denied": event.ApprovalDenied,
	"tool.retry_scheduled": event.ToolRetryScheduled, "context.loaded": event.ContextLoaded, "context.dropped": event.ContextDropped,
	"tool.called": event.ToolCalled, "tool.result": event.ToolResult, "decision.proposed": event.DecisionProposed,
	"action.approved": event.ActionApproved, "action.rejected": event.ActionRejected, "action.overridden": event.ActionOverridden,
	"action.executed": event.ActionExecuted, "compensation.triggered": event.CompensationTriggered,
	"source.updated": event.SourceUpdated, "source.heartbeat": event.SourceHeartbeat, "source.available": event.SourceAvailable,
}

// golden is one golden set.
type golden struct {
	contract *Contract
	events   []*event.Event
	verdicts []byte // the golden lines, with newlines
}

func readGolden(tb testing.TB, name string) *golden {
	tb.Helper()
	g := &golden{contract: goldenSets()[name], verdicts: testfile.Read(tb, filepath.Join("..", "testdata", "golden", name+".verdicts.ndjson.gz"))}
	lines := bufio.NewScanner(bytes.NewReader(testfile.Read(tb, filepath.Join("..", "testdata", "golden", name+".events.ndjson.gz"))))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		e, err := structured(lines.Bytes())
		if err != nil {
			tb.Fatalf("%s: %v: %s", name, err, lines.Bytes())
		}
		g.events = append(g.events, e)
	}
	if len(g.events) == 0 {
		tb.Fatalf("%s: no events", name)
	}
	return g
}

func goldenOf(tb testing.TB, b *Batch) []byte {
	tb.Helper()
	var out []byte
	if err := b.Golden(func(line []byte) error {
		out = append(append(out, line...), '\n')
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	return out
}

// mustEqual fails with the first lines that differ.
func mustEqual(tb testing.TB, what string, got, want []byte) {
	tb.Helper()
	if bytes.Equal(got, want) {
		return
	}
	gs, ws := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	n, shown := 0, ""
	for i := 0; i < max(len(gs), len(ws)); i++ {
		var g, w []byte
		if i < len(gs) {
			g = gs[i]
		}
		if i < len(ws) {
			w = ws[i]
		}
		if bytes.Equal(g, w) {
			continue
		}
		if n++; n <= 3 {
			shown += fmt.Sprintf("\nline %d\n got %s\nwant %s", i+1, g, w)
		}
	}
	tb.Fatalf("%s: %d of %d lines differ:%s", what, n, len(ws), shown)
}

func batchOf(c *Contract, events []*event.Event) *Batch {
	b := NewBatch(c, DefaultLimits())
	for i, e := range events {
		b.Add(e, Position{Topic: "t", Offset: int64(i)})
	}
	return b
}

// TestGolden judges every golden set as it arrived.
func TestGolden(t *testing.T) {
	for name := range goldenSets() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := readGolden(t, name)
			mustEqual(t, name, goldenOf(t, batchOf(g.contract, g.events)), g.verdicts)
		})
	}
}

// TestGoldenInAnyOrder judges every golden set in other orders of arrival, with events repeated.
func TestGoldenInAnyOrder(t *testing.T) {
	for name := range goldenSets() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := readGolden(t, name)
			events := append([]*event.Event(nil), g.events...)
			for i, j := 0, len(events)-1; i < j; i, j = i+1, j-1 {
				events[i], events[j] = events[j], events[i]
			}
			mustEqual(t, "reversed", goldenOf(t, batchOf(g.contract, events)), g.verdicts)
			for seed := int64(1); seed <= 20; seed++ {
				r := rand.New(rand.NewSource(seed))
				events = append(events[:0], g.events...)
				for _, e := range g.events {
					for r.Intn(4) == 0 {
						events = append(events, e)
					}
				}
				r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
				mustEqual(t, fmt.Sprintf("shuffled with seed %d", seed), goldenOf(t, batchOf(g.contract, events)), g.verdicts)
			}
		})
	}
}
