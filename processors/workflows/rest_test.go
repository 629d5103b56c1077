package workflows

import (
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// restedLedger has so many open workflows in its table, each of which has something to do at some instant of the next day.
func restedLedger(t testing.TB, workflows int) (*ledger, *agenda) {
	t.Helper()
	l := newLedger(t, "version: 1\nowners: {a: {slack: \"#a\"}}\ncontexts: {policy: {owner: a}}\nworkflows: {refund: {owner: a, bounds: {policy: {max_age: 1s}}}}\n")
	l.pt.g.DB = l.db
	a := newAgenda(l.pt, agendaLimit)
	begin := event.Of(l.now)
	for i := range workflows {
		w := freshness.NewWorkflow(fmt.Sprintf("w%07d", i))
		w.Begun = freshness.Mark{Time: begin, ID: "b", Type: event.TaskStarted, Set: true}
		w.Life = begin + event.Time(i%86_400_000+1000)
		l.pt.p.Rows.Put(w.ID, newRow(w))
		a.push(deadline{at: w.Life, key: w.ID})
		if i%10_000 == 9_999 || i == workflows-1 {
			l.commit()
			a.committed(uint64(i) + 1)
			a.prune(a.barrier.Load())
		}
	}
	return l, a
}

// BenchmarkAtRest is what a partition asks at every tick of its clock: what is due. Nothing is, whether a thousand wait or a million.
func BenchmarkAtRest(b *testing.B) {
	for _, workflows := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(workflows), func(b *testing.B) {
			l, a := restedLedger(b, workflows)
			now := event.Of(l.now)
			if x, ok, err := a.pop(now); ok || err != nil { // the first look reads what is near
				b.Fatalf("due: %v, %v", x, err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if x, ok, err := a.pop(now); ok || err != nil {
					b.Fatalf("due: %v, %v", x, err)
				}
			}
			b.ReportMetric(float64(a.soon.len()), "deadlines-in-memory")
		})
	}
}

// What waits costs nothing until it is due: no allocation, and memory for a bounded number of deadlines.
func TestWhatWaitsCostsNothing(t *testing.T) {
	l, a := restedLedger(t, 5*agendaLimit)
	now := event.Of(l.now)
	if n := testing.AllocsPerRun(100, func() {
		if x, ok, err := a.pop(now); ok || err != nil {
			t.Fatalf("due: %v, %v", x, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations to see that nothing is due", n)
	}
	if n := a.soon.len(); n > 4*agendaLimit {
		t.Errorf("%d deadlines in memory; want at most %d", n, 4*agendaLimit)
	}
}
