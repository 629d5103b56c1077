package freshness

import (
	"slices"

	"github.com/freshet-io/freshet/event"
)

// Purged says what Shrink has let go of.
type Purged struct{ Decisions, Lines int }

// Shrink lets go of what is older than an instant and can neither change any more nor change what comes: judged decision events, and the
// timeline. A proposal is kept as long as it has not been executed, for its execution may inherit from it, and so is the latest event. What
// the workflow holds stays, however old it is.
func (w *Workflow) Shrink(before event.Time) Purged {
	var p Purged
	if len(w.Lines) == 0 || w.Lines[0].Time >= before {
		return p
	}
	n := 0
	for n < len(w.Lines)-1 && w.Lines[n].Time < before {
		n++
	}
	w.Lines = slices.Clone(w.Lines[n:])
	w.marks = nil
	p.Lines = n
	uses := len(w.Uses) + len(w.Rivals)
	old := func(u Use) bool {
		if u.Time >= before {
			return false
		}
		if u.Kind == Executed {
			return true
		}
		x := w.Use(u.DecisionID, Executed)
		return x != nil && x.Time < before
	}
	// Whether a proposal goes is asked while its execution is still there.
	gone := make([]bool, len(w.Uses))
	for i := range w.Uses {
		gone[i] = w.Uses[i].Said.Revision > 0 && old(w.Uses[i])
	}
	w.Rivals = slices.DeleteFunc(w.Rivals, old)
	kept := w.Uses[:0]
	for i := range w.Uses {
		if !gone[i] {
			kept = append(kept, w.Uses[i])
		}
	}
	clear(w.Uses[len(kept):])
	w.Uses, w.decided = kept, nil
	p.Decisions = uses - len(w.Uses) - len(w.Rivals)
	return p
}
