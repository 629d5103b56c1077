package freshness

import (
	"slices"

	"github.com/freshet-io/freshet/event"
)

// What a limit leaves out depends on the set of events alone. Lists with a total order keep its greatest entries, and the greatest entries
// of a union are among the greatest of its parts. Items have no order that events cannot change, so there an instant is raised up to which
// everything is left out. What a verdict could rest on and is gone makes it unknown (history_truncated).

// DefaultLimits are limits that no workflow of the golden sets comes near.
func DefaultLimits() Limits {
	return Limits{Items: 4096, LoadsPerItem: 1024, Uses: 4096, Steps: 8192, Lines: 16384}
}

// leaveOut takes note that a load or drop at t has been left out. A use is certain of what it had loaded if that is later than all that was
// left out; the causes of one that says its items itself may rest on any load.
func (h *Holding) leaveOut(t event.Time, touched *Touched) {
	from := beginning
	if h.Cut {
		from = min(t, h.Through)
	}
	if !h.Cut || t > h.Through {
		h.Through = t
	}
	h.Cut = true
	touched.cut(from, h.nextLoad(h.Through))
	touched.CutLoads = min(touched.CutLoads, t)
}

// last returns the event time of the latest load or drop of an item.
func (h *Holding) last() event.Time {
	t := beginning
	if n := len(h.Loads); n > 0 {
		t = h.Loads[n-1].Time
	}
	if n := len(h.Drops); n > 0 {
		t = max(t, h.Drops[n-1].Time)
	}
	return t
}

// cutItems raises the instant up to which loads and drops are left out until what is left is of as few items as the limit says. That
// instant is a function of the set of events, so the order of arrival does not matter.
func (w *Workflow) cutItems(lim *Limits, t *Touched) {
	over := len(w.Items) - lim.Items
	if over <= 0 {
		return
	}
	ends := make([]event.Time, len(w.Items))
	for i := range w.Items {
		ends[i] = w.Items[i].last()
	}
	slices.Sort(ends)
	w.cutLoads(ends[over-1], t)
}

// cutLoads leaves out all loads and drops up to an instant.
func (w *Workflow) cutLoads(through event.Time, t *Touched) {
	kept := w.Items[:0]
	for _, h := range w.Items {
		for len(h.Loads) > 0 && h.Loads[0].Time <= through {
			h.Loads, _ = behead(h.Loads)
			w.Cut.Loads++
		}
		for len(h.Drops) > 0 && h.Drops[0].Time <= through {
			h.Drops, _ = behead(h.Drops)
			w.Cut.Loads++
		}
		if h.Cut && h.Through <= through {
			h.Cut, h.Through = false, 0
		}
		if len(h.Loads)+len(h.Drops) > 0 {
			kept = append(kept, h)
		} else {
			w.Cut.Items++
		}
	}
	clear(w.Items[len(kept):])
	w.Items = kept
	w.Cut.Items = max(w.Cut.Items, 1)
	w.Cut.LoadsThrough = through
	t.cut(beginning, forever)
}

// cutSteps leaves the earliest steps out beyond the limit. Their seconds become hold_other; no verdict rests on them.
func (w *Workflow) cutSteps(lim *Limits, t *Touched) {
	for len(w.Steps) > lim.Steps {
		rest, gone := behead(w.Steps)
		w.Steps = rest
		w.Cut.Steps++
		if w.Cut.Steps == 1 || gone.Time > w.Cut.StepsThrough {
			w.Cut.StepsThrough = gone.Time
		}
		t.touch(gone.Time, forever, true)
	}
	w.timeline = holds{}
}

// cutUses leaves the earliest decision events out beyond the limit, those that hold and those that do not. Where one that held goes, the
// smallest of its rivals holds.
func (w *Workflow) cutUses(lim *Limits, t *Touched) {
	for len(w.Uses)+len(w.Rivals) > lim.Uses {
		if w.Cut.Uses++; w.Cut.Uses == 1 {
			// From now on an execution without a proposal may have lost one.
			t.cut(beginning, forever)
		}
		var gone Use
		if len(w.Uses) == 0 || len(w.Rivals) > 0 && compareUses(&w.Rivals[0], &w.Uses[0]) < 0 {
			w.Rivals, gone = behead(w.Rivals)
		} else {
			w.Uses, gone = behead(w.Uses)
			delete(w.decided, useKey{gone.DecisionID, gone.Kind})
			w.succeed(&gone, t)
		}
		if w.Cut.Uses == 1 || gone.Time > w.Cut.UsesThrough {
			w.Cut.UsesThrough = gone.Time
		}
	}
}

// succeed lets the smallest rival of a use that is gone hold in its place.
func (w *Workflow) succeed(gone *Use, t *Touched) {
	for i := range w.Rivals {
		if r := &w.Rivals[i]; r.Kind == gone.Kind && r.DecisionID == gone.DecisionID {
			u := *r
			u.Said = gone.Said
			w.Rivals = slices.Delete(w.Rivals, i, i+1)
			w.enthrone(u)
			t.cut(u.Time, u.Time)
			break
		}
	}
	if gone.Kind == Proposed {
		t.Any = true
		t.Orphans = append(t.Orphans, gone.DecisionID)
	}
}
