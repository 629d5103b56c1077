//go:build unix

package torture

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/loader"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
)

// load writes events until all of them are acknowledged, however often it takes: events are a set, so what was written by an attempt that
// failed is only repeated.
func (w *world) load(ctx context.Context, lines [][]byte) error {
	var last error
	for ctx.Err() == nil {
		if last = w.try(ctx, lines); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%d events could not be loaded: %w", len(lines), last)
}

func (w *world) try(ctx context.Context, lines [][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	l, err := loader.Open(ctx, access.Open(w.brokers...), w.graph)
	if err != nil {
		return err
	}
	// A record that may have been sent is not given up, whatever ctx says; closing does that.
	var once sync.Once
	closed := func() { once.Do(l.Close) }
	defer closed()
	defer context.AfterFunc(ctx, closed)()
	for _, line := range lines {
		r, reason := l.Record(line)
		if reason != event.OK {
			return fmt.Errorf("%s: %s", reason, line)
		}
		if err := l.Produce(ctx, r); err != nil {
			return err
		}
	}
	return l.Finish(ctx)
}

// feeder loads in the background.
type feeder struct {
	done chan error
}

func (w *world) feed(ctx context.Context, lines [][]byte) *feeder {
	f := &feeder{done: make(chan error, 1)}
	go func() { f.done <- w.load(ctx, lines) }()
	return f
}

// await waits until all is acknowledged.
func (f *feeder) await(w *world) {
	w.t.Helper()
	if err := <-f.done; err != nil {
		w.t.Fatalf("%v; %s", err, w.states())
	}
}
