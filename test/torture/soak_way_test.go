//go:build unix

package torture

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// soakKeeps is by how much later than it happened an event has to come to be late, at least: the engine's clock shows no more than wall time
// less the contract's lateness, and what is older than decisions are kept by that clock has no effect.
const soakKeeps = 2*time.Hour + time.Minute

// way is how long events take by the soak's clock from when they happen to when the broker has them. A machine that is too slow for the
// soak's pace makes events late in this way, and then the engine is right to leave them out.
type way struct {
	s *soak

	mu           sync.Mutex
	longest, all time.Duration // since it was taken, and ever
	late         int           // that may be counted late
}

// OnProduceRecordUnbuffered is told of a record that is acknowledged.
func (w *way) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	took := w.s.now().Sub(r.Timestamp)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.longest, w.all = max(w.longest, took), max(w.all, took)
	if took > soakKeeps {
		w.late++
	}
}

// take returns the longest since the last time.
func (w *way) take() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.longest = 0 }()
	return w.longest
}

// lateness says whether events may have been late, and what the engine has counted as late.
func (s *soak) lateness(ctx context.Context, i *instance) string {
	s.way.mu.Lock()
	longest, late := s.way.all, s.way.late
	s.way.mu.Unlock()
	counted := s.counters(ctx, i)["late"]
	said := fmt.Sprintf("events were in the broker at most %v after they had happened; the engine counted %.0f as late", longest.Round(time.Minute), counted)
	switch {
	case late > 0:
		said += fmt.Sprintf(", and %d came late enough for that: this machine is too slow for -soak.speed=%d", late, *soakSpeed)
	case counted > 0:
		said += ", and none was"
	}
	return said
}
