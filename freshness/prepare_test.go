package freshness

import (
	"fmt"
	"sync"
	"testing"

	"github.com/freshet-io/freshet/event"
)

// A prepared workflow is judged by several goroutines at once: what judging keeps must all be there before.
func TestPreparedWorkflowsAreNotWrittenTo(t *testing.T) {
	c := adversarialContract(false)
	lim := DefaultLimits()
	w := NewWorkflow("long")
	facts := NewFacts()
	for seq := range int64(5) {
		facts.Apply(&event.Event{Type: event.SourceUpdated, Kind: "policy", Key: "k", Seq: seq, Time: event.Time(seq * 100_000), EffectiveAt: event.Time(seq * 100_000), ID: fmt.Sprint("v", seq)}, Position{}, 0)
	}
	types := []event.Type{event.ApprovalRequested, event.ApprovalGranted, event.TaskWaiting, event.TaskResumed, event.DecisionProposed, event.ActionExecuted}
	for i := range 600 {
		e := event.Event{Type: types[i%len(types)], Time: event.Time(i * 1000), ID: fmt.Sprint(i), DecisionID: fmt.Sprint("d", i/12), WorkflowType: "refund"}
		if i == 0 {
			e.Type, e.Refs = event.ContextLoaded, []event.Ref{{Kind: "policy", Key: "k", Seq: 0, HasSeq: true}}
		}
		w.Fold(&e, Position{}, &lim)
	}
	w.Prepare()
	uses, points := len(w.decided), len(w.timeline.points)
	if uses != len(w.Uses) || points != len(w.Steps) || uses <= few || points <= few {
		t.Fatalf("%d of %d uses and %d of %d steps are prepared", uses, len(w.Uses), points, len(w.Steps))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var v Verdict
			for i := range w.Uses {
				w.Judge(&w.Uses[i], facts, c, &v)
			}
			w.JudgeAt(10_000_000, "", facts, c, &v)
			if v.Kind != IsStale {
				t.Errorf("%v: the causes of a stale verdict are what keeps something", v.Kind)
			}
		})
	}
	wg.Wait()
	if len(w.decided) != uses || len(w.timeline.points) != points {
		t.Error("judging has kept something")
	}
}
