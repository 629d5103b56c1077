package tail

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/go-kit/log/level"
	"github.com/grafana/dskit/backoff"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

const (
	firstWindow  = 8  // offsets looked at first from the end backwards: most logs end in a record or in a few markers
	windowGrowth = 16 // how much further back each further look goes

	lookers   = 16                     // logs that are looked at side by side
	firstLook = 50 * time.Millisecond  // transactions that end by themselves are not looked at
	lookAgain = 200 * time.Millisecond // at who holds a log open
)

// Usable returns the offset after the last record that a reader of committed records is given below the partition's present high
// watermark: the offset up to which recovery can read, and no further. Where nothing is given, it is the log's start. It waits until no
// transaction is open below that high watermark, and ends those that Fencing allows it to.
func (l *Logs) Usable(ctx context.Context, topic string, partition int32) (int64, error) {
	tp := TopicPartition{Topic: topic, Partition: partition}
	end, err := l.offset(ctx, tp, latest, false)
	if err != nil {
		return 0, fmt.Errorf("find the usable end of %s: %w", tp, err)
	}
	if err := l.awaitStable(ctx, tp, end); err != nil {
		return 0, fmt.Errorf("find the usable end of %s: %w", tp, err)
	}
	usable, err := l.afterLastRecord(ctx, tp, end)
	if err != nil {
		return 0, fmt.Errorf("find the usable end of %s: %w", tp, err)
	}
	return usable, nil
}

// UsableEnds returns the usable ends of all partitions of a topic, looked for side by side.
func (l *Logs) UsableEnds(ctx context.Context, topic string, partitions int32) ([]int64, error) {
	ends := make([]int64, partitions)
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(lookers)
	for p := range partitions {
		all.Go(func() (err error) {
			ends[p], err = l.Usable(ctx, topic, p)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	return ends, nil
}

// Next looks at the log from a position on. If a reader of committed records would be given a record at or after it, next is that
// record's offset and hasRecord is true. Otherwise next is how far the position may move without passing one: behind markers and aborted
// records, at most to the last stable offset. With an error, next is how far it was safe to move before.
func (l *Logs) Next(ctx context.Context, topic string, partition int32, from int64) (next int64, hasRecord bool, err error) {
	tp := TopicPartition{Topic: topic, Partition: partition}
	next, err = l.scan(ctx, tp, from, math.MaxInt64, func(*kgo.Record) bool {
		hasRecord = true
		return true
	})
	if err != nil {
		return next, false, fmt.Errorf("look for the next record of %s: %w", tp, err)
	}
	return next, hasRecord, nil
}

// afterLastRecord looks for the last record below end, in windows that reach further and further back.
func (l *Logs) afterLastRecord(ctx context.Context, tp TopicPartition, end int64) (int64, error) {
	start, err := l.offset(ctx, tp, earliest, false)
	if err != nil {
		return 0, err
	}
	to := end
	for width := int64(firstWindow); to > start; width *= windowGrowth {
		from := max(start, end-width)
		last := int64(-1)
		if _, err := l.scan(ctx, tp, from, to, func(r *kgo.Record) bool {
			last = r.Offset
			return false
		}); err != nil {
			return 0, err
		}
		if last >= 0 {
			return last + 1, nil
		}
		to = from // nothing is given at or above it
	}
	return start, nil
}

// awaitStable waits until the last stable offset has reached end. Transactions that have been open for longer than the grace are ended where
// that is allowed, and looked at again and again: an owner may turn out to be dead only later. Who was killed is out of its group only after
// its session, and what it has left open is as old by then: that is not waited for.
func (l *Logs) awaitStable(ctx context.Context, tp TopicPartition, end int64) error {
	var (
		began   = time.Now()
		lookDue = began.Add(firstLook)
		wait    = backoff.New(ctx, polls())
	)
	for {
		stable, err := l.offset(ctx, tp, latest, true)
		if err != nil {
			return err
		}
		if stable >= end {
			if waited := time.Since(began); waited > 100*time.Millisecond {
				level.Info(l.logger).Log("msg", "waited for open transactions", "partition", tp, "waited", waited)
			}
			return nil
		}
		if l.fence.May != nil && !time.Now().Before(lookDue) {
			if err := l.fencePartition(ctx, tp, time.Since(began) >= l.fence.Grace); err != nil {
				level.Warn(l.logger).Log("msg", "could not end open transactions", "partition", tp, "err", err)
			}
			lookDue = time.Now().Add(lookAgain)
		}
		if wait.Wait(); ctx.Err() != nil {
			return fmt.Errorf("wait for open transactions%s: stable up to %d, end %d: %w", l.whose(tp), stable, end, context.Cause(ctx))
		}
	}
}

// whose names the open transactions of a partition for an error message. The caller's context is over, so that it takes one of its own.
func (l *Logs) whose(tp TopicPartition) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	open, err := l.OpenTransactions(ctx, tp)
	if err != nil || len(open) == 0 {
		return ""
	}
	var names []string
	for _, o := range open {
		if o.ID == "" {
			names = append(names, fmt.Sprintf("producer %d, which no coordinator knows", o.ProducerID))
			continue
		}
		names = append(names, fmt.Sprintf("%q", o.ID))
	}
	return " of " + strings.Join(names, ", ")
}
