package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/topology"
)

// Fanout makes the events of one item that many open workflows hold, and of a few workflows that go on meanwhile.
type Fanout struct {
	client *kgo.Client
	graph  *topology.Graph
	topics map[event.Category]*topology.Topic
	n      int
}

// FanoutContract makes an item stale when it has been superseded for so long.
func FanoutContract(bound time.Duration) string {
	return fmt.Sprintf(`version: 1
owners: {a: {slack: "#a"}}
contexts:
  policy: {owner: a}
workflows:
  held: {owner: a, bounds: {policy: {max_staleness: %s}}}
lateness: {default: 1s}
`, bound)
}

// NewFanout connects.
func NewFanout(cluster access.Cluster, g *topology.Graph) (*Fanout, error) {
	client, err := kgo.NewClient(cluster.Kgo(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(50_000))...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cluster, err)
	}
	f := &Fanout{client: client, graph: g, topics: map[event.Category]*topology.Topic{}}
	for i := range g.Inputs {
		f.topics[g.Inputs[i].Category] = &g.Inputs[i]
	}
	return f, nil
}

// Close disconnects.
func (f *Fanout) Close() { f.client.Close() }

func (f *Fanout) record(c event.Category, kind, key string, at time.Time, data string) *kgo.Record {
	f.n++
	t := f.topics[c]
	return &kgo.Record{
		Topic: t.Name, Partition: f.graph.Partitioner.PartitionString(key, t.Partitions), Key: []byte(key), Timestamp: at, Value: []byte(data),
		Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: fmt.Appendf(nil, "f%d", f.n)}, {Key: "ce_source", Value: []byte("/bench")},
			{Key: "ce_type", Value: []byte(kind)}, {Key: "ce_time", Value: []byte(event.Of(at).String())}, {Key: "ce_workflowtype", Value: []byte("held")},
		},
	}
}

// Hold has so many workflows start and load the first version of the item.
func (f *Fanout) Hold(ctx context.Context, dependants int, at time.Time, progress func(n int64)) error {
	var failed atomic.Pointer[error]
	acked := func(r *kgo.Record, err error) {
		if err != nil {
			err = fmt.Errorf("write to partition %d of %s: %w", r.Partition, r.Topic, err)
			failed.CompareAndSwap(nil, &err)
		}
	}
	for i := range dependants {
		id := fmt.Sprintf("held-%d", i)
		f.client.Produce(ctx, f.record(event.Control, "task.started", id, at, `{}`), acked)
		f.client.Produce(ctx, f.record(event.Context, "context.loaded", id, at, `{"refs":[{"kind":"policy","key":"p","seq":1}]}`), acked)
		if i%4096 == 0 {
			progress(int64(i))
		}
	}
	if err := f.client.Flush(ctx); err != nil {
		return fmt.Errorf("write what is held: %w", err)
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Update publishes a version of the item.
func (f *Fanout) Update(ctx context.Context, seq int, at time.Time) error {
	r := f.record(event.Source, "source.updated", "policy/p", at, fmt.Sprintf(`{"kind":"policy","key":"p","seq":%d,"version":"v%d"}`, seq, seq))
	return f.client.ProduceSync(ctx, r).FirstErr()
}

// Live has a few workflows that hold nothing go on, until ctx ends.
func (f *Fanout) Live(ctx context.Context, rate int, now func() time.Time) {
	t := time.NewTicker(time.Second / time.Duration(rate))
	defer t.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f.client.Produce(ctx, f.record(event.Control, "task.waiting", fmt.Sprintf("live-%d", i%100), now(), `{}`), nil)
		}
	}
}
