package tail

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	latest   = -1 // ListOffsets: the high watermark, or the last stable offset for a reader of committed records
	earliest = -2 // ListOffsets: the log's start
)

// Ends returns the high watermarks of the partitions, or their last stable offsets if committed, with one request to each broker. The map
// holds the partitions that answered, even when the error tells of others.
func (l *Logs) Ends(ctx context.Context, tps []TopicPartition, committed bool) (map[TopicPartition]int64, error) {
	return l.listOffsets(ctx, tps, latest, committed)
}

// Starts returns the first offsets of the partitions, with one request to each broker. The map holds the partitions that answered, even
// when the error tells of others.
func (l *Logs) Starts(ctx context.Context, tps []TopicPartition) (map[TopicPartition]int64, error) {
	return l.listOffsets(ctx, tps, earliest, false)
}

// Since returns the offset of the first record of a partition that is not older than an instant in milliseconds: its end, as a reader of committed
// records sees it, if there is none.
func (l *Logs) Since(ctx context.Context, tp TopicPartition, instant int64) (int64, error) {
	offset, err := l.offset(ctx, tp, max(instant, 0), true)
	if err == nil && offset < 0 {
		offset, err = l.offset(ctx, tp, latest, true)
	}
	if err != nil {
		return 0, fmt.Errorf("find the records of %s since %d: %w", tp, instant, err)
	}
	return offset, nil
}

func (l *Logs) listOffsets(ctx context.Context, tps []TopicPartition, at int64, committed bool) (map[TopicPartition]int64, error) {
	offsets := make(map[TopicPartition]int64, len(tps))
	if len(tps) == 0 {
		return offsets, nil
	}
	var errs []error
	for _, shard := range l.cl.RequestSharded(ctx, listOffsetsRequest(tps, at, committed)) {
		if shard.Err != nil {
			errs = append(errs, fmt.Errorf("list offsets of %s: %w", shardName(shard.Req), shard.Err))
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				tp := TopicPartition{Topic: t.Topic, Partition: p.Partition}
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					errs = append(errs, fmt.Errorf("list offsets of %s: %w", tp, err))
					continue
				}
				offsets[tp] = p.Offset
			}
		}
	}
	return offsets, errors.Join(errs...)
}

// listOffsetsRequest names each partition once: a broker refuses a request that names one twice.
func listOffsetsRequest(tps []TopicPartition, at int64, committed bool) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	if committed {
		req.IsolationLevel = 1
	}
	index := make(map[string]int)
	named := make(map[TopicPartition]bool, len(tps))
	for _, tp := range tps {
		if named[tp] {
			continue
		}
		named[tp] = true
		i, ok := index[tp.Topic]
		if !ok {
			i = len(req.Topics)
			index[tp.Topic] = i
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = tp.Topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = tp.Partition, at
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	return req
}

// shardName says what a shard of a request asked for: its first partition, and how many more.
func shardName(req kmsg.Request) string {
	r, ok := req.(*kmsg.ListOffsetsRequest)
	if !ok || len(r.Topics) == 0 || len(r.Topics[0].Partitions) == 0 {
		return "no partition"
	}
	n := -1
	for _, t := range r.Topics {
		n += len(t.Partitions)
	}
	first := TopicPartition{Topic: r.Topics[0].Topic, Partition: r.Topics[0].Partitions[0].Partition}
	if n == 0 {
		return first.String()
	}
	return fmt.Sprintf("%s and %d more", first, n)
}

// offset asks for one offset of one partition, and asks again while the answer is one that passes.
func (l *Logs) offset(ctx context.Context, tp TopicPartition, at int64, committed bool) (int64, error) {
	var offset int64
	err := retry(ctx, func(bool) error {
		offsets, err := l.listOffsets(ctx, []TopicPartition{tp}, at, committed)
		if err != nil {
			return err
		}
		o, ok := offsets[tp]
		if !ok {
			return fmt.Errorf("list offsets of %s: the broker's answer does not name it", tp)
		}
		offset = o
		return nil
	})
	return offset, err
}
