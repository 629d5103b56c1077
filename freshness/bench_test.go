package freshness

import (
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/event"
)

// benchFacts are three items of n versions each, kept in order.
func benchFacts(n int) *Facts {
	f := NewFacts()
	for _, kind := range []string{"policy", "feature", "doc"} {
		for i := range n {
			f.Apply(&event.Event{Type: event.SourceUpdated, Kind: kind, Key: "x", Seq: int64(i + 1), Version: fmt.Sprint("v", i+1), ID: fmt.Sprint(i),
				Time: event.Time(1000 * i), Appended: event.Time(1000*i + 5), EffectiveAt: event.Time(1000 * i)}, Position{}, 1<<20)
		}
	}
	return f
}

// benchWorkflow is a workflow of eleven events: three loads, a tool call, an approval, a decision proposed and executed.
func benchWorkflow(from event.Time, seq int64) []*event.Event {
	var out []*event.Event
	add := func(t event.Type, change func(e *event.Event)) {
		e := &event.Event{Type: t, Time: from + event.Time(len(out)), ID: fmt.Sprintf("3f1c9a52-7d0e-4b60-9c11-%012d", len(out)), Source: "/agents/refund",
			Subject: "wf-7f3c9a52", TypeName: "com.acme.event", WorkflowType: "refund", Data: `{"step":"assess","reason":"a reason of some length"}`}
		change(e)
		out = append(out, e)
	}
	ref := func(kind string) event.Ref {
		return event.Ref{Kind: kind, Key: "x", Version: fmt.Sprint("v", seq), Seq: seq, HasSeq: true}
	}
	refs := func(e *event.Event) { e.Refs = []event.Ref{ref("policy"), ref("feature"), ref("doc")} }
	none := func(*event.Event) {}
	call := func(e *event.Event) { e.CallID = "call-1" }
	decide := func(e *event.Event) { e.DecisionID = "d1" }
	add(event.TaskCreated, none)
	add(event.TaskStarted, none)
	add(event.ContextLoaded, refs)
	add(event.ToolCalled, call)
	add(event.ToolResult, func(e *event.Event) { call(e); refs(e) })
	add(event.DecisionProposed, decide)
	add(event.ApprovalRequested, none)
	add(event.ApprovalGranted, none)
	add(event.ContextLoaded, refs)
	add(event.ActionExecuted, decide)
	add(event.TaskCompleted, none)
	return out
}

// BenchmarkWorkflow folds a workflow of eleven events and judges its two uses, fresh and stale: ns/event is the cost of one of them.
func BenchmarkWorkflow(b *testing.B) {
	for name, seq := range map[string]int64{"fresh": 64, "stale": 10} {
		b.Run(name, func(b *testing.B) {
			f, c := benchFacts(64), adversarialContract(false)
			events := benchWorkflow(64000, seq)
			lim := DefaultLimits()
			lim.Intern = NewInterner(1 << 12).Intern
			var v Verdict
			b.ReportAllocs()
			for b.Loop() {
				w := NewWorkflow("wf-7f3c9a52")
				for i, e := range events {
					w.Fold(e, Position{Topic: "workflow.context", Offset: int64(i)}, &lim)
				}
				for i := range w.Uses {
					w.Judge(&w.Uses[i], f, c, &v)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(events)), "ns/event")
		})
	}
}

