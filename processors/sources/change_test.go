package sources

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// judged returns what is said of a use of a version at an instant, and whether any change of the item may change that.
func judged(view *View, ref event.Ref, at event.Time) (said string, unsettled bool) {
	bound := freshness.Bounds{MaxStaleness: 3, HasStaleness: true, MaxVersionsBehind: 1, HasVersions: true}
	contract := &freshness.Contract{
		Contexts: map[string]*freshness.Context{"policy": {MaxSilence: 4, HasMaxSilence: true, History: 100}},
		Classes:  map[string]map[string]*freshness.Rules{"refund": {"": {Kinds: map[string]freshness.KindBounds{"policy": {Bounds: bound, Judged: true}}}}},
	}
	w, lim := freshness.NewWorkflow("w"), freshness.DefaultLimits()
	w.Fold(&event.Event{Type: event.DecisionProposed, ID: "d", Time: at, DecisionID: "d", WorkflowType: "refund", HasBasedOn: true, Refs: []event.Ref{ref}}, freshness.Position{}, &lim)
	var v freshness.Verdict
	w.Judge(&w.Uses[0], view, contract, &v)
	return fmt.Sprint(v.Kind, v.Reasons, v.HasStaleness, v.Staleness, v.HasBehind, v.Behind, v.HasAge, v.Age, v.Silent), v.Unsettled()
}

// TestCutsConcernWhatChanges gives an item versions in any order of arrival, beyond its limit, and looks after each record of its table
// which uses are judged otherwise: the changes that are said must reach all of them.
func TestCutsConcernWhatChanges(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("FRESHET_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("repeat with FRESHET_TEST_SEED=%d go test ./processors/sources -run '^%s$'", seed, t.Name())
	rng := rand.New(rand.NewPCG(seed, 1))
	const last = 24
	cuts, turned := 0, 0
	for range 60 {
		tb := newTable(1)
		var heard []Change
		tb.view.Listen(func(c Change) { heard = append(heard, c) })
		r := &itemRow{item: freshness.NewItem("policy", "p"), head: true}
		said, unsettled := map[[2]int64]string{}, map[[2]int64]bool{}
		all := func(f func(seq int64, at event.Time)) {
			for seq := int64(1); seq <= last/2; seq++ {
				for at := event.Time(0); at <= last+6; at++ {
					f(seq, at)
				}
			}
		}
		ref := func(seq int64) event.Ref { return event.Ref{Kind: "policy", Key: "p", HasSeq: true, Seq: seq} }
		all(func(seq int64, at event.Time) {
			k := [2]int64{seq, int64(at)}
			said[k], unsettled[k] = judged(tb.view, ref(seq), at)
		})
		for range 30 {
			seq := 1 + rng.Int64N(last/2)
			at := event.Time(2*seq + rng.Int64N(4))
			e := &event.Event{Type: event.SourceUpdated, Time: at, Appended: at + event.Time(rng.IntN(3)), EffectiveAt: at - event.Time(rng.IntN(3)), ID: fmt.Sprint(at), Source: "s", Kind: "policy", Key: "p", Seq: seq, Data: "{}"}
			if rng.IntN(20) == 0 {
				e = &event.Event{Type: event.SourceHeartbeat, Time: at, Through: at, Kind: "policy", Key: "p"}
			}
			next, ch := r.item.Apply(e, freshness.Position{}, 4)
			r.item, r.head = next, r.head || ch.Head
			if ch.HasChunk {
				r.touch(ch.Chunk)
			}
			for _, c := range ch.Emptied {
				r.touch(c)
			}
			if rng.IntN(3) == 0 {
				continue // several changes in one transaction
			}
			heard = nil
			tb.put(0, r)
			all(func(seq int64, at event.Time) {
				k := [2]int64{seq, int64(at)}
				before, any := said[k], unsettled[k]
				if said[k], unsettled[k] = judged(tb.view, ref(seq), at); before == said[k] {
					return
				}
				turned++
				for _, c := range heard {
					byCut := c.Cut != nil && c.Cut.Concerns(seq, seq, at, at)
					if byCut && !any && at < c.From {
						cuts++
					}
					if any || byCut || at >= c.From {
						return
					}
				}
				t.Fatalf("a use of %d at %d was %q and is %q; said were %+v; the head is %+v", seq, at, before, said[k], heard, tb.view.Item("policy", "p").Head())
			})
		}
	}
	if cuts == 0 || turned < 500 {
		t.Fatalf("%d uses turned by cuts, %d in all: nothing was tested", cuts, turned)
	}
}

// TestCutsConcernNoMore has a version go at each new one, as it is with a source at its limit: uses of versions that are kept, and of those
// that went long ago, are left alone.
func TestCutsConcernNoMore(t *testing.T) {
	tb := newTable(1)
	var cut *Cut
	tb.view.Listen(func(c Change) { cut = cut.Join(c.Cut) })
	r := &itemRow{item: freshness.NewItem("policy", "p"), head: true}
	for seq := int64(1); seq <= 40; seq++ {
		cut = nil
		next, ch := r.item.Apply(update(seq, event.Time(seq*1000)), freshness.Position{}, 10)
		r.item, r.head = next, r.head || ch.Head
		r.touch(ch.Chunk)
		for _, c := range ch.Emptied {
			r.touch(c)
		}
		tb.put(0, r)
		if seq <= 10 {
			if cut != nil {
				t.Fatalf("%d versions, and the cut is %+v", seq, cut)
			}
			continue
		}
		again := 0
		for used := int64(1); used <= seq; used++ {
			at := event.Time(used*1000 + 500) // each version was used while it was the current one
			if cut.Concerns(used, used, at, at) {
				again++
			}
		}
		if again > 2 { // the version that has gone, and at the signs of life around it
			t.Fatalf("at version %d %d uses are judged again; the cut is %+v", seq, again, cut)
		}
		if !cut.Concerns(seq-10, seq-10, math.MinInt64, math.MinInt64) {
			t.Fatalf("at version %d the uses of %d are not judged again; the cut is %+v", seq, seq-10, cut)
		}
	}
}
