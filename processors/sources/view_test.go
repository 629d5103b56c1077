package sources

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log"
)

// table is what a sources table's log would hold of rows, and reads it into a view.
type table struct {
	view    *View
	offset  int64
	changes []string
}

func newTable(partitions int32) *table {
	t := &table{view: NewView("t", partitions, log.NewNopLogger())}
	t.view.Listen(func(c Change) { t.changes = append(t.changes, fmt.Sprintf("%s/%s from %d", c.Kind, c.Key, c.From)) })
	return t
}

func (t *table) put(partition int32, row interface {
	Records(func(string, func([]byte) []byte))
}) {
	row.Records(func(key string, appendTo func([]byte) []byte) {
		var value []byte
		if appendTo != nil {
			value = appendTo(nil)
		}
		t.view.apply(partition, t.offset, key, value)
		t.offset++
	})
}

func (t *table) said() string {
	s := fmt.Sprint(t.changes)
	t.changes = nil
	return s
}

func update(seq int64, at event.Time) *event.Event {
	return &event.Event{Type: event.SourceUpdated, Time: at, Appended: at + 1, EffectiveAt: at - 1, ID: fmt.Sprint("e", seq), Source: "s", Kind: "policy", Key: "p", Seq: seq, Version: fmt.Sprint("v", seq), Data: "{}"}
}

func apply(r *itemRow, e *event.Event) {
	next, ch := r.item.Apply(e, freshness.Position{Topic: "context.source", Offset: e.Seq}, 0)
	r.item, r.head = next, r.head || ch.Head
	if ch.HasChunk {
		r.touch(ch.Chunk)
	}
}

func TestViewFollowsItemsThroughTheirRows(t *testing.T) {
	tb := newTable(1)
	r := &itemRow{item: freshness.NewItem("policy", "p"), head: true}
	for seq := int64(1); seq <= 40; seq++ {
		apply(r, update(seq, event.Time(seq*1000)))
	}
	tb.put(0, r)
	it := tb.view.Item("policy", "p")
	if it.Len() != 40 || it.Latest().Seq != 40 || it.Version(17).Name != "v17" || it.Version(17).Data != "" {
		t.Fatalf("view has %d versions, latest %+v", it.Len(), it.Latest())
	}
	if got, want := tb.said(), "[policy/p from 999 policy/p from 16999 policy/p from 32999]"; got != want {
		t.Errorf("said %s, want %s: one change a chunk, from the first instant it can reach", got, want)
	}
	apply(r, update(41, 41000))
	tb.put(0, r)
	if got, want := tb.said(), "[policy/p from 40999]"; got != want {
		t.Errorf("said %s, want %s: only what is new", got, want)
	}
	if it.Len() != 40 {
		t.Error("an item that a reader holds has changed")
	}
	tb.put(0, &itemRow{item: r.item, dirty: []uint32{2}})
	if got := tb.said(); got != "[]" {
		t.Errorf("a row that says nothing new was said to change %s", got)
	}
	loser := update(41, 40500) // smaller by time: it takes the seq's place
	apply(r, loser)
	tb.put(0, r)
	if got, want := tb.said(), "[policy/p from 40499 policy/p from 41000]"; got != want {
		t.Errorf("said %s, want %s", got, want)
	}
	beat := &event.Event{Type: event.SourceHeartbeat, Time: 50000, Through: 49000, Kind: "policy", Key: "p"}
	apply(r, beat)
	tb.put(0, r)
	if got := tb.said(); got != fmt.Sprintf("[policy/p from %d]", beginning) {
		t.Errorf("a first heartbeat changes %s, want everything", got)
	}
	beat.Time, beat.Through = 60000, 59000
	apply(r, beat)
	tb.put(0, r)
	if got := tb.said(); got != "[policy/p from 49000]" {
		t.Errorf("a heartbeat changes %s, want what the life before did not cover", got)
	}
	var since []string
	tb.view.ChangedSince([]int64{tb.offset - 1}, func(_, _ string) int32 { return 0 }, func(kind, key string) { since = append(since, kind+"/"+key) })
	tb.view.ChangedSince([]int64{0}, func(_, _ string) int32 { return 0 }, func(kind, key string) { since = append(since, kind+"/"+key) })
	if fmt.Sprint(since) != "[policy/p]" {
		t.Errorf("changed since the end and since the start: %v", since)
	}
	tb.put(0, &itemRow{item: freshness.NewItem("policy", "p"), gone: true, forget: 3})
	if tb.view.Item("policy", "p").Len() != 0 {
		t.Error("a forgotten item is still known")
	}
}

