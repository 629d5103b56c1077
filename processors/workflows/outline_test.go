package workflows

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/state"
	"github.com/go-kit/log"
)

// TestOutlineSaysWhatTheIndexSays changes workflows at random, and searches before, between and after transactions: what the outline spares a search
// would have found nothing, and what is held is what the index has.
func TestOutlineSaysWhatTheIndexSays(t *testing.T) {
	for seed := range uint64(20) {
		db, err := state.Open(state.Config{MemTableSize: 1 << 20, CacheSize: 1 << 20}, "x", log.NewNopLogger())
		if err != nil {
			t.Fatal(err)
		}
		h := &outlined{t: t, db: db, rnd: rand.New(rand.NewPCG(seed, 1)), p: db.NewPartition(state.Workflows, 0, Schema(), 3), rows: map[string]*row{}}
		if err := h.p.MarkRecovered(); err != nil {
			t.Fatal(err)
		}
		h.begin()
		for range 300 {
			h.step()
		}
		h.commit()
		h.compareHeld()
		if h.spared == 0 {
			t.Errorf("seed %d: no search was spared", seed)
		}
		h.begin() // the next owner reads what this one has left
		h.compareHeld()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A use is committed and forgotten while the index is searched, and the search has not seen it: nothing is known of the item then.
func TestOutlineForgetsDuringASearch(t *testing.T) {
	committed := uint64(0)
	o := newOutline(func() uint64 { return committed })
	began := committed
	o.used(1, 100, 1)
	committed = 1
	o.prune()
	o.sought(1, 49, began)
	if o.unused(1, 60) {
		t.Error("an item that was used at 100 counts as unused since 60")
	}
	if o.sought(1, 100, committed); o.unused(1, 100) || !o.unused(1, 101) {
		t.Error("what the next search has found does not count")
	}
}

// outlined is a partition with an outline of its index.
type outlined struct {
	t      *testing.T
	db     *state.DB
	rnd    *rand.Rand
	p      *state.Partition
	d      *driver
	rows   map[string]*row
	sealed bool
	n      int // events
	spared int
}

func (h *outlined) begin() {
	pt := &partition{g: &Group{Deps: Deps{DB: h.db}}, p: &gateway.Partition{ID: 0}, outline: newOutline(h.p.Committed)}
	pt.outline.many = 4 // items
	h.p.OnStaged(pt.outline.staged)
	h.d = &driver{pt: pt}
	pt.crossings.pt = pt
	err := pt.crossings.scan([]byte{heldEntry}, []byte{heldEntry + 1}, func(v held, _ string, _ []byte) bool {
		pt.outline.count(v, 1)
		return true
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// step changes a workflow, seals or commits, or searches.
func (h *outlined) step() {
	switch k := h.rnd.IntN(10); {
	case k < 4:
		h.change()
	case k < 5 && !h.sealed:
		if _, err := h.p.Seal(); err != nil {
			h.t.Fatal(err)
		}
		h.sealed = true
	case k < 6 && h.sealed:
		h.commit()
		h.commit() // what has changed in the meantime
		h.compareHeld()
	default:
		h.search()
	}
}

func (h *outlined) commit() {
	if !h.sealed {
		if _, err := h.p.Seal(); err != nil {
			h.t.Fatal(err)
		}
	}
	h.sealed = false
	if err := h.p.Commit(int64(h.n)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *outlined) item() itemKey { return itemKey{"policy", fmt.Sprint(h.rnd.IntN(6))} }

// change has a workflow load an item, use what it has, come to its end, or be let go of.
func (h *outlined) change() {
	lim, id := freshness.DefaultLimits(), fmt.Sprint("w", h.rnd.IntN(12))
	r := h.rows[id]
	if r == nil {
		r = newRow(freshness.NewWorkflow(id))
		h.rows[id] = r
	}
	if r.gone {
		r.revive()
	}
	h.n++
	e := event.Event{ID: fmt.Sprint(h.n), Subject: id, Time: event.Time(h.n + h.rnd.IntN(40))}
	switch k := h.rnd.IntN(10); {
	case k < 5:
		item := h.item()
		e.Type, e.Refs = event.ContextLoaded, []event.Ref{{Kind: item.kind, Key: item.key, HasSeq: k > 0, Seq: int64(h.rnd.IntN(2)), Version: "v"}}
	case k < 8:
		e.Type, e.DecisionID = event.DecisionProposed, e.ID
	case k < 9 && h.rnd.IntN(3) == 0:
		e.Type = event.TaskCompleted
	case k == 9:
		r.gone = true
	default:
		e.Type = event.TaskStarted
	}
	if !r.gone {
		r.w.Fold(&e, freshness.Position{Offset: int64(h.n)}, &lim)
		for i := range r.w.Uses {
			r.w.Uses[i].Said = freshness.Said{Revision: 1, Unsettled: h.rnd.IntN(8) == 0}
		}
	}
	h.p.Put(id, r)
}

// search looks for the users of an item, and compares with what the index has.
func (h *outlined) search() {
	k, from := h.item(), event.Time(h.n+h.rnd.IntN(40)-20)
	hash := itemHash(k.kind, k.key)
	if h.d.pt.outline.unused(hash, from) {
		h.spared++
	}
	found, want := map[string]change{}, map[string]change{}
	if err := h.d.find(k, from, change{}, found); err != nil {
		h.t.Fatal(err)
	}
	lower := binary.BigEndian.AppendUint64([]byte{itemEntry}, hash)
	if err := h.d.scan(lower, appendItem(nil, hash, from-1, ""), func(_ event.Time, workflow []byte) { add(want, string(workflow), change{}) }); err != nil {
		h.t.Fatal(err)
	}
	if !maps.Equal(found, want) {
		h.t.Errorf("event %d: used %v from %d on: %v; the index has %v", h.n, k, from, found, want)
	}
}

// compareHeld compares what is held with the index, which has all of it.
func (h *outlined) compareHeld() {
	want := map[uint64][]held{}
	err := h.d.pt.crossings.scan([]byte{heldEntry}, []byte{heldEntry + 1}, func(v held, _ string, _ []byte) bool {
		if list := want[v.hash]; len(list) == 0 || compareHeld(list[len(list)-1], v) != 0 {
			want[v.hash] = append(list, v)
		}
		return true
	})
	if err != nil {
		h.t.Fatal(err)
	}
	out := h.d.pt.outline
	if got, want := slices.Sorted(maps.Keys(out.held)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
		h.t.Errorf("items held: %x; the index has %x", got, want)
	}
	for hash, list := range want {
		if got := out.versions(hash); !slices.Equal(got, list) || !out.holds(hash) {
			h.t.Errorf("of item %x: %v; the index has %v", hash, got, list)
		}
	}
}
