package freshness

import (
	"sort"

	"github.com/freshet-io/freshet/event"
)

// deadlineRounds bounds how many instants are tried. An instant too early does no harm: it is asked again from there.
const deadlineRounds = 32

// NextDeadline returns the first instant after a question's at which time alone, without any event, turns the verdict or that of a judged
// item; none if there is no such instant. V is the answer to the question.
func (w *Workflow) NextDeadline(q *Question, src Sources, c *Contract, v *Verdict) (event.Time, bool) {
	if v.scratch == nil {
		v.scratch = new(Verdict)
	}
	next, now := *q, v
	for round := 0; ; round++ {
		x := w.nextInstant(&next, src, now)
		if x == forever {
			return 0, false
		}
		if round == deadlineRounds {
			return x, true
		}
		next.At, now = x, v.scratch
		w.Ask(&next, src, c, now)
		if turned(v, now) {
			return x, true
		}
	}
}

// turned says whether a later verdict differs from an earlier one as far as anybody acts on it.
func turned(was, is *Verdict) bool {
	if was.Kind != is.Kind {
		return true
	}
	i := 0
	for j := range is.Items {
		n := &is.Items[j]
		for i < len(was.Items) && compareItems(was.Items[i], *n) < 0 {
			if was.Items[i].Verdict != IsFresh {
				return true
			}
			i++
		}
		if i < len(was.Items) && compareItems(was.Items[i], *n) == 0 {
			if was.Items[i].Verdict != n.Verdict {
				return true
			}
			i++
		} else if n.Verdict != IsFresh {
			return true
		}
	}
	for ; i < len(was.Items); i++ {
		if was.Items[i].Verdict != IsFresh {
			return true
		}
	}
	return false
}

// nextInstant returns the first instant after the question's from which a measure may pass a bound or the use set may be another one.
func (w *Workflow) nextInstant(q *Question, src Sources, v *Verdict) event.Time {
	if v.plan.rules == nil || v.Reasons.Has(NoContract) {
		return forever
	}
	next := forever
	note := func(t event.Time) {
		if t > q.At {
			next = min(next, t)
		}
	}
	if !q.HasItems {
		for i := range w.Items {
			h := &w.Items[i]
			if p := v.plan.of(h.Kind); !p.judged && !p.required {
				continue
			}
			if n := h.loadsUpTo(q.At); n < len(h.Loads) {
				note(h.Loads[n].Time)
			}
			if n := h.dropsUpTo(q.At); n < len(h.Drops) {
				note(h.Drops[n].Time)
			}
		}
	}
	for i := range v.Items {
		iv := &v.Items[i]
		p := v.plan.of(iv.Kind)
		if p.bounds.HasStaleness && iv.Superseded {
			note(after(iv.SupersededAt, p.bounds.MaxStaleness))
		}
		if p.bounds.HasAge && iv.HasAge {
			note(after(iv.AsOf, p.bounds.MaxAge))
		}
		it := src.Item(iv.Kind, iv.Key)
		if p.hasSilence {
			life, alive := it.life(q.At)
			if k, ok := src.KindLife(iv.Kind); ok && (!alive || k > life) {
				life, alive = k, true
			}
			if alive {
				note(after(life, p.silence))
			}
			note(it.nextLife(q.At))
		}
		if b := it.nextForce(p.basis, q.At); b < forever {
			// It counts as newer once b < t, a version string of a given REF may mean it once b = t.
			note(b)
			note(b + 1)
		}
	}
	return next
}

// after returns the first instant at which more than d has passed since t.
func after(t event.Time, d Duration) event.Time {
	if d >= Duration(forever-t) {
		return forever
	}
	return t + event.Time(d) + 1
}

// nextForce returns the first instant, t or later, at which a version comes into force.
func (it *Item) nextForce(by Basis, t event.Time) event.Time {
	next := forever
	if it == nil {
		return next
	}
	for i := len(it.blocks) - 1; i >= 0; i-- {
		b := it.blocks[i]
		if b.max[by] < t {
			if it.byBasis[by] {
				break
			}
			continue
		}
		if b.min[by] >= t {
			next = min(next, b.min[by])
			continue
		}
		for j := range b.entries {
			if at := b.entries[j].b[by]; at >= t {
				next = min(next, at)
			}
		}
	}
	return next
}

// nextLife returns the first sign of life after t among the item's updates.
func (it *Item) nextLife(t event.Time) event.Time {
	next := forever
	if it == nil {
		return next
	}
	losers := it.head.Losers
	if i := sort.Search(len(losers), func(i int) bool { return losers[i].Time > t }); i < len(losers) {
		next = losers[i].Time
	}
	for i := len(it.blocks) - 1; i >= 0; i-- {
		b := it.blocks[i]
		if b.maxTime <= t {
			if it.byTime {
				break
			}
			continue
		}
		if b.minTime > t {
			next = min(next, b.minTime)
			continue
		}
		for j := range b.entries {
			if at := b.entries[j].time; at > t {
				next = min(next, at)
			}
		}
	}
	return next
}
