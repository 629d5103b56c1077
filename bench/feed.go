package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/topology"
)

// Pace is called before each record that is written behind a backlog, with how many have been written, and takes as long as it wants.
type Pace func(ctx context.Context, n int64) error

// Feed writes a workload: a backlog as fast as it goes, and the rest at a pace, once it is told one.
type Feed struct {
	backlog chan struct{}
	begin   sync.Once
	going   chan struct{}
	pace    atomic.Pointer[Pace]
	written atomic.Int64
}

// NewFeed returns a feed that has written nothing yet.
func NewFeed() *Feed { return &Feed{backlog: make(chan struct{}), going: make(chan struct{})} }

// Backlog is closed once the backlog is written.
func (f *Feed) Backlog() <-chan struct{} { return f.backlog }

// Written returns how many records have been written, some of which may not have arrived.
func (f *Feed) Written() int64 { return f.written.Load() }

// Go lets the rest be written at a pace, or at another one.
func (f *Feed) Go(pace Pace) {
	f.pace.Store(&pace)
	f.begin.Do(func() { close(f.going) })
}

// Run writes until ctx ends, which is no error.
func (f *Feed) Run(ctx context.Context, cluster access.Cluster, g *topology.Graph, w *Workload, backlog int64) error {
	_, err := Write(ctx, cluster, g, w, func(_ *Record, n int64) error {
		f.written.Store(n)
		if n < backlog {
			return nil
		}
		if n == backlog {
			close(f.backlog)
			select {
			case <-f.going:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return (*f.pace.Load())(ctx, n)
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// paceEvery is how many records go between two looks at a clock: a timer for each would cost as much as the record.
const paceEvery = 16

// AtRate writes so many records a second, at most.
func AtRate(rate float64) Pace {
	var begun time.Time
	var first int64
	return func(ctx context.Context, n int64) error {
		if begun.IsZero() {
			begun, first = time.Now(), n
		}
		if n%paceEvery != 0 {
			return nil
		}
		if wait := time.Duration(float64(n-first)/rate*float64(time.Second)) - time.Since(begun); wait > 0 {
			time.Sleep(wait)
		}
		return ctx.Err()
	}
}

// Within writes as fast as they are taken, so that about limit records wait at most. Waiting says how many do; it is asked once for a
// quarter of the limit, and then again and again until there is room.
func Within(limit int64, waiting func() (int64, error)) Pace {
	return func(ctx context.Context, n int64) error {
		if n%(limit/4) != 0 {
			return nil
		}
		for {
			if left, err := waiting(); err != nil || left < limit {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}
