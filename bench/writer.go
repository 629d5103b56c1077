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

// HeldContract judges workflows of the type held, which hold policies, by bounds such as "max_staleness: 8s".
func HeldContract(bounds string, lateness time.Duration) string {
	return fmt.Sprintf(`version: 1
owners: {a: {slack: "#a"}}
contexts:
  policy: {owner: a}
workflows:
  held: {owner: a, bounds: {policy: {%s}}}
lateness: {default: %s}
`, bounds, lateness)
}

// Writer writes events into the inputs of a graph, each into the partition of its key. It may be used by several goroutines.
type Writer struct {
	client *kgo.Client
	graph  *topology.Graph
	topics map[event.Category]*topology.Topic
	n      atomic.Int64
	failed atomic.Pointer[error] // the first that a record met that was sent
}

// NewWriter connects.
func NewWriter(cluster access.Cluster, g *topology.Graph) (*Writer, error) {
	client, err := kgo.NewClient(cluster.Kgo(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(50_000), kgo.ProducerLinger(0))...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cluster, err)
	}
	return &Writer{client: client, graph: g, topics: inputs(g)}, nil
}

// inputs are the topics of a graph that events are written to.
func inputs(g *topology.Graph) map[event.Category]*topology.Topic {
	topics := map[event.Category]*topology.Topic{}
	for i := range g.Inputs {
		topics[g.Inputs[i].Category] = &g.Inputs[i]
	}
	return topics
}

// Close disconnects.
func (w *Writer) Close() { w.client.Close() }

// record makes an event that happened at an instant and is written now, or then.
func (w *Writer) record(c event.Category, kind, key string, at, written time.Time, data string) *kgo.Record {
	return w.recordOf("held", c, kind, key, at, written, data)
}

// recordOf makes an event of a type of workflow.
func (w *Writer) recordOf(workflowType string, c event.Category, kind, key string, at, written time.Time, data string) *kgo.Record {
	t := w.topics[c]
	return &kgo.Record{
		Topic: t.Name, Partition: w.graph.Partitioner.PartitionString(key, t.Partitions), Key: []byte(key), Timestamp: written, Value: []byte(data),
		Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: fmt.Appendf(nil, "b%d", w.n.Add(1))}, {Key: "ce_source", Value: []byte("/bench")},
			{Key: "ce_type", Value: []byte(kind)}, {Key: "ce_time", Value: []byte(event.Of(at).String())}, {Key: "ce_workflowtype", Value: []byte(workflowType)},
		},
	}
}

// Held says what many open workflows hold.
type Held struct {
	First     int // of them
	Workflows int
	Items     int       // that they are spread over, all in their first version
	At        time.Time // of the loads
	AsOf      time.Time // of what was loaded; zero: not said
}

// Hold publishes the items and has the workflows start and load one each.
func (w *Writer) Hold(ctx context.Context, h Held, progress func(n int64)) error {
	for i := range h.Items {
		if err := w.Update(ctx, i, 1, h.At.Add(-time.Minute)); err != nil {
			return err
		}
	}
	asOf := ""
	if !h.AsOf.IsZero() {
		asOf = fmt.Sprintf(`,"as_of":%q`, event.Of(h.AsOf))
	}
	for i := range h.Workflows {
		id := HeldID(h.First + i)
		w.send(ctx, w.record(event.Control, "task.started", id, h.At, h.At, `{}`))
		refs := fmt.Sprintf(`{"refs":[{"kind":"policy","key":"p%d","seq":1%s}]}`, i%h.Items, asOf)
		w.send(ctx, w.record(event.Context, "context.loaded", id, h.At, h.At, refs))
		if i%4096 == 0 {
			progress(int64(i))
		}
	}
	return w.flush(ctx)
}

// HeldID is the id of one of the workflows that hold something.
func HeldID(i int) string { return fmt.Sprintf("held-%d", i) }

// send writes a record in the background.
func (w *Writer) send(ctx context.Context, r *kgo.Record) {
	w.client.Produce(ctx, r, func(r *kgo.Record, err error) {
		if err != nil {
			err = fmt.Errorf("write to partition %d of %s: %w", r.Partition, r.Topic, err)
			w.failed.CompareAndSwap(nil, &err)
		}
	})
}

// flush waits until all that was sent is acknowledged.
func (w *Writer) flush(ctx context.Context) error {
	if err := w.client.Flush(ctx); err != nil {
		return fmt.Errorf("wait for acknowledgements: %w", err)
	}
	if err := w.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Update publishes a version of an item.
func (w *Writer) Update(ctx context.Context, item, seq int, at time.Time) error {
	data := fmt.Sprintf(`{"kind":"policy","key":"p%d","seq":%d,"version":"v%d"}`, item, seq, seq)
	return w.client.ProduceSync(ctx, w.record(event.Source, "source.updated", fmt.Sprintf("policy/p%d", item), at, at, data)).FirstErr()
}
