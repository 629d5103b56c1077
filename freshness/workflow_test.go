package freshness

import (
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/event"
)

func taskEvent(t event.Type, at event.Time, id string) *event.Event {
	return &event.Event{Type: t, Time: at, ID: id, Source: "s", Subject: "wf"}
}

// TestOpen says of a workflow by the set of its events whether it is open; the first end holds, whatever came after it.
func TestOpen(t *testing.T) {
	w, lim := NewWorkflow("wf"), DefaultLimits()
	add := func(e *event.Event) { w.Fold(e, Position{}, &lim) }
	add(taskEvent(event.TaskCreated, 1, "a"))
	if w.Open() || w.OpenAt(5) {
		t.Fatal("created is not started")
	}
	add(taskEvent(event.TaskStarted, 10, "b"))
	add(taskEvent(event.TaskStarted, 8, "c"))
	if !w.Open() || w.OpenAt(7) || !w.OpenAt(8) || w.Begun.ID != "c" {
		t.Fatalf("begun %+v", w.Begun)
	}
	if _, ended := w.Ended(); ended {
		t.Fatal("ended without an end")
	}
	add(taskEvent(event.TaskFailed, 30, "e"))
	add(taskEvent(event.TaskCancelled, 20, "f"))
	add(taskEvent(event.TaskCompleted, 20, "d"))
	add(taskEvent(event.TaskStarted, 40, "g"))
	over, ended := w.Ended()
	if w.Open() || !ended || over.Type != event.TaskCompleted || over.Time != 20 || !w.OpenAt(19) || w.OpenAt(20) {
		t.Fatalf("over %+v", over)
	}
}

// TestRepetition folds events twice: the second time nothing is new, nothing is touched, and nothing is copied from the event.
func TestRepetition(t *testing.T) {
	for _, n := range []int{10, 500} {
		w, lim := NewWorkflow("wf"), DefaultLimits()
		var events []*event.Event
		for i := range n {
			e := taskEvent(event.ContextLoaded, event.Time(i), fmt.Sprint(i))
			e.Refs = []event.Ref{{Kind: "k", Key: "x", Seq: 1, HasSeq: true}}
			events = append(events, e)
			if touched := w.Fold(e, Position{Topic: "t", Offset: int64(i)}, &lim); !touched.New || !touched.Any || touched.Conflict {
				t.Fatalf("event %d of %d: %+v", i, n, touched)
			}
		}
		for _, e := range events {
			if touched := w.Fold(e, Position{Topic: "t", Offset: 999}, &lim); touched.New || touched.Any || touched.Conflict {
				t.Fatalf("repeated: %+v", touched)
			}
		}
		if len(w.Lines) != n || len(w.Items[0].Loads) != n || w.First != 0 || w.Last != event.Time(n-1) {
			t.Fatalf("%d lines, %d loads", len(w.Lines), len(w.Items[0].Loads))
		}
		if at := w.TopicOf(w.Lines[3].At); at != (Position{Topic: "t", Offset: 3}) {
			t.Fatalf("the line lies at %+v", at)
		}
		other := *events[n/2]
		other.Data = "other"
		if touched := w.Fold(&other, Position{Topic: "t"}, &lim); !touched.New || !touched.Conflict {
			t.Fatalf("another event of the same name: %+v", touched)
		}
	}
}

// TestLinesLimit keeps the latest lines and forgets the names of those that are gone.
func TestLinesLimit(t *testing.T) {
	w, lim := NewWorkflow("wf"), DefaultLimits()
	lim.Lines = 100
	for i := range 300 {
		w.Fold(taskEvent(event.TaskWaiting, event.Time(i), fmt.Sprint(i)), Position{}, &lim)
	}
	if len(w.Lines) != 100 || w.Lines[0].Time != 200 || w.Cut.Lines != 200 || len(w.marks) != 100 || w.First != 0 {
		t.Fatalf("%d lines from %d, %d cut, %d marks", len(w.Lines), w.Lines[0].Time, w.Cut.Lines, len(w.marks))
	}
	if touched := w.Fold(taskEvent(event.TaskWaiting, 5, "5"), Position{}, &lim); touched.New || touched.Any {
		t.Fatalf("a repetition of what is gone: %+v", touched)
	}
}

// TestSaidSurvives replaces the event that holds for a decision: what was said of the decision stays with it.
func TestSaidSurvives(t *testing.T) {
	w, lim := NewWorkflow("wf"), DefaultLimits()
	decide := func(at event.Time) {
		e := taskEvent(event.ActionExecuted, at, "x")
		e.DecisionID = "d"
		w.Fold(e, Position{}, &lim)
	}
	decide(20)
	w.Use("d", Executed).Said = Said{Revision: 3, Digest: 7}
	decide(10)
	decide(30)
	u := w.Use("d", Executed)
	if len(w.Uses) != 1 || len(w.Rivals) != 2 || u.Time != 10 || u.Said.Revision != 3 || w.Rivals[0].Said != (Said{}) {
		t.Fatalf("%d uses, %d rivals, %+v", len(w.Uses), len(w.Rivals), u)
	}
	o := NewWorkflow("wf")
	o.Merge(w, &lim)
	if u := o.Use("d", Executed); u == nil || u.Said.Revision != 3 {
		t.Fatalf("united: %+v", u)
	}
}

// TestStringsAreCopied writes over the bytes events were made of, as the next record would.
func TestStringsAreCopied(t *testing.T) {
	for name, c := range goldenSets() {
		if name != "adversarial-1" {
			continue
		}
		g := readGolden(t, name)
		b := NewBatch(c, DefaultLimits())
		for i, e := range g.events {
			own, wipe := aliased(e)
			b.Add(own, Position{Topic: "t", Offset: int64(i)})
			wipe()
		}
		mustEqual(t, name, goldenOf(t, b), g.verdicts)
	}
}

// TestCompareJoined orders items as their names are written, kind/key.
func TestCompareJoined(t *testing.T) {
	names := [][2]string{{"a", "x"}, {"a", ""}, {"a-b", "x"}, {"a", "b/c"}, {"ab", "c"}, {"a/b", "c"}, {"a0", ""}, {"", "a"}}
	for _, a := range names {
		for _, b := range names {
			x, y := a[0]+"/"+a[1], b[0]+"/"+b[1]
			got := compareJoined(a[0], a[1], b[0], b[1])
			if (got < 0) != (x < y) || (got > 0) != (x > y) {
				t.Errorf("%q and %q: %d", x, y, got)
			}
		}
	}
}

// TestSuperseded says when a used version was superseded from that very instant on, while it is not yet behind.
func TestSuperseded(t *testing.T) {
	f := benchFacts(2)
	w, lim := NewWorkflow("wf"), DefaultLimits()
	for _, e := range benchWorkflow(10, 1) {
		w.Fold(e, Position{Topic: "workflow.context"}, &lim)
	}
	var v Verdict
	for at, want := range map[event.Time]bool{999: false, 1000: true, 1001: true} {
		w.JudgeAt(at, "", f, adversarialContract(false), &v)
		iv := &v.Items[0]
		if iv.Kind != "doc" || iv.Superseded != want || want && iv.SupersededAt != 1000 || (iv.Staleness > 0) != (at > 1000) {
			t.Errorf("at %d: %+v", at, iv)
		}
		if iv.Version != "v1" || iv.Current.Seq != 1+int64(max(0, at-1000)) || !iv.HasLoad || iv.LoadedAt != 18 || w.TopicOf(iv.LoadAt).Topic != "workflow.context" {
			t.Errorf("at %d the evidence is %+v", at, iv)
		}
	}
}
