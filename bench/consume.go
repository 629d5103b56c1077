package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
)

// Consume reads partitions of a topic from their oldest records to before the given ends with sarama, does nothing with them, and returns how many
// there were: what no restore that reads by sarama can be faster than.
func Consume(ctx context.Context, addrs []string, topic string, ends []int64, cfg *sarama.Config) (records int64, err error) {
	consumer, err := sarama.NewConsumer(addrs, cfg)
	if err != nil {
		return 0, fmt.Errorf("connect to read %s: %w", topic, err)
	}
	defer func() { err = errors.Join(err, consumer.Close()) }()
	var (
		reading sync.WaitGroup
		read    atomic.Int64
		errs    = make([]error, len(ends))
	)
	for p, end := range ends {
		part, err := consumer.ConsumePartition(topic, int32(p), sarama.OffsetOldest)
		if err != nil {
			return 0, fmt.Errorf("read partition %d of %s: %w", p, topic, err)
		}
		reading.Go(func() {
			n := int64(0)
			for n >= 0 && end > 0 && errs[p] == nil {
				select {
				case m := <-part.Messages():
					n++
					if m.Offset >= end-1 {
						read.Add(n)
						n = -1
					}
				case <-ctx.Done():
					errs[p] = ctx.Err()
				}
			}
			errs[p] = errors.Join(errs[p], part.Close())
		})
	}
	reading.Wait()
	return read.Load(), errors.Join(errs...)
}
