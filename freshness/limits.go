package freshness

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/freshet-io/freshet/event"
)

// What a limit leaves out depends on the set of events alone. Lists with a total order keep its greatest entries, and the greatest entries
// of a union are among the greatest of its parts. Items have no order that events cannot change, and decisions name more or fewer items, so there an
// instant is raised up to which everything is left out. What a verdict could rest on and is gone makes it unknown (history_truncated).

// DefaultLimits are limits that no workflow of the golden sets comes near. With names as long as the decoder lets them be, a row that
// reaches all of them is smaller than the largest record of a table; package state has the arithmetic.
func DefaultLimits() Limits {
	return Limits{Items: 768, LoadsPerItem: 512, Loads: 1024, Uses: 1024, Refs: 1024, Steps: 4096, Lines: 8192}
}

const (
	// DataKept is how many bytes of an event's data decide between events that have time, id and source in common.
	DataKept = 512
	// callKept is the length of the longest call_id that is kept as it is.
	callKept = 64
	// topicsKept is how many topics a workflow's events may come from for their names to be known.
	topicsKept = 256
)

// tieBreak returns what is kept of an event's data: the data, or of one that is long its beginning and a hash. So events are in the order of
// their bytes if they differ in the beginning, and in some order that is always the same if they differ later.
func tieBreak(data string) string {
	if len(data) <= DataKept {
		return data
	}
	sum := sha256.Sum256([]byte(data))
	return data[:DataKept-hex.EncodedLen(16)] + hex.EncodeToString(sum[:16])
}

// callName returns what is kept of a call_id. Calls are only told apart by it.
func callName(id string) string {
	if len(id) <= callKept {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:16])
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

// cutRepeats leaves out the earliest loads and drops beyond the limit on all items together, but for the latest load and the latest drop of
// each item: so an item that is loaded again and again pushes out nothing of the others that a use now would need. What is later than a load
// and repeats another one does so in every larger set of events too; that is why the order of arrival does not matter here either.
func (w *Workflow) cutRepeats(lim *Limits, t *Touched) {
	n := 0
	for i := range w.Items {
		n += max(0, len(w.Items[i].Loads)-1) + max(0, len(w.Items[i].Drops)-1)
	}
	for ; n > lim.Loads; n-- {
		first, drop := -1, false
		at := forever
		for i := range w.Items {
			h := &w.Items[i]
			if len(h.Loads) > 1 && h.Loads[0].Time < at {
				first, drop, at = i, false, h.Loads[0].Time
			}
			if len(h.Drops) > 1 && h.Drops[0].Time < at {
				first, drop, at = i, true, h.Drops[0].Time
			}
		}
		w.Items[first].behead(drop, t)
		w.Cut.Loads++
	}
}

// behead leaves the earliest load, or drop, of an item out.
func (h *Holding) behead(drop bool, t *Touched) {
	if drop {
		var gone Drop
		h.Drops, gone = behead(h.Drops)
		h.leaveOut(gone.Time, t)
		return
	}
	var gone Load
	h.Loads, gone = behead(h.Loads)
	h.leaveOut(gone.Time, t)
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
	w.timeline = nil
}

// cutUses raises the instant up to which decision events are left out, those that hold and those that do not, until what is left is within the
// limits on them and on the REFs they name. Where one that held goes, the smallest of its rivals holds.
func (w *Workflow) cutUses(lim *Limits, t *Touched) {
	refs := 0
	for _, uses := range [][]Use{w.Uses, w.Rivals} {
		for i := range uses {
			refs += len(uses[i].BasedOn)
		}
	}
	for len(w.Uses)+len(w.Rivals) > lim.Uses || refs > lim.Refs {
		refs -= w.cutUsesThrough(w.earliestUse(), t)
	}
}

// earliestUse returns the event time of the earliest decision event.
func (w *Workflow) earliestUse() event.Time {
	at := forever
	for _, uses := range [][]Use{w.Uses, w.Rivals} {
		if len(uses) > 0 {
			at = min(at, uses[0].Time)
		}
	}
	return at
}

// cutUsesThrough leaves out all decision events up to an instant and returns how many REFs they name.
func (w *Workflow) cutUsesThrough(through event.Time, t *Touched) (refs int) {
	if w.Cut.Uses == 0 {
		// From now on an execution without a proposal may have lost one.
		t.cut(beginning, forever)
		w.Cut.Uses, w.Cut.UsesThrough = 1, through
	}
	w.Cut.UsesThrough = max(w.Cut.UsesThrough, through)
	for ; w.earliestUse() <= through; w.Cut.Uses++ {
		var gone Use
		if len(w.Uses) == 0 || len(w.Rivals) > 0 && compareUses(&w.Rivals[0], &w.Uses[0]) < 0 {
			w.Rivals, gone = behead(w.Rivals)
		} else {
			w.Uses, gone = behead(w.Uses)
			delete(w.decided, useKey{gone.DecisionID, gone.Kind})
			w.succeed(&gone, t)
		}
		refs += len(gone.BasedOn)
	}
	return refs
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
