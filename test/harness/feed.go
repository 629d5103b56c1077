package harness

import (
	"context"
	"testing"

	"github.com/freshet-io/freshet/cmd/freshet/loader"
	"github.com/freshet-io/freshet/event"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Load writes structured events into their topics as freshet load does, and waits until they are acknowledged.
func (e *Engine) Load(ctx context.Context, lines [][]byte) {
	e.t.Helper()
	l, err := loader.Open(ctx, e.own, e.graph)
	if err != nil {
		e.t.Fatal(err)
	}
	defer l.Close()
	for _, r := range records(e.t, l, lines) {
		if err := l.Produce(ctx, r); err != nil {
			e.t.Fatal(err)
		}
	}
	if err := l.Finish(ctx); err != nil {
		e.t.Fatal(err)
	}
}

// Records returns the records that Load would write, in the same order.
func (e *Engine) Records(ctx context.Context, lines [][]byte) []*kgo.Record {
	e.t.Helper()
	l, err := loader.Open(ctx, e.own, e.graph)
	if err != nil {
		e.t.Fatal(err)
	}
	defer l.Close()
	return records(e.t, l, lines)
}

func records(t *testing.T, l *loader.Loader, lines [][]byte) []*kgo.Record {
	t.Helper()
	all := make([]*kgo.Record, len(lines))
	for i, line := range lines {
		r, reason := l.Record(line)
		if reason != event.OK {
			t.Fatalf("line %d: %s", i+1, reason)
		}
		all[i] = r
	}
	return all
}

// Produce writes records where they say, those of a partition in their order, and waits until they are acknowledged: then they have
// offsets.
func (e *Engine) Produce(ctx context.Context, records ...*kgo.Record) {
	e.t.Helper()
	for _, r := range e.client.ProduceSync(ctx, records...) {
		if r.Err != nil {
			e.t.Fatalf("produce to %s/%d: %v", r.Record.Topic, r.Record.Partition, r.Err)
		}
	}
}
