package harness

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Position is where a record lies.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// PositionOf returns where a record lies that has been read, or acknowledged.
func PositionOf(r *kgo.Record) Position { return Position{r.Topic, r.Partition, r.Offset} }

// ReadAll returns every committed record that topics hold now.
func (e *Engine) ReadAll(ctx context.Context, topics ...string) []*kgo.Record {
	e.t.Helper()
	ends, err := e.Admin().ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		e.t.Fatal(err)
	}
	missing := map[Position]bool{} // partitions that are not read yet; Offset is their end
	for _, l := range ends.Offsets().Sorted() {
		if l.At > 0 {
			missing[Position{l.Topic, l.Partition, l.At}] = true
		}
	}
	// Markers of transactions are offsets without a record: kgo moves over them, but only hands over the record behind them. So control
	// records are kept.
	client := e.consumer(kgo.ConsumeTopics(topics...), kgo.KeepControlRecords())
	defer client.Close()
	var all []*kgo.Record
	for len(missing) > 0 {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			e.t.Fatalf("read %v: %v; missing up to %v", topics, err, missing)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			for p := range missing {
				if p.Topic == r.Topic && p.Partition == r.Partition && r.Offset+1 >= p.Offset {
					delete(missing, p)
				}
			}
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
		})
	}
	return all
}

func (e *Engine) consumer(extra ...kgo.Opt) *kgo.Client {
	e.t.Helper()
	client, err := kgo.NewClient(e.own.Kgo(append([]kgo.Opt{
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100 * time.Millisecond),
	}, extra...)...)...)
	if err != nil {
		e.t.Fatal(err)
	}
	return client
}
