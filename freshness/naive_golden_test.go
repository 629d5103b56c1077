package freshness_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/testfile"
)

// This file gives the naive judgement its events and contracts, and compares it with the golden sets.

// naiveEvent decodes one structured event of a golden set.
func naiveEvent(line []byte) (event.Event, error) {
	type ref struct {
		Kind, Key, Version, Digest string
		Seq                        *int64
		AsOf                       *event.Time `json:"as_of"`
	}
	var in struct {
		ID, Source, Type, Subject string
		Time                      event.Time
		Recorded                  *event.Time `json:"recordedtime"`
		WorkflowType              string
		TrafficClass              string
		Data                      json.RawMessage
	}
	if err := json.Unmarshal(line, &in); err != nil {
		return event.Event{}, fmt.Errorf("read event %s: %w", line, err)
	}
	var data struct {
		WorkflowType                  string  `json:"workflow_type"`
		CallID                        string  `json:"call_id"`
		DecisionID                    string  `json:"decision_id"`
		Class                         *string `json:"class"`
		Refs                          []ref
		BasedOn                       *[]ref `json:"based_on"`
		Kind, Key, Version, Change    string
		Seq                           int64
		EffectiveAt                   *event.Time `json:"effective_at"`
		Through                       event.Time
		Owner, Digest, Consumer, Tool string
	}
	if len(in.Data) > 0 {
		if err := json.Unmarshal(in.Data, &data); err != nil {
			return event.Event{}, fmt.Errorf("read data of event %s: %w", line, err)
		}
	}
	segments := strings.Split(in.Type, ".")
	e := event.Event{
		Type: naiveTypes()[strings.Join(segments[max(0, len(segments)-2):], ".")],
		Time: in.Time, Appended: in.Time, ID: in.ID, Source: in.Source, Subject: in.Subject, TypeName: in.Type,
		WorkflowType: in.WorkflowType, Data: string(in.Data), DecisionID: data.DecisionID, CallID: data.CallID, ToolName: data.Tool,
		Kind: data.Kind, Key: data.Key, Version: data.Version, Owner: data.Owner, Digest: data.Digest, Consumer: data.Consumer,
		Seq: data.Seq, EffectiveAt: in.Time, Through: data.Through,
		Traffic: map[string]event.TrafficClass{"backfill": event.Backfill, "eval": event.Eval, "replay": event.Replay}[in.TrafficClass],
		Change:  map[string]event.Change{"retracted": event.Retracted, "rolled_back": event.RolledBack}[data.Change],
	}
	e.WholeKind = e.Type == event.SourceHeartbeat && e.Key == ""
	if e.WorkflowType == "" {
		e.WorkflowType = data.WorkflowType
	}
	if in.Recorded != nil {
		e.Recorded, e.HasRecorded, e.Appended = *in.Recorded, true, *in.Recorded
	}
	if data.EffectiveAt != nil {
		e.EffectiveAt = *data.EffectiveAt
	}
	if data.Class != nil && *data.Class != "" {
		e.Class, e.HasClass = *data.Class, true
	}
	refs := data.Refs
	if data.BasedOn != nil {
		refs, e.HasBasedOn = *data.BasedOn, true
	}
	for _, r := range refs {
		out := event.Ref{Kind: r.Kind, Key: r.Key, Version: r.Version, Digest: r.Digest}
		if r.Seq != nil {
			out.Seq, out.HasSeq = *r.Seq, true
		}
		if r.AsOf != nil {
			out.AsOf, out.HasAsOf = *r.AsOf, true
		}
		e.Refs = append(e.Refs, out)
	}
	return e, nil
}

// naiveTypes are the event types by their names.
func naiveTypes() map[string]event.Type {
	return map[string]event.Type{
		"task.created": event.TaskCreated, "task.started": event.TaskStarted, "task.waiting": event.TaskWaiting,
		"task.resumed": event.TaskResumed, "task.completed": event.TaskCompleted, "task.failed": event.TaskFailed,
		"task.cancelled": event.TaskCancelled, "approval.requested": event.ApprovalRequested, "approval.granted": event.ApprovalGranted,
		"approval.denied": event.ApprovalDenied, "tool.retry_scheduled": event.ToolRetryScheduled, "context.loaded": event.ContextLoaded,
		"context.dropped": event.ContextDropped, "tool.called": event.ToolCalled, "tool.result": event.ToolResult,
		"decision.proposed": event.DecisionProposed, "action.approved": event.ActionApproved, "action.rejected": event.ActionRejected,
		"action.overridden": event.ActionOverridden, "action.executed": event.ActionExecuted,
		"compensation.triggered": event.CompensationTriggered, "source.updated": event.SourceUpdated,
		"source.heartbeat": event.SourceHeartbeat, "source.available": event.SourceAvailable,
	}
}

const (
	naiveSecond = int64(1000)
	naiveMinute = 60 * naiveSecond
)

func naiveMax(v int64) naiveBound { return naiveBound{Set: true, Value: v} }

// naiveContext returns a context with the defaults of the contract file.
func naiveContext(owner, serving string, change func(*freshness.Context)) freshness.Context {
	c := freshness.Context{Owner: owner, ServingOwner: serving, History: 1024, VersionsLimit: 16384}
	if change != nil {
		change(&c)
	}
	return c
}

