package freshness_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// TestValidUntil holds the next deadline of a fresh answer to the naive judgement: up to it, nothing turns. So valid_until is never later than
// the first instant at which the answer would be another one. It may be earlier, where a given REF comes to mean another version and nothing
// follows from that, but hardly ever is.
func TestValidUntil(t *testing.T) {
	histories := *randomHistories / 10
	turned, never, early := 0, 0, 0
	for seed := *randomSeed; seed < *randomSeed+uint64(histories); seed++ {
		h := newRandomHistory(seed)
		if len(h.Records) > 100 {
			continue // the naive judgement looks at everything again for each instant
		}
		b, err := randomEvents(h.Contract.resolve(), h.Records)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		j := newNaiveJudge(h.Contract, h.events())
		r := rand.New(rand.NewPCG(seed, 2))
		for range 4 {
			a := asking{j: j, w: b.Workflow("w0")}
			a.aim(h, r)
			until, has, ok := a.deadline(b, h.Contract.resolve())
			if !ok {
				continue
			}
			if has {
				turned++
			} else {
				never++
			}
			at, same := a.firstTurn(until, has)
			if same {
				early++
			} else if at != 0 {
				t.Fatalf("seed %d: asked %+v, valid until %d (%v), and at %d the verdict is another one; repeat with\n\tgo test ./freshness -run 'TestValidUntil$' -seed %d -histories 10",
					seed, a.q, until-randomStart, has, at-randomStart, seed)
			}
		}
	}
	if *randomHistories >= 4000 && (turned < 30 || never < 10 || early > turned/10) {
		t.Fatalf("%d fresh answers with an end, %d of them too early, %d without: the test proves little", turned, early, never)
	}
	t.Logf("%d fresh answers end to be so, %d of them earlier than need be, %d do not", turned, early, never)
}

// asking is one question to both judgements.
type asking struct {
	j *naiveJudge
	w *freshness.Workflow
	q freshness.Question
}

// aim asks at an instant of a history, under the class of one of its decisions, and sometimes about REFs that one of its events names.
func (a *asking) aim(h randomHistory, r *rand.Rand) {
	events := h.events()
	e := events[r.IntN(len(events))]
	a.q.At = e.Time + event.Time(r.IntN(3)) - 1
	e = events[r.IntN(len(events))]
	a.q.Class, a.q.HasClass = e.Class, e.HasClass
	if r.IntN(3) == 0 && len(e.Refs) > 0 {
		a.q.Items, a.q.HasItems = e.Refs, true
	}
}

// deadline asks, and for the deadline if the answer is fresh; ok is false if it is not.
func (a *asking) deadline(b *freshness.Batch, c *freshness.Contract) (until event.Time, has, ok bool) {
	if a.w == nil {
		return 0, false, false
	}
	var v freshness.Verdict
	if a.w.Ask(&a.q, b.Facts(), c, &v); v.Kind != freshness.IsFresh {
		return 0, false, false
	}
	until, has = a.w.NextDeadline(&a.q, b.Facts(), c, &v)
	return until, has, true
}

// at is the naive judgement at an instant: the verdicts of the use and of each item.
func (a *asking) at(x event.Time) []string {
	use := event.Event{Type: event.ActionExecuted, Subject: "w0", Time: x, DecisionID: "asked", Class: a.q.Class, HasClass: a.q.HasClass, Refs: a.q.Items, HasBasedOn: a.q.HasItems}
	l := a.j.judge("w0", use)
	said := []string{l.Verdict}
	for _, it := range l.Items {
		if it.Verdict != "fresh" {
			said = append(said, it.Kind, it.Key, it.Verdict)
		}
	}
	return said
}

// instants are all at which anything can turn by itself, and those beside them: each instant of the history, each bound after it.
func (a *asking) instants() []event.Time {
	var all []event.Time
	begin := func(t event.Time) {
		for _, d := range a.lengths() {
			for _, by := range []event.Time{-1, 0, 1, 2} {
				all = append(all, t+d+by)
			}
		}
	}
	for _, of := range []map[string][]event.Event{a.j.workflows, a.j.sources} {
		for _, events := range of {
			for _, e := range events {
				for _, t := range []event.Time{e.Time, e.Appended, e.Recorded, e.EffectiveAt, e.Through} {
					begin(t)
				}
				for _, ref := range e.Refs {
					begin(ref.AsOf)
				}
			}
		}
	}
	for _, ref := range a.q.Items {
		begin(ref.AsOf)
	}
	begin(a.q.At)
	slices.Sort(all)
	return slices.Compact(all)
}

// lengths are those of all bounds, and 0.
func (a *asking) lengths() []event.Time {
	seen := map[event.Time]bool{0: true}
	note := func(level map[string]naiveBounds) {
		for _, b := range level {
			for _, one := range []naiveBound{b.Staleness, b.Age} {
				if one.Set {
					seen[event.Time(one.Value)] = true
				}
			}
		}
	}
	for _, w := range a.j.contract.Workflows {
		note(w.Bounds)
		for _, class := range w.Classes {
			note(class)
		}
	}
	for _, c := range a.j.contract.Contexts {
		if c.HasMaxSilence {
			seen[event.Time(c.MaxSilence)] = true
		}
	}
	var all []event.Time
	for d := range seen {
		all = append(all, d)
	}
	return all
}

// firstTurn looks for an instant before the deadline at which the naive judgement has turned; early says that at the deadline it has not.
func (a *asking) firstTurn(until event.Time, has bool) (at event.Time, early bool) {
	was := a.at(a.q.At)
	for _, x := range a.instants() {
		if x > a.q.At && (!has || x < until) && !reflect.DeepEqual(a.at(x), was) {
			return x, false
		}
	}
	if has && reflect.DeepEqual(a.at(until), was) {
		return until, true
	}
	return 0, false
}
