package budget

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// The busiest there can be, objectives of a month with uses in every bucket of all of 8 partitions, stays within what is promised, however
// many uses there were: where all is fresh, and where in every bucket something is stale, for two causes, with all the evidence that is
// kept. Buckets are made as readers make them, from records.
func TestMemoryOfTheBusiest(t *testing.T) {
	if testing.Short() {
		t.Skip("makes ledgers of thousands of buckets")
	}
	for _, c := range []struct {
		name       string
		objectives int
		stale      bool
		most       uint64 // bytes an objective
	}{{"all fresh", 20, false, 600 << 10}, {"some stale in every bucket", 4, true, 10 << 20}} {
		t.Run(c.name, func(t *testing.T) {
			before := heap()
			all := make([]*Ledger, c.objectives)
			uses := int64(0)
			for i := range all {
				var n int64
				all[i], n = busiest(t, c.stale)
				uses += n
			}
			each := (heap() - before) / uint64(c.objectives)
			together, apart := all[0].Buckets()
			t.Logf("%d objectives that have counted %d million uses: %.2f MB each, of %d buckets, %d with partitions told apart",
				c.objectives, uses/1_000_000, float64(each)/(1<<20), together, apart)
			if together > 850 || each > c.most {
				t.Errorf("%d buckets an objective, %d bytes", together, each)
			}
			runtime.KeepAlive(all)
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// busiest returns a ledger with uses in every bucket, and how many.
func busiest(t *testing.T, stale bool) (l *Ledger, uses int64) {
	t.Helper()
	const now = event.Time(1_700_000_000_000)
	s := objective(t, "objective: 0.99, window: 30d")
	l = full(now, s.Window, func(p int32, b *Bucket) {
		b.Good = 10 * int64(b.Size/second)
		if stale {
			b.Bad, b.Shares = 1000, []Share{{"hold_approval", "payments", 600 * Whole}, {"source_late", "risk-platform", 400 * Whole}}
			for i := range EvidenceLimit {
				b.Evidence = append(b.Evidence, Evidence{Time: b.Start + event.Time(EvidenceLimit-i), Verdict: freshness.IsStale, Topic: "workflow.decision", Partition: p, Offset: int64(b.Start),
					Workflow: fmt.Sprintf("wf-%d-%d", b.Start, i), DecisionID: "d1", Trace: "00000000000000000000000000000000"})
			}
		}
		uses += b.Good + b.Bad
		var err error
		if _, _, *b, err = ParseRecord(AppendRecord(nil, s.Name, p, b, now)); err != nil {
			t.Fatal(err)
		}
	})
	return l, uses
}