func TestKindLifeCountsOnceEveryPartitionIsApplied(t *testing.T) {
	tb := newTable(2)
	clock := func(p int32, at event.Time) *clockOf {
		return &clockOf{key: topology.ControlKey(clockRow, p), applied: at, complete: at - 5, live: true}
	}
	tb.put(0, &kindRow{kind: "policy", life: 100})
	tb.put(0, clock(0, 200))
	if _, known := tb.view.KindLife("policy"); known {
		t.Error("a kind's life counts while a partition is behind it")
	}
	tb.put(1, clock(1, 99))
	if _, known := tb.view.KindLife("policy"); known {
		t.Error("a kind's life counts while a partition is one instant behind it")
	}
	tb.put(1, clock(1, 100))
	if life, known := tb.view.KindLife("policy"); !known || life != 100 {
		t.Errorf("life %d, %v", life, known)
	}
	tb.put(1, clock(1, 50))
	if applied, complete, live := tb.view.Clock(1); applied != 100 || complete != 95 || !live {
		t.Errorf("a clock went back to %d, %d", applied, complete)
	}
	if tb.view.Complete() != 95 {
		t.Errorf("complete through %d", tb.view.Complete())
	}
}

// Heartbeats of a whole kind come quicker than the clocks follow, so that the latest is always ahead of them.
func TestKindLifeCountsHoweverOftenItIsSaid(t *testing.T) {
	tb := newTable(1)
	const lag = 35
	for at := event.Time(0); at <= 2000; at += 10 {
		tb.put(0, &kindRow{kind: "policy", life: at})
		applied := at - lag
		tb.put(0, &clockOf{key: topology.ControlKey(clockRow, 0), applied: applied, complete: applied, live: true})
		life, known := tb.view.KindLife("policy")
		if want := applied - (applied%10+10)%10; known != (applied >= 0) || known && life != want {
			t.Fatalf("applied through %d: life %d, %v, want %d", applied, life, known, want)
		}
	}
}

// While a clock stands the lives that wait are bounded; once it goes on, they count one after the other, and in the end the latest does.
func TestKindLifeWaitsForAClockThatStands(t *testing.T) {
	k := kindLife{}
	for life := event.Time(1); life <= 100_000; life++ {
		if k.beat(life); len(k.waiting) > mostWaiting {
			t.Fatalf("%d lives wait", len(k.waiting))
		}
	}
	for applied := event.Time(1); applied <= 100_000; applied += 999 {
		k.settle(applied)
		if !k.has || k.counts > applied || applied-k.counts > 2000 { // a part in fifty of the time that it has stood
			t.Fatalf("applied through %d: %d counts, %v", applied, k.counts, k.has)
		}
	}
	if from, changed := k.settle(200_000); !changed || k.counts != 100_000 || from >= 100_000 || len(k.waiting) > 0 {
		t.Fatalf("in the end %d counts, from %d, %d wait", k.counts, from, len(k.waiting))
	}
	k.beat(300_000)
	k.beat(300_001)
	if k.settle(300_000); k.counts != 300_000 {
		t.Errorf("%d counts: what was thinned out while the clock stood still is", k.counts)
	}
}

// What the view keeps is not part of the fetch that it came with: a few bytes, or an empty string that begins in it, would keep all of it.
func TestTheViewKeepsNothingOfARecord(t *testing.T) {
	for name, e := range map[string]*event.Event{"with all names": update(1, 1000), "with as few as may be": update(1, 1000)} {
		t.Run(name, func(t *testing.T) {
			view := NewView("t", 1, log.NewNopLogger())
			r := &itemRow{item: freshness.NewItem("policy", "p"), head: true}
			if e.Version = ""; name == "with all names" {
				e.Version, e.Digest, e.Owner = "v1", "digest", "owner"
			}
			apply(r, e)
			available := update(1, 5000)
			available.Type, available.Consumer = event.SourceAvailable, "index"
			apply(r, available)
			var fetched []weak.Pointer[byte]
			r.Records(func(key string, appendTo func([]byte) []byte) {
				fetch := appendTo(make([]byte, 0, 1<<16))
				fetched = append(fetched, weak.Make(&fetch[0]))
				view.apply(0, 0, key, fetch)
			})
			runtime.GC()
			for i, f := range fetched {
				if f.Value() != nil {
					t.Errorf("record %d of %d is kept", i+1, len(fetched))
				}
			}
			if n := view.Item("policy", "p").Version(1); n == nil || n.ID != e.ID || n.Name != e.Version || n.Digest != e.Digest || n.Owner != e.Owner {
				t.Errorf("the view has %+v", n)
			}
		})
	}
}

