package bench

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/topology"
)

// Filled is what a workload has put into the topics.
type Filled struct {
	Records int64
	Bytes   int64 // keys, values, headers
}

// Fill creates the graph's topics and writes the workload into its inputs. Progress is called with the number of records sent.
func Fill(ctx context.Context, cluster access.Cluster, g *topology.Graph, w *Workload, progress func(records int64)) (Filled, error) {
	client, err := kgo.NewClient(cluster.Kgo(
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()), // the padding would compress as no real event does
		kgo.ProducerBatchMaxBytes(1_000_000),
		kgo.MaxBufferedRecords(50_000),
	)...)
	if err != nil {
		return Filled{}, fmt.Errorf("connect to %s: %w", cluster, err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	changes, err := topology.Plan(ctx, adm, g, ".")
	if err != nil {
		return Filled{}, err
	}
	if err := topology.Apply(ctx, adm, changes); err != nil {
		return Filled{}, err
	}
	targets := map[event.Category]*topology.Topic{}
	for i := range g.Inputs {
		targets[g.Inputs[i].Category] = &g.Inputs[i]
	}
	var mu sync.Mutex
	var failed error
	acked := func(r *kgo.Record, err error) {
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			failed = fmt.Errorf("write to partition %d of %s: %w", r.Partition, r.Topic, err)
		}
	}
	var filled Filled
	err = w.Each(func(r *Record) error {
		t := targets[r.Category]
		out := &kgo.Record{
			Topic: t.Name, Partition: g.Partitioner.PartitionString(r.Key, t.Partitions), Timestamp: r.Time.Go(),
			Key: []byte(r.Key), Value: append([]byte(nil), r.Value...), Headers: make([]kgo.RecordHeader, len(r.Headers)),
		}
		for i, h := range r.Headers {
			out.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)}
			filled.Bytes += int64(len(h.Key) + len(h.Value))
		}
		filled.Records++
		filled.Bytes += int64(len(out.Key) + len(out.Value))
		if filled.Records%4096 == 0 {
			progress(filled.Records)
		}
		client.Produce(ctx, out, acked)
		return ctx.Err()
	})
	if err == nil {
		err = client.Flush(ctx)
	}
	if err != nil {
		return filled, fmt.Errorf("fill the topics: %w", err)
	}
	mu.Lock()
	defer mu.Unlock()
	return filled, failed
}