// BenchmarkNextEvent folds one more load into a workflow of n events and judges what it touches, and one use at the end: the cost must not
// grow with n.
func BenchmarkNextEvent(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprint("events=", n), func(b *testing.B) {
			f, c := benchFacts(64), adversarialContract(false)
			lim := Limits{Items: 1 << 30, LoadsPerItem: 1 << 30, Loads: 1 << 30, Uses: 1 << 30, Refs: 1 << 30, Steps: 1 << 30, Lines: 1 << 30}
			lim.Intern = NewInterner(1 << 12).Intern
			w := NewWorkflow("wf")
			var v Verdict
			at := event.Time(64000)
			var template []*event.Event
			next := 0
			prepare := func(n int) []*event.Event {
				out := make([]*event.Event, n)
				for i := range out {
					if next%11 == 0 {
						template = benchWorkflow(at, 10)
					}
					e := *template[next%11]
					at++
					next++
					e.Time, e.ID = at, fmt.Sprint("e", at)
					if e.Type == event.TaskCompleted {
						e.Type = event.TaskWaiting
					}
					if e.DecisionID != "" {
						e.DecisionID = fmt.Sprint("d", next/11)
					}
					out[i] = &e
				}
				return out
			}
			fold := func(events []*event.Event) {
				for _, e := range events {
					w.Fold(e, Position{Topic: "t"}, &lim)
				}
			}
			fold(prepare(n))
			more := prepare(n/2 + 10)
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if i == len(more) {
					b.StopTimer()
					w, i = NewWorkflow("wf"), 0
					fold(prepare(n))
					more = prepare(n/2 + 10)
					b.StartTimer()
				}
				for u := range w.Affected(w.Fold(more[i], Position{Topic: "t"}, &lim)) {
					w.Judge(u, f, c, &v)
				}
				i++
			}
		})
	}
}

// BenchmarkJudge judges one stale use of three items of n versions each: in order, and where every fourth version came into force late, so
// that nothing can be found by its place.
func BenchmarkJudge(b *testing.B) {
	for _, order := range []string{"ordered", "disordered"} {
		for _, n := range []int{10, 64, 256, 1024, 16384} {
			b.Run(fmt.Sprintf("%s/versions=%d", order, n), func(b *testing.B) {
				f, c := benchFacts(n), adversarialContract(false)
				if order == "disordered" {
					for _, it := range f.items {
						for _, v := range it.Versions() {
							if v.Seq%4 == 0 {
								late := *v
								late.Effective += 5000
								late.Published += 5000
								it = it.Put(&late)
							}
						}
						f.Put(it)
					}
				}
				w, lim := NewWorkflow("wf"), DefaultLimits()
				for _, e := range benchWorkflow(event.Time(1000*n), 5) {
					w.Fold(e, Position{}, &lim)
				}
				var v Verdict
				b.ReportAllocs()
				for b.Loop() {
					w.Judge(&w.Uses[1], f, c, &v)
				}
			})
		}
	}
}

// BenchmarkApply adds one more version to an item of n.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{10, 1024, 16384} {
		b.Run(fmt.Sprint("versions=", n), func(b *testing.B) {
			it := benchFacts(n).Item("policy", "x")
			e := &event.Event{Type: event.SourceUpdated, Kind: "policy", Key: "x", Seq: int64(n + 1), Version: "next", ID: "id", Time: event.Time(1000 * n), EffectiveAt: event.Time(1000 * n)}
			b.ReportAllocs()
			for b.Loop() {
				it.Apply(e, Position{}, 1<<20)
			}
		})
	}
}

// TestJudgeAllocatesNothing holds a judgement whose verdict has grown to no allocation at all.
func TestJudgeAllocatesNothing(t *testing.T) {
	f, c := benchFacts(256), adversarialContract(false)
	w, lim := NewWorkflow("wf"), DefaultLimits()
	for _, e := range benchWorkflow(256000, 5) {
		w.Fold(e, Position{}, &lim)
	}
	var v Verdict
	var line []byte
	judge := func() {
		for i := range w.Uses {
			w.Judge(&w.Uses[i], f, c, &v)
			line = AppendGolden(line[:0], w, &w.Uses[i], &v)
			v.Digest(&w.Uses[i], "")
		}
	}
	judge()
	if v.Kind != IsStale || len(v.Items) != 3 {
		t.Fatalf("the use is %s", line)
	}
	if n := testing.AllocsPerRun(100, judge); n != 0 {
		t.Fatalf("a judgement allocates %v times", n)
	}
}