// What has been read of a kind's heartbeats is known before it counts, unless it lies ahead of the clock on the wall.
func TestKindsAreHeardBeforeTheyCount(t *testing.T) {
	tb := newTable(1)
	if life, known := tb.view.KindHeard("policy", 1000); known {
		t.Errorf("a life of %d of a kind that nobody has heard of", life)
	}
	tb.put(0, &clockOf{key: topology.ControlKey(clockRow, 0), applied: 100, complete: 100, live: true})
	for _, life := range []event.Time{50, 150, 250} {
		tb.put(0, &kindRow{kind: "policy", life: life})
		if heard, known := tb.view.KindHeard("policy", life); !known || heard != life {
			t.Errorf("%d, %v has been heard, want %d", heard, known, life)
		}
		if heard, known := tb.view.KindHeard("policy", life-1); !known || heard != max(50, life-100) {
			t.Errorf("%d, %v has been heard that is not ahead, want %d", heard, known, max(50, life-100))
		}
		if lives := tb.view.KindLives(); len(lives) != 1 || lives["policy"] != 50 {
			t.Errorf("lives: %v", lives)
		}
	}
	tb.changes = nil
	tb.put(0, &clockOf{key: topology.ControlKey(clockRow, 0), applied: 300, complete: 300, live: true})
	if lives, said := tb.view.KindLives(), tb.said(); lives["policy"] != 250 || said != "[policy/ from 50]" {
		t.Errorf("lives: %v, by %s", lives, said)
	}
}

// Who knows that the view has read an offset has heard of what came with it: the cursor of a partition rests on that.
func TestAChangeIsToldBeforeItsOffset(t *testing.T) {
	tb, told := newTable(1), 0
	tb.view.Listen(func(Change) {
		told++
		if stands := tb.view.Offsets()[0]; stands >= tb.offset {
			t.Errorf("the view says that it stands at %d while it tells of the change at %d", stands, tb.offset)
		}
	})
	r := &itemRow{item: freshness.NewItem("policy", "p"), head: true}
	apply(r, update(1, 1000))
	tb.put(0, r)
	tb.put(0, &clockOf{key: topology.ControlKey(clockRow, 0), applied: 100, complete: 100, live: true})
	tb.put(0, &kindRow{kind: "policy", life: 50})
	if told < 2 || tb.view.Offsets()[0] != tb.offset-1 {
		t.Errorf("%d changes were told, the view stands at %d of %d", told, tb.view.Offsets()[0], tb.offset)
	}
}

func TestWaitThroughIsBounded(t *testing.T) {
	tb := newTable(1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := tb.view.WaitThrough(ctx, []int64{1}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited for a record that never came: %v", err)
	}
	tb.put(0, &kindRow{kind: "k", life: 1})
	if err := tb.view.WaitThrough(t.Context(), []int64{1}); err != nil {
		t.Error(err)
	}
}

func TestRowsOfTheTableAreRefusedWhenTheyCannotBeRead(t *testing.T) {
	for name, err := range map[string]error{
		"kind":          second(decodeKind(nil)),
		"kind version":  second(decodeKind([]byte{9, 2})),
		"clock":         second(decodeClock("k", []byte{clockVersion})),
		"clock version": second(decodeClock("k", []byte{9, 1, 2, 2})),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	tb := newTable(1)
	tb.view.apply(0, 0, "policy/p", []byte{99})
	tb.view.apply(0, 1, "policy/q", nil)
	if o := tb.view.Offsets()[0]; o != 1 {
		t.Errorf("the view stands at %d behind a row it cannot read", o)
	}
}

func second[T any](_ T, err error) error { return err }

// Who hears of a clock finds the view to show it.
func TestAClockIsToldOnceItIsShown(t *testing.T) {
	tb := newTable(2)
	var told []string
	stop := tb.view.ListenClocks(func(q int32, complete event.Time) {
		_, shown, _ := tb.view.Clock(q)
		told = append(told, fmt.Sprint(q, complete, shown))
	})
	clock := func(q int32, complete event.Time) {
		tb.put(q, &clockOf{key: topology.ControlKey(clockRow, q), applied: complete + 5, complete: complete, live: true})
	}
	clock(1, 100)
	clock(0, 200)
	stop()
	clock(0, 300)
	if got, want := fmt.Sprint(told), fmt.Sprint([]string{fmt.Sprint(1, event.Time(100), event.Time(100)), fmt.Sprint(0, event.Time(200), event.Time(200))}); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}
