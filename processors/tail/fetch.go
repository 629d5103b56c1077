package tail

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/grafana/dskit/backoff"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	peekBytes  = 1               // of the first fetch of a walk, which is often enough: the broker sends the first batch whole
	fetchBytes = 256 << 10       // of those that follow
	leaderAge  = 5 * time.Second // how old a cached leader may be
	// emptyAnswers is how many answers in a row must be empty before offsets that the broker calls stable are taken to hold nothing.
	// Compaction leaves such holes; a broker that reads from remote storage answers once in a while as if there were one.
	emptyAnswers = 3
)

// page is what one raw fetch says of a partition to a reader of committed records.
type page struct {
	records []*kgo.Record // those the reader would be given, in order
	next    int64         // the position after all that the answer holds, markers and aborted records included
	stable  int64         // the last stable offset
}

// scan walks over what a reader of committed records would be given in [from, to) and calls visit for each record, until visit says that
// it is enough, the position has reached to, or the log holds nothing more that is stable. It returns the position reached: that of the
// record at which visit stopped, else the first offset that has not been looked at.
func (l *Logs) scan(ctx context.Context, tp TopicPartition, from, to int64, visit func(r *kgo.Record) (enough bool)) (int64, error) {
	empty := backoff.New(ctx, backoff.Config{MinBackoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond, MaxRetries: emptyAnswers})
	for size := int32(peekBytes); from < to; size = fetchBytes {
		p, err := l.page(ctx, tp, from, size)
		if errors.Is(err, kerr.OffsetOutOfRange) {
			from, err = l.afterDeletion(ctx, tp, from)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return from, err
		}
		for _, r := range p.records {
			if r.Offset >= to {
				return to, nil
			}
			if visit(r) {
				return r.Offset, nil
			}
		}
		switch {
		case p.next > from:
			from = p.next
			empty.Reset()
		case p.stable <= from:
			return from, nil
		default:
			if empty.Wait(); empty.Ongoing() {
				continue
			}
			if err := ctx.Err(); err != nil {
				return from, fmt.Errorf("read %s from %d: %w", tp, from, err)
			}
			from = min(p.stable, to)
		}
	}
	return from, nil
}

// afterDeletion returns the log's start if a position lies below it. A position above the log's end is an error.
func (l *Logs) afterDeletion(ctx context.Context, tp TopicPartition, from int64) (int64, error) {
	start, err := l.offset(ctx, tp, earliest, false)
	if err != nil {
		return from, err
	}
	if start <= from {
		return from, fmt.Errorf("read %s from %d: %w: the log starts at %d and ends below", tp, from, kerr.OffsetOutOfRange, start)
	}
	return start, nil
}

// page fetches what lies at a position, and asks again while the answer is one that passes.
func (l *Logs) page(ctx context.Context, tp TopicPartition, from int64, size int32) (page, error) {
	var p page
	err := retry(ctx, func(fresh bool) (err error) {
		p, err = l.fetch(ctx, tp, from, size, fresh)
		return err
	})
	if err != nil {
		return page{}, fmt.Errorf("read %s from %d: %w", tp, from, err)
	}
	return p, nil
}

func (l *Logs) fetch(ctx context.Context, tp TopicPartition, from int64, size int32, fresh bool) (page, error) {
	leader, err := l.leader(ctx, tp, fresh)
	if err != nil {
		return page{}, err
	}
	resp, err := leader.RetriableRequest(ctx, fetchRequest(tp, from, size))
	if err != nil {
		return page{}, err
	}
	r := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		return page{}, err
	}
	// A broker that throttles us answers without the partition: the client waits as told before it asks again.
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return page{}, errors.New("the broker's answer does not name the partition")
	}
	return readPage(tp, from, &r.Topics[0].Partitions[0])
}

func readPage(tp TopicPartition, from int64, answer *kmsg.FetchResponseTopicPartition) (page, error) {
	opts := kgo.ProcessFetchPartitionOpts{Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: tp.Topic, Partition: tp.Partition}
	got, next := kgo.ProcessFetchPartition(opts, answer, kgo.DefaultDecompressor(), nil)
	if got.Err != nil {
		return page{}, got.Err
	}
	return page{next: next, stable: got.LastStableOffset, records: got.Records}, nil
}

// fetchRequest asks for committed records without waiting for any and outside of a fetch session. Only the partition's bytes are limited:
// where the whole answer's limit cuts off a partition, the embedded broker does not say which of its transactions were aborted.
func fetchRequest(tp TopicPartition, from int64, size int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.IsolationLevel = -1, 1
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 0, 0, math.MaxInt32
	req.SessionID, req.SessionEpoch = 0, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = tp.Topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = tp.Partition, from, size, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// leader returns the broker that leads a partition.
func (l *Logs) leader(ctx context.Context, tp TopicPartition, fresh bool) (*kgo.Broker, error) {
	age := leaderAge
	if fresh {
		age = 1 // a nanosecond: whatever is cached is too old
	}
	resp, err := l.metadata(ctx, []string{tp.Topic}, age)
	if err != nil {
		return nil, err
	}
	for _, t := range resp.Topics {
		if t.Topic == nil || *t.Topic != tp.Topic {
			continue
		}
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, err
		}
		for _, p := range t.Partitions {
			if p.Partition != tp.Partition {
				continue
			}
			if p.Leader < 0 {
				return nil, kerr.LeaderNotAvailable
			}
			return l.cl.Broker(int(p.Leader)), nil
		}
	}
	return nil, kerr.UnknownTopicOrPartition
}
