package freshness

import "github.com/freshet-io/freshet/event"

// Held returns which version of an item a workflow has in its hands at an instant; in is false if it has none, known if it cannot be said
// which. The item may be nil.
func (w *Workflow) Held(h *Holding, at event.Time, it *Item, by Basis) (seq int64, known, in bool) {
	n := h.loadsUpTo(at)
	if n == 0 {
		return 0, false, false
	}
	l := &h.Loads[n-1]
	if d := h.dropsUpTo(at); d > 0 {
		if last := &h.Drops[d-1]; last.Time > l.Time || last.Time == l.Time && last.ID > l.ID {
			return 0, false, false
		}
	}
	v := look(it, by, at, 0)
	r := v.resolve(&l.Ref, l.Time)
	return r.seq, r.known, true
}
