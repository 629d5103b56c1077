package workflows

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/processors/sources"
	"github.com/freshet-io/freshet/state"
	"github.com/go-kit/log"
)

// TestTheYoungHaveSeenTheChange: of what a search finds, what has begun behind the marker is not looked at again. What comes in later joins it as long
// as the same transaction makes searchable what was before; what has begun until then counts as old.
func TestTheYoungHaveSeenTheChange(t *testing.T) {
	l := newLedger(t, holdsPolicies)
	l.pt.g.DB, l.pt.g.View = l.db, sources.NewView("sources", 1, log.NewNopLogger())
	l.pt.outline = newOutline(l.pt.p.Rows.Committed)
	d := &l.pt.drive
	d.pt, d.incoming = l.pt, map[itemKey]change{}
	hear := func(key string) {
		d.incoming[itemKey{"policy", key}] = change{uses: 5, held: never}
	}
	lim := freshness.DefaultLimits()
	begin := func(id string) {
		r := l.pt.make(id)
		r.w.Fold(&event.Event{Type: event.ContextLoaded, ID: "l", Time: 10, Refs: []event.Ref{{Kind: "policy", Key: "p"}, {Kind: "policy", Key: "q"}}}, freshness.Position{}, &lim)
		r.w.Fold(&event.Event{Type: event.DecisionProposed, ID: "d", Time: 10, DecisionID: "d"}, freshness.Position{}, &lim)
	}
	ticked := func(what string, changes, incoming int) {
		t.Helper()
		if d.tick(); len(d.ripe) != changes || len(d.incoming) != incoming {
			t.Errorf("%s: %d changes are ripe and %d come in, want %d and %d", what, len(d.ripe), len(d.incoming), changes, incoming)
		}
	}
	begin("before")
	hear("p")
	ticked("without a marker", 0, 1)
	if err := d.unit(marker{}); err != nil {
		t.Fatal(err)
	}
	begin("between")
	ticked("nothing new", 1, 0)
	hear("q")
	ticked("before the transaction", 2, 0)
	begin("behind")
	hear("r")
	d.barrier = d.pt.p.Barriers() + 1
	ticked("in another transaction", 2, 1)
	l.commit()
	found, err := d.touched(d.ripe, d.young)
	if got := fmt.Sprint(slices.Sorted(maps.Keys(found))); err != nil || got != "[before between]" {
		t.Errorf("found %s, %v", got, err)
	}
}

// TestSearch looks for the workflows that changes may touch: one for each of the versions 1 to 20 of an item, used at ten times its
// number, one that used it by name, and one that has used nothing.
func TestSearch(t *testing.T) {
	db, err := state.Open(state.Config{MemTableSize: 1 << 20, CacheSize: 1 << 20}, "x", log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p := db.NewPartition(state.Workflows, 0, Schema(), 100)
	if err := p.MarkRecovered(); err != nil {
		t.Fatal(err)
	}
	lim := freshness.DefaultLimits()
	put := func(id string, at event.Time, refs ...event.Ref) {
		w := freshness.NewWorkflow(id)
		if len(refs) > 0 {
			w.Fold(&event.Event{Type: event.ContextLoaded, ID: "l", Time: at, Refs: refs}, freshness.Position{}, &lim)
		}
		w.Fold(&event.Event{Type: event.DecisionProposed, ID: "d", Time: at, DecisionID: "d"}, freshness.Position{}, &lim)
		w.Uses[0].Said.Revision = 1
		p.Put(id, newRow(w))
	}
	for n := int64(1); n <= 20; n++ {
		put(fmt.Sprintf("w%02d", n), event.Time(10*n), event.Ref{Kind: "policy", Key: "p", HasSeq: true, Seq: n})
	}
	put("named", 100, event.Ref{Kind: "policy", Key: "p", Version: "v"})
	put("nothing", 150)
	if _, err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(1); err != nil {
		t.Fatal(err)
	}

	d := &driver{pt: &partition{g: &Group{Deps: Deps{DB: db}}, p: &gateway.Partition{ID: 0}, outline: newOutline(p.Committed)}}
	item := itemKey{"policy", "p"}
	search := func(what string, want string, f func(found map[string]change) error) {
		t.Helper()
		found := map[string]change{}
		if err := f(found); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(slices.Sorted(maps.Keys(found))); got != want {
			t.Errorf("%s concerns %s; want %s", what, got, want)
		}
	}
	search("a version in force from 185 on", "[w19 w20]", func(found map[string]change) error { return d.find(item, 185, change{}, found) })
	search("the limit, which has left out version 5", "[named w05]", func(found map[string]change) error {
		return d.findCut(item, &sources.Cut{After: 4, Through: 5, From: 51, Silent: never, Heard: 50}, change{}, found)
	})
	search("the limit, with signs of life", "[named w05 w06 w07]", func(found map[string]change) error {
		return d.findCut(item, &sources.Cut{After: 4, Through: 5, From: 51, Silent: 55, Heard: 75}, change{}, found)
	})
	search("a contract in force from 145 on", "[nothing w15 w16 w17 w18 w19 w20]", func(found map[string]change) error { return d.find(contract, 145, change{}, found) })
}
