package budget

import (
	"runtime"
	"testing"

	"github.com/freshet-io/freshet/event"
)

// The busiest there can be, 500 objectives of a month with uses in every bucket of all of 8 partitions, stays within what is promised.
func TestMemoryOfTheBusiest(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 500 ledgers")
	}
	const now = event.Time(1_700_000_000_000)
	s := objective(t, "objective: 0.99, window: 30d")
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var all [500]*Ledger
	for i := range all {
		all[i] = full(now, s.Window, false)
	}
	grown := heap() - before
	together, apart := all[0].Buckets()
	t.Logf("%d MB for 500 objectives of %d buckets, %d with partitions told apart", grown>>20, together, apart)
	if together > 850 || grown > 300<<20 {
		t.Errorf("%d buckets an objective, %d MB", together, grown>>20)
	}
	runtime.KeepAlive(all)
}
