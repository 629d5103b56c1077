package freshness

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/freshet-io/freshet/event"
)

// TestHoldsOutOfOrder compares the table of a long workflow with going through its steps for every question, while steps come out of order and
// far more calls are open than fit into a sweep.
func TestHoldsOutOfOrder(t *testing.T) {
	types := []event.Type{event.ApprovalRequested, event.ApprovalGranted, event.ToolCalled, event.ToolCalled, event.ToolResult, event.ToolRetryScheduled,
		event.TaskWaiting, event.TaskResumed, event.TaskFailed}
	for seed := int64(1); seed <= 20; seed++ {
		r := rand.New(rand.NewSource(seed))
		w, lim := NewWorkflow("wf"), DefaultLimits()
		kinds, saved := map[int]bool{}, 0
		for i := range 800 {
			at := event.Time(10 * i)
			if r.Intn(4) == 0 {
				at = event.Time(r.Intn(10*i + 1))
			}
			e := &event.Event{Type: types[r.Intn(len(types)-r.Intn(2))], Time: at, ID: fmt.Sprint(r.Intn(50)), CallID: fmt.Sprint(r.Intn(30))}
			e.Data = fmt.Sprint(e.Type, e.CallID)
			w.Fold(e, Position{}, &lim)
			if i%3 > 0 {
				continue
			}
			from := event.Time(r.Intn(10*i + 10))
			to := from + event.Time(r.Intn(2000))
			got, want := w.held(from, to), w.heldFew(from, to)
			if got != want {
				t.Fatalf("seed %d, %d steps: [%d, %d] is %v, want %v", seed, len(w.Steps), from, to, got, want)
			}
			if w.timeline != nil {
				saved = max(saved, len(w.timeline.saved))
			}
			for k, d := range got {
				kinds[k] = kinds[k] || d > 0
			}
		}
		if saved < 5 || len(kinds) != holdKinds+1 {
			t.Fatalf("%d sweeps saved, kinds %v: the test proves little", saved, kinds)
		}
	}
}