// naiveAdversarial is the contract of the sets adversarial-1 to -3.
func naiveAdversarial() naiveContract {
	return naiveContract{
		Contexts: map[string]freshness.Context{
			"policy": naiveContext("risk", "pay", func(c *freshness.Context) {
				c.MaxSilence, c.HasMaxSilence, c.Reported = freshness.Duration(10*naiveMinute), true, true
			}),
			"feature": naiveContext("ml", "ml", func(c *freshness.Context) { c.Basis = freshness.ByPublished }),
			"doc":     naiveContext("kb", "ml", func(c *freshness.Context) { c.Reported = true }),
			"prompt":  naiveContext("pay", "pay", nil),
		},
		Workflows: map[string]naiveWorkflow{
			"refund": {
				Owner: "pay", Require: []string{"policy"},
				Bounds: map[string]naiveBounds{
					"policy":  {Staleness: naiveMax(60 * naiveSecond), Versions: naiveMax(1)},
					"feature": {Age: naiveMax(30 * naiveSecond), Staleness: naiveMax(5 * naiveSecond)},
					"*":       {Age: naiveMax(10 * naiveMinute)},
				},
				Classes: naiveLarge(),
			},
			"triage": {
				Owner: "kb",
				Bounds: map[string]naiveBounds{
					"doc":    {Versions: naiveMax(0)},
					"policy": {Staleness: naiveMax(5 * naiveMinute)},
					"prompt": {},
					"*":      {Age: naiveMax(20 * naiveMinute)},
				},
			},
		},
	}
}

// naiveLarge is the decision class of the adversarial contracts.
func naiveLarge() map[string]map[string]naiveBounds {
	return map[string]map[string]naiveBounds{"large": {
		"policy":  {Staleness: naiveMax(0), Versions: naiveMax(0)},
		"feature": {Staleness: naiveBound{Null: true}, Age: naiveMax(60 * naiveSecond)},
		"prompt":  {},
	}}
}

// naiveShort is the contract of the set adversarial-4: short histories, and silence with age bounds.
func naiveShort() naiveContract {
	c := naiveAdversarial()
	c.Contexts["feature"] = naiveContext("ml", "ml", func(c *freshness.Context) {
		c.Basis, c.History, c.MaxSilence, c.HasMaxSilence = freshness.ByPublished, 3, freshness.Duration(45*naiveSecond), true
	})
	c.Contexts["doc"] = naiveContext("kb", "ml", func(c *freshness.Context) {
		c.Reported, c.History, c.MaxSilence, c.HasMaxSilence = true, 2, freshness.Duration(3*naiveMinute), true
	})
	c.Workflows["refund"].Bounds["feature"] = naiveBounds{
		Age: naiveMax(60 * naiveSecond), Staleness: naiveMax(10 * naiveMinute), Versions: naiveMax(5),
	}
	c.Workflows["triage"].Bounds["doc"] = naiveBounds{Age: naiveMax(6 * naiveMinute), Staleness: naiveMax(30 * naiveMinute)}
	c.Workflows["triage"].Bounds["policy"] = naiveBounds{Staleness: naiveMax(20 * naiveMinute), Age: naiveMax(15 * naiveMinute)}
	return c
}

// naiveSessions is the contract of the set coding-sessions.
func naiveSessions() naiveContract {
	return naiveContract{
		Contexts: map[string]freshness.Context{"file": naiveContext("repo", "agents", nil)},
		Workflows: map[string]naiveWorkflow{"coding-session": {
			Owner:   "agents",
			Bounds:  map[string]naiveBounds{"file": {Staleness: naiveMax(60 * naiveSecond), Versions: naiveMax(1)}},
			Classes: map[string]map[string]naiveBounds{"commit": {"file": {Staleness: naiveMax(0), Versions: naiveMax(0)}}},
		}},
	}
}

// naiveGoldenSet reads a golden set: its events and its lines.
func naiveGoldenSet(t *testing.T, name string) ([]event.Event, []naiveLine) {
	t.Helper()
	var events []event.Event
	for _, line := range testfile.Lines(t, filepath.Join("..", "testdata", "golden", name+".events.ndjson.gz")) {
		e, err := naiveEvent(line)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	var lines []naiveLine
	for _, line := range testfile.Lines(t, filepath.Join("..", "testdata", "golden", name+".verdicts.ndjson.gz")) {
		l, err := readNaiveLine(line)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return events, lines
}

// TestNaiveGolden holds the naive judgement itself to the golden sets: it is the oracle of the random histories.
func TestNaiveGolden(t *testing.T) {
	for _, set := range []struct {
		name     string
		contract naiveContract
	}{
		{"adversarial-1", naiveAdversarial()},
		{"adversarial-2", naiveAdversarial()},
		{"adversarial-3", naiveAdversarial()},
		{"adversarial-4", naiveShort()},
		{"coding-sessions", naiveSessions()},
	} {
		t.Run(set.name, func(t *testing.T) {
			t.Parallel()
			events, want := naiveGoldenSet(t, set.name)
			j := newNaiveJudge(set.contract, events)
			got := j.lines()
			if len(got) != len(want) {
				t.Errorf("%d uses judged, want %d", len(got), len(want))
			}
			wrong := 0
			for i := 0; i < min(len(got), len(want)); i++ {
				if reflect.DeepEqual(got[i], want[i]) {
					continue
				}
				if wrong++; wrong <= 3 {
					t.Errorf("line %d\n got %s\nwant %s", i+1, got[i], want[i])
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d lines differ", wrong, len(want))
			}
			for _, clause := range slices.Sorted(maps.Keys(j.reached)) {
				t.Logf("%7d × %s", j.reached[clause], clause)
			}
		})
	}
}
