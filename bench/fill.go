package bench

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/topology"
)

// Filled is what a workload has put into the topics.
type Filled struct {
	Records int64
	Bytes   int64 // keys, values, headers
}

// CreateTopics creates those of a graph that are missing.
func CreateTopics(ctx context.Context, cluster access.Cluster, g *topology.Graph) error {
	client, err := kgo.NewClient(cluster.Kgo()...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", cluster, err)
	}
	defer client.Close()
	changes, err := topology.Plan(ctx, kadm.NewClient(client), g, ".")
	if err != nil {
		return err
	}
	return topology.Apply(ctx, client, changes)
}

// Fill creates the graph's topics and writes the workload into its inputs. Progress is called with the number of records sent.
func Fill(ctx context.Context, cluster access.Cluster, g *topology.Graph, w *Workload, progress func(records int64)) (Filled, error) {
	if err := CreateTopics(ctx, cluster, g); err != nil {
		return Filled{}, err
	}
	return Write(ctx, cluster, g, w, func(_ *Record, n int64) error {
		if n%4096 == 0 {
			progress(n)
		}
		return nil
	})
}

// Write writes the workload into the inputs of a graph. Before is called before each record, with how many came before it.
func Write(ctx context.Context, cluster access.Cluster, g *topology.Graph, w *Workload, before func(r *Record, n int64) error) (Filled, error) {
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
	targets := inputs(g)
	var failed atomic.Pointer[error]
	acked := func(r *kgo.Record, err error) {
		if err != nil {
			err = fmt.Errorf("write to partition %d of %s: %w", r.Partition, r.Topic, err)
			failed.CompareAndSwap(nil, &err)
		}
	}
	var filled Filled
	err = w.Each(func(r *Record) error {
		if err := before(r, filled.Records); err != nil {
			return err
		}
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
		client.Produce(ctx, out, acked)
		return ctx.Err()
	})
	if err == nil {
		err = client.Flush(ctx)
	}
	if err != nil {
		return filled, fmt.Errorf("fill the topics: %w", err)
	}
	if err := failed.Load(); err != nil {
		return filled, *err
	}
	return filled, nil
}
