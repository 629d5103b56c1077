package freshness

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"testing"

	"github.com/freshet-io/freshet/event"
)

// shuffled returns the events in another order, some of them repeated.
func shuffled(r *rand.Rand, events []*event.Event) []*event.Event {
	var out []*event.Event
	for _, e := range events {
		out = append(out, e)
		for r.Intn(5) == 0 {
			out = append(out, e)
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// TestGoldenFromTwoFolds splits every golden set into two overlapping parts, folds each on its own, and unites them.
func TestGoldenFromTwoFolds(t *testing.T) {
	for name := range goldenSets() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := readGolden(t, name)
			for seed := int64(1); seed <= 4; seed++ {
				r := rand.New(rand.NewSource(seed))
				a, b := NewBatch(g.contract, DefaultLimits()), NewBatch(g.contract, DefaultLimits())
				for i, e := range shuffled(r, g.events) {
					at := Position{Topic: fmt.Sprint("t", r.Intn(3)), Offset: int64(i)}
					which := r.Intn(5)
					if which != 0 {
						a.Add(e, at)
					}
					if which != 1 && which != 2 {
						b.Add(e, at)
					}
				}
				unite(a, b)
				mustEqual(t, fmt.Sprintf("united with seed %d", seed), goldenOf(t, a), g.verdicts)
			}
		})
	}
}

// unite adds what b knows to a.
func unite(a, b *Batch) {
	for id, w := range b.workflows {
		mine := a.workflows[id]
		if mine == nil {
			mine = NewWorkflow(id)
			a.workflows[id] = mine
		}
		mine.Merge(w, &a.limits)
	}
	for n, it := range b.facts.items {
		limit := 0
		if ctx := a.contract.Contexts[n.kind]; ctx != nil {
			limit = ctx.VersionsLimit
		}
		if mine := a.facts.items[n]; mine != nil {
			it = mine.Merge(it, limit)
		}
		a.facts.Put(it)
	}
	for kind, life := range b.facts.lives {
		if mine, ok := a.facts.lives[kind]; !ok || life > mine {
			a.facts.lives[kind] = life
		}
	}
}

// TestGoldenThroughJSON stores every workflow and item half way, reads them back and goes on.
func TestGoldenThroughJSON(t *testing.T) {
	for name := range goldenSets() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := readGolden(t, name)
			events := shuffled(rand.New(rand.NewSource(7)), g.events)
			b := NewBatch(g.contract, DefaultLimits())
			for i, e := range events {
				if i == len(events)/2 {
					stored(t, b)
				}
				b.Add(e, Position{Topic: "t", Offset: int64(i)})
			}
			stored(t, b)
			mustEqual(t, name, goldenOf(t, b), g.verdicts)
		})
	}
}

// stored replaces all that a batch knows by what is left of it after a round trip through JSON. Items are read back chunk by chunk.
func stored(tb testing.TB, b *Batch) {
	tb.Helper()
	through := func(in, out any) {
		raw, err := json.Marshal(in)
		if err == nil {
			err = json.Unmarshal(raw, out)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	for id, w := range b.workflows {
		back := new(Workflow)
		through(w, back)
		b.workflows[id] = back
	}
	for n, it := range b.facts.items {
		var head ItemHead
		through(it.Head(), &head)
		head.Next = 0 // it follows from the chunks
		back := NewItem(n.kind, n.key).WithHead(head)
		for c := uint32(0); c < it.Chunks(); c++ {
			var vs []*Version
			through(it.ChunkVersions(c), &vs)
			if len(vs) > ChunkSize {
				tb.Fatalf("%s/%s: %d versions in chunk %d", n.kind, n.key, len(vs), c)
			}
			for _, v := range vs {
				back = back.Put(v)
			}
		}
		if back.head.Next != it.head.Next || back.Len() != it.Len() {
			tb.Fatalf("%s/%s: next %d, %d versions; stored %d, %d", n.kind, n.key, back.head.Next, back.Len(), it.head.Next, it.Len())
		}
		b.facts.items[n] = back
	}
}

// TestOnlyWhatIsTouchedChanges folds golden sets event by event in a random order, judges every use again after each, and demands that a
// verdict only changes where the event said it could.
func TestOnlyWhatIsTouchedChanges(t *testing.T) {
	for seed, name := range []string{"adversarial-1", "adversarial-2", "adversarial-3", "adversarial-4"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := readGolden(t, name)
			events := shuffled(rand.New(rand.NewSource(int64(seed))), g.events)
			watch := watcher{t: t, b: NewBatch(g.contract, DefaultLimits())}
			for i, e := range events {
				watch.add(e, Position{Topic: "t", Offset: int64(i)})
			}
			if watch.changes < 1000 || watch.spared < 10*watch.changes {
				t.Fatalf("%d changes, %d uses spared: the test proves little", watch.changes, watch.spared)
			}
		})
	}
}

// watcher judges all uses after every event.
type watcher struct {
	t               *testing.T
	b               *Batch
	v               Verdict
	changes, spared int
}

func (x *watcher) add(e *event.Event, at Position) {
	switch e.Type {
	case event.SourceUpdated, event.SourceHeartbeat, event.SourceAvailable:
		limit := 0
		if ctx := x.b.contract.Contexts[e.Kind]; ctx != nil {
			limit = ctx.VersionsLimit
		}
		ch := x.b.facts.Apply(e, at, limit)
		for _, w := range x.b.workflows {
			for i := range w.Uses {
				u := &w.Uses[i]
				x.check(e, w, u, ch.Any && (u.Time >= ch.From || u.Said.Unsettled) || ch.Purged)
			}
		}
	default:
		w := x.b.workflows[e.Subject]
		if w == nil {
			w = NewWorkflow(e.Subject)
			x.b.workflows[e.Subject] = w
		}
		touched := w.Fold(e, at, &x.b.limits)
		affected := make(map[*Use]bool)
		for u := range w.Affected(touched) {
			if affected[u] {
				x.t.Fatalf("%s is affected twice by %+v", u.DecisionID, e)
			}
			affected[u] = true
		}
		for i := range w.Uses {
			x.check(e, w, &w.Uses[i], affected[&w.Uses[i]])
		}
	}
}

func (x *watcher) check(e *event.Event, w *Workflow, u *Use, mayChange bool) {
	w.Judge(u, x.b.facts, x.b.contract, &x.v)
	digest := x.v.Digest(u, u.CheckID)
	switch {
	case u.Said.Revision == 0 && !mayChange && e.Type != event.DecisionProposed && e.Type != event.ActionExecuted:
		x.t.Fatalf("use %s %s of %s came from nowhere", u.DecisionID, u.Kind, w.ID)
	case digest == u.Said.Digest && u.Said.Revision > 0:
		if !mayChange {
			x.spared++
		}
	case u.Said.Revision > 0 && !mayChange:
		x.t.Fatalf("an untouched use has changed: %s\nby %+v\nsaid %+v", AppendGolden(nil, w, u, &x.v), e, u.Said)
	default:
		x.changes++
	}
	u.Said = Said{Revision: 1, Digest: digest, Verdict: x.v.Kind, Unsettled: x.v.Unsettled()}
}
