package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/IBM/sarama"

	"github.com/freshet-io/freshet/topology"
)

// Floor reads all records of the graph's inputs with a consumer group that does nothing with them: what no engine that reads by sarama can
// be below.
func Floor(ctx context.Context, addrs []string, g *topology.Graph, cfg *sarama.Config, records int64) error {
	group, err := sarama.NewConsumerGroup(addrs, g.Name("freshet-bench-floor"), cfg)
	if err != nil {
		return fmt.Errorf("join the group of the floor: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reader := &floorReader{done: cancel}
	reader.left.Store(records)
	var topics []string
	for i := range g.Inputs {
		topics = append(topics, g.Inputs[i].Name)
	}
	for err == nil && reader.left.Load() > 0 && ctx.Err() == nil {
		err = group.Consume(ctx, topics, reader)
	}
	err = errors.Join(err, group.Close())
	if left := reader.left.Load(); left > 0 {
		return fmt.Errorf("read the floor: %d records are missing: %w", left, errors.Join(err, context.Cause(ctx)))
	}
	return nil
}

type floorReader struct {
	left atomic.Int64
	done context.CancelFunc
}

func (r *floorReader) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (r *floorReader) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (r *floorReader) ConsumeClaim(_ sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	// Counted in runs, so that the floor is reading and not counting.
	const run = 256
	n := int64(0)
	last := claim.HighWaterMarkOffset() - 1
	for m := range claim.Messages() {
		n++
		if n == run || m.Offset >= last {
			if r.left.Add(-n) <= 0 {
				r.done()
			}
			n = 0
		}
	}
	return nil
}
