package bench

import (
	"context"
	"time"

	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/topology"
)

// Feed writes a workload: a backlog as fast as it goes, and the rest at a rate, once it is told one.
type Feed struct {
	backlog chan struct{}
	rate    chan float64
}

// NewFeed returns a feed that has written nothing yet.
func NewFeed() *Feed { return &Feed{backlog: make(chan struct{}), rate: make(chan float64, 1)} }

// Backlog is closed once the backlog is written.
func (f *Feed) Backlog() <-chan struct{} { return f.backlog }

// Go lets the rest be written, so many records a second.
func (f *Feed) Go(rate float64) { f.rate <- rate }

// Run writes until ctx ends, which is no error.
func (f *Feed) Run(ctx context.Context, cluster access.Cluster, g *topology.Graph, w *Workload, backlog int64) error {
	pace := func() error { return nil }
	_, err := Write(ctx, cluster, g, w, func(_ *Record, n int64) error {
		if n == backlog {
			close(f.backlog)
			select {
			case rate := <-f.rate:
				pace = pacer(ctx, rate)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return pace()
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// pacer returns what waits so that it is called at a rate at most.
func pacer(ctx context.Context, rate float64) func() error {
	begun, n := time.Now(), 0
	return func() error {
		n++
		if n%16 != 0 { // a timer for each would cost as much as the record
			return nil
		}
		if wait := time.Duration(float64(n)/rate*float64(time.Second)) - time.Since(begun); wait > 0 {
			time.Sleep(wait)
		}
		return ctx.Err()
	}
}
