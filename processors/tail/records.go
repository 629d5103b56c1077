package tail

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Records hands committed records of a partition to visit, from an offset on, until it says that it has enough or there are no more. A
// record is visit's to keep. Of what retention has deleted nothing is said: the first record is then a later one.
func (l *Logs) Records(ctx context.Context, topic string, partition int32, from int64, visit func(*kgo.Record) (enough bool)) error {
	tp := TopicPartition{Topic: topic, Partition: partition}
	end, err := l.offset(ctx, tp, latest, true)
	if err == nil && from < end {
		_, err = l.scan(ctx, tp, from, end, visit)
	}
	if err != nil {
		return fmt.Errorf("read records of %s: %w", tp, err)
	}
	return nil
}
