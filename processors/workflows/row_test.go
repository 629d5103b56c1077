package workflows

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/state"
	"github.com/go-kit/log"
)

// indexed commits a row and returns the entries of the index, readable.
func indexed(t *testing.T, db *state.DB, p *state.Partition, r *row) string {
	t.Helper()
	p.Put(r.w.ID, r)
	if _, err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(-1); err != nil {
		t.Fatal(err)
	}
	names := map[uint64]string{}
	for _, k := range []itemKey{{"policy", "a"}, {"policy", "b"}, {"policy", ""}} {
		names[itemHash(k.kind, k.key)] = k.kind + "/" + k.key
	}
	var got []string
	err := db.ScanIndex(state.Workflows, 0, nil, []byte{0xff}, func(key, _ []byte) bool {
		switch key[0] {
		case deadlineEntry:
			got = append(got, fmt.Sprintf("due %d %s", fromSortable(key[1:]), key[deadlineKeyLen:]))
		case itemEntry:
			var h uint64
			for _, b := range key[1:9] {
				h = h<<8 | uint64(b)
			}
			at := fromSortable(invert(key[9:itemKeyLen]))
			when := fmt.Sprint(int64(at))
			if at == always {
				when = "always"
			} else if at == oldest {
				when = "never"
			}
			got = append(got, fmt.Sprintf("%s %s %s", names[h], when, key[itemKeyLen:]))
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(slices.Sorted(slices.Values(got)), ", ")
}

func invert(b []byte) []byte {
	c := make([]byte, len(b))
	for i := range b {
		c[i] = ^b[i]
	}
	return c
}

func TestTheIndexFollowsTheRow(t *testing.T) {
	db, err := state.Open(state.Config{MemTableSize: 1 << 20, CacheSize: 1 << 20}, "x", log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p := db.NewPartition(state.Workflows, 0, Schema(), 10)
	if err := p.MarkRecovered(); err != nil {
		t.Fatal(err)
	}
	w, lim := freshness.NewWorkflow("wf"), freshness.DefaultLimits()
	r := newRow(w)
	fold := func(e event.Event) {
		w.Fold(&e, freshness.Position{Topic: "t", Offset: int64(len(w.Lines))}, &lim)
		r.count()
	}
	fold(event.Event{Type: event.ContextLoaded, ID: "1", Time: 10, Refs: []event.Ref{{Kind: "policy", Key: "a", HasSeq: true, Seq: 1}}})
	if got, want := indexed(t, db, p, r), ""; got != want {
		t.Errorf("loaded: %q, want %q", got, want)
	}
	fold(event.Event{Type: event.DecisionProposed, ID: "2", Time: 20, DecisionID: "d"})
	if got, want := indexed(t, db, p, r), "due 20 wf, policy/a 20 wf"; got != want {
		t.Errorf("decided: %q, want %q", got, want)
	}
	w.Uses[0].Said.Revision = 1
	r.count()
	fold(event.Event{Type: event.ActionExecuted, ID: "3", Time: 30, DecisionID: "d", HasBasedOn: true, Refs: []event.Ref{{Kind: "policy", Key: "b"}}})
	if got, want := indexed(t, db, p, r), "due 30 wf, policy/a 30 wf, policy/b 30 wf"; got != want {
		t.Errorf("acted: %q, want %q", got, want)
	}
	w.Uses[1].Said = freshness.Said{Revision: 1, Unsettled: true}
	r.count()
	if got, want := indexed(t, db, p, r), "policy/ always wf, policy/a always wf, policy/b always wf"; got != want {
		t.Errorf("judged and unsettled: %q, want %q", got, want)
	}
	w.Uses[1].Said.Unsettled = false
	if got, want := indexed(t, db, p, r), "policy/a 30 wf, policy/b 30 wf"; got != want {
		t.Errorf("settled: %q, want %q", got, want)
	}
	// A row that is read again knows what the index says of it.
	again, err := schema{}.Load(p, "wf")
	if err != nil {
		t.Fatal(err)
	}
	if got := indexed(t, db, p, again.(*row)); got != "policy/a 30 wf, policy/b 30 wf" {
		t.Errorf("read again: %q", got)
	}
}

// An event may name an item in many REFs, and any of them may come to be in use: all of them are held, beside the latest loads.
func TestAllLoadsOfAnInstantAreHeld(t *testing.T) {
	w, lim := freshness.NewWorkflow("wf"), freshness.DefaultLimits()
	load := func(id string, at event.Time, seqs ...int64) {
		e := event.Event{Type: event.ContextLoaded, ID: id, Time: at}
		for _, seq := range seqs {
			e.Refs = append(e.Refs, event.Ref{Kind: "policy", Key: "a", HasSeq: true, Seq: seq})
		}
		w.Fold(&e, freshness.Position{Topic: "t", Offset: at.Go().UnixMilli()}, &lim)
	}
	load("1", 10, 1)
	load("2", 20, 2, 3, 4, 5, 6)
	held := func() (seqs []int64) {
		for _, h := range newRow(w).held() {
			seqs = append(seqs, h.seq)
		}
		return seqs
	}
	if got := held(); !slices.Equal(got, []int64{2, 3, 4, 5, 6}) {
		t.Errorf("held are %v, want all of the latest instant", got)
	}
	load("3", 30, 7)
	load("4", 40, 8)
	if got := held(); !slices.Equal(got, []int64{2, 3, 4, 5, 6, 7, 8}) {
		t.Errorf("held are %v, want the latest loads and all of the instant of the oldest of them", got)
	}
}

func TestCursorsSurviveTheirRow(t *testing.T) {
	c := &cursor{key: "k", driven: []int64{5, -1, 1 << 40}, complete: 77, swept: 66, stale: map[holding]int64{{"refund", "policy"}: 2, {"", "gone"}: 0}, open: map[string]int64{"refund": 3, "": 1, "none": 0}}
	var b []byte
	c.Records(func(_ string, appendTo func([]byte) []byte) { b = appendTo(nil) })
	got, err := decodeCursor("k", b)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got.driven) != fmt.Sprint(c.driven) || got.complete != 77 || got.open["refund"] != 3 || got.open[""] != 1 || len(got.open) != 2 || got.swept != 66 || got.stale[holding{"refund", "policy"}] != 2 || len(got.stale) != 1 {
		t.Errorf("read %+v", got)
	}
	for n := range len(b) {
		if short, err := decodeCursor("k", b[:n]); err == nil && len(short.open) == 2 && len(short.stale) == 1 {
			t.Errorf("%d of %d bytes were read as a whole cursor", n, len(b))
		}
	}
}

func TestDeadlinesComeInOrder(t *testing.T) {
	var d deadlines
	for _, at := range []event.Time{5, -3, 9, 5, 0} {
		d.push(deadline{at: at, key: fmt.Sprint(at)})
	}
	var got []int64
	for x, ok := d.pop(5); ok; x, ok = d.pop(5) {
		got = append(got, int64(x.at))
	}
	if fmt.Sprint(got) != "[-3 0 5 5]" || d.len() != 1 {
		t.Errorf("popped %v, %d left", got, d.len())
	}
}

func TestRecordIDsArePercentEncoded(t *testing.T) {
	u := &freshness.Use{DecisionID: "d/1 ü", Kind: freshness.Executed, Said: freshness.Said{Revision: 12}}
	if got, want := string(appendVerdictID(nil, "wf%/x", u)), "wf%25%2Fx/d%2F1%20%C3%BC/action.executed/12"; got != want {
		t.Errorf("id %s, want %s", got, want)
	}
	if got := contractTag("sha256:0123456789abcdefff"); got != 0x0123456789abcdef {
		t.Errorf("tag %x", got)
	}
}

// TestRecoveryLeavesTheIndexOfTheLastRecord reads the records of a row one after the other, as recovery does when the changelog is not
// compacted: what an older one had in the index is gone, in one batch or over several, and so is all of it behind a tombstone.
func TestRecoveryLeavesTheIndexOfTheLastRecord(t *testing.T) {
	for _, written := range []bool{false, true} {
		db, err := state.Open(state.Config{MemTableSize: 1 << 20, CacheSize: 1 << 20}, "x", log.NewNopLogger())
		if err != nil {
			t.Fatal(err)
		}
		p := db.NewPartition(state.Workflows, 0, Schema(), 10)
		lim, offset := freshness.DefaultLimits(), int64(0)
		set := func(w *freshness.Workflow) {
			if written { // what has been read before is in the store already
				if err := p.MarkRecovered(); err != nil {
					t.Fatal(err)
				}
				p = db.NewPartition(state.Workflows, 0, Schema(), 10)
			}
			if w == nil {
				err = p.Delete("wf")
			} else {
				err = p.Set("wf", state.AppendWorkflow(nil, w))
			}
			if err := errors.Join(err, p.SetOffset(offset)); err != nil {
				t.Fatal(err)
			}
			offset++
		}
		w := freshness.NewWorkflow("wf")
		for i, e := range []event.Event{
			{Type: event.TaskStarted, ID: "1", Time: 5},
			{Type: event.ContextLoaded, ID: "2", Time: 10, Refs: []event.Ref{{Kind: "policy", Key: "a", HasSeq: true, Seq: 1}}},
			{Type: event.DecisionProposed, ID: "3", Time: 20, DecisionID: "d"},
			{Type: event.DecisionProposed, ID: "4", Time: 30, DecisionID: "e"},
		} {
			w.Fold(&e, freshness.Position{Topic: "t", Offset: int64(i)}, &lim)
			set(w)
		}
		for i := range w.Uses {
			w.Uses[i].Said.Revision = 1
		}
		set(w)
		entries := func() (all []string) {
			if err := p.MarkRecovered(); err != nil {
				t.Fatal(err)
			}
			if err := db.ScanIndex(state.Workflows, 0, nil, []byte{0xff}, func(key, _ []byte) bool {
				all = append(all, string(key[:1]))
				return true
			}); err != nil {
				t.Fatal(err)
			}
			p = db.NewPartition(state.Workflows, 0, Schema(), 10)
			return all
		}
		if got := entries(); !slices.Equal(got, []string{"h", "i"}) {
			t.Errorf("the index has %q; the row holds and has used one item, and waits for nothing", got)
		}
		set(nil)
		if got := entries(); len(got) != 0 {
			t.Errorf("behind a tombstone the index has %q", got)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
