package tail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"
	"github.com/grafana/dskit/backoff"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	ongoing = "Ongoing" // the state of a transaction that neither commits nor aborts yet
	// fencedTimeout is the transaction timeout a fenced id is left with; whoever uses the id next sets its own.
	fencedTimeout = 10 * time.Second
)

// Transaction is one that is open.
type Transaction struct {
	ID         string // transactional id; "" where no coordinator knows the producer (a hanging transaction)
	ProducerID int64
	Start      time.Time // by the coordinator's clock; zero where it is not known

	// Where it is open, if it was found on a partition.
	On          TopicPartition
	FirstOffset int64
}

// OpenTransactions returns the transactions that hold back the last stable offsets of the partitions, the oldest first; those whose start
// is not known come before all others.
func (l *Logs) OpenTransactions(ctx context.Context, tps ...TopicPartition) ([]Transaction, error) {
	open, err := l.openOn(ctx, tps)
	if err != nil || len(open) == 0 {
		return nil, err
	}
	var ids []int64
	for _, o := range open {
		ids = append(ids, o.ProducerID)
	}
	listed, err := l.listOngoing(ctx, ids)
	if err != nil {
		return nil, err
	}
	if err := l.dateTransactions(ctx, listed); err != nil {
		return nil, err
	}
	for i := range open {
		for _, t := range listed {
			if t.ProducerID == open[i].ProducerID {
				open[i].ID, open[i].Start = t.ID, t.Start
			}
		}
	}
	sortByStart(open)
	return open, nil
}

// Ongoing returns the open transactions whose transactional id begins with prefix, the oldest first.
func (l *Logs) Ongoing(ctx context.Context, prefix string) ([]Transaction, error) {
	listed, err := l.listOngoing(ctx, nil)
	if err != nil {
		return nil, err
	}
	listed = slices.DeleteFunc(listed, func(t Transaction) bool { return !strings.HasPrefix(t.ID, prefix) })
	if err := l.dateTransactions(ctx, listed); err != nil {
		return nil, err
	}
	sortByStart(listed)
	return listed, nil
}

// Reap ends the transactions whose id begins with prefix, that have been open for longer than older, and whose owner is not alive. It
// returns how many it ended; one that cannot be ended does not keep it from the others.
func (l *Logs) Reap(ctx context.Context, prefix string, alive func(transactionalID string) bool, older time.Duration) (int, error) {
	open, err := l.Ongoing(ctx, prefix)
	if err != nil {
		return 0, fmt.Errorf("reap open transactions of %q: %w", prefix, err)
	}
	ended := 0
	var errs []error
	for _, t := range open {
		if !l.olderThan(older, t) || alive(t.ID) {
			continue
		}
		if err := l.end(ctx, t); err != nil {
			errs = append(errs, err)
			continue
		}
		ended++
	}
	return ended, errors.Join(errs...)
}

// olderThan says whether a transaction has been open for longer than a time. One whose start is not known, since it ended between two answers
// or no coordinator knows it, is not.
func (l *Logs) olderThan(d time.Duration, t Transaction) bool {
	return !t.Start.IsZero() && l.now().Sub(t.Start) > d
}

// fencePartition ends the transactions that are open on a partition and that Fencing allows to end: those that are older than the grace, or
// all of them if they have been waited for so long.
func (l *Logs) fencePartition(ctx context.Context, tp TopicPartition, all bool) error {
	open, err := l.OpenTransactions(ctx, tp)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range open {
		if t.ID == "" || !all && !l.olderThan(l.fence.Grace, t) || !l.fence.May(t.ID) {
			continue
		}
		errs = append(errs, l.end(ctx, t))
	}
	return errors.Join(errs...)
}

// end ends a transaction by taking its id over: InitProducerID aborts what is open and fences its producer. While the abort is under way
// the coordinator says so, and is asked again.
func (l *Logs) end(ctx context.Context, t Transaction) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = kmsg.StringPtr(t.ID)
	req.TransactionTimeoutMillis = int32(fencedTimeout.Milliseconds())
	req.ProducerID, req.ProducerEpoch = -1, -1
	wait := backoff.New(ctx, polls())
	for {
		resp, err := req.RequestWith(ctx, l.cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err == nil {
			level.Info(l.logger).Log("msg", "ended the open transaction of a dead owner", "transactional_id", t.ID, "producer_id", t.ProducerID)
			return nil
		}
		if !errors.Is(err, kerr.ConcurrentTransactions) {
			return fmt.Errorf("end the open transaction of %q: %w", t.ID, err)
		}
		if wait.Wait(); ctx.Err() != nil {
			return fmt.Errorf("end the open transaction of %q: %w", t.ID, context.Cause(ctx))
		}
	}
}

// openOn asks the leaders of the partitions for the producers with an open transaction there.
func (l *Logs) openOn(ctx context.Context, tps []TopicPartition) ([]Transaction, error) {
	if len(tps) == 0 {
		return nil, nil
	}
	req := kmsg.NewPtrDescribeProducersRequest()
	index := make(map[string]int)
	for _, tp := range tps {
		i, ok := index[tp.Topic]
		if !ok {
			i = len(req.Topics)
			index[tp.Topic] = i
			t := kmsg.NewDescribeProducersRequestTopic()
			t.Topic = tp.Topic
			req.Topics = append(req.Topics, t)
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, tp.Partition)
	}
	var open []Transaction
	for _, shard := range l.cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, fmt.Errorf("describe the producers of %d partitions: %w", len(tps), shard.Err)
		}
		for _, t := range shard.Resp.(*kmsg.DescribeProducersResponse).Topics {
			for _, p := range t.Partitions {
				tp := TopicPartition{Topic: t.Topic, Partition: p.Partition}
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("describe the producers of %s: %w", tp, err)
				}
				for _, a := range p.ActiveProducers {
					if a.CurrentTxnStartOffset >= 0 {
						open = append(open, Transaction{ProducerID: a.ProducerID, On: tp, FirstOffset: a.CurrentTxnStartOffset})
					}
				}
			}
		}
	}
	return open, nil
}

// listOngoing asks all coordinators for open transactions, of the given producers only if there are any.
func (l *Logs) listOngoing(ctx context.Context, producers []int64) ([]Transaction, error) {
	req := kmsg.NewPtrListTransactionsRequest()
	req.StateFilters, req.ProducerIDFilters = []string{ongoing}, producers
	var listed []Transaction
	seen := make(map[string]bool) // while a coordinator moves, two brokers may list the same one
	for _, shard := range l.cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, fmt.Errorf("list open transactions: %w", shard.Err)
		}
		resp := shard.Resp.(*kmsg.ListTransactionsResponse)
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return nil, fmt.Errorf("list open transactions: %w", err)
		}
		for _, t := range resp.TransactionStates {
			if t.TransactionState == ongoing && !seen[t.TransactionalID] {
				seen[t.TransactionalID] = true
				listed = append(listed, Transaction{ID: t.TransactionalID, ProducerID: t.ProducerID})
			}
		}
	}
	return listed, nil
}

// dateTransactions fills in when the transactions began. The filter by age that ListTransactions has is Kafka 3.8's.
func (l *Logs) dateTransactions(ctx context.Context, open []Transaction) error {
	if len(open) == 0 {
		return nil
	}
	req := kmsg.NewPtrDescribeTransactionsRequest()
	for _, t := range open {
		req.TransactionalIDs = append(req.TransactionalIDs, t.ID)
	}
	starts := make(map[string]time.Time, len(open))
	for _, shard := range l.cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return fmt.Errorf("describe %d open transactions: %w", len(open), shard.Err)
		}
		for _, s := range shard.Resp.(*kmsg.DescribeTransactionsResponse).TransactionStates {
			err := kerr.ErrorForCode(s.ErrorCode)
			if errors.Is(err, kerr.TransactionalIDNotFound) {
				continue
			}
			if err != nil {
				return fmt.Errorf("describe the open transaction of %q: %w", s.TransactionalID, err)
			}
			if s.State == ongoing && s.StartTimestamp > 0 {
				starts[s.TransactionalID] = time.UnixMilli(s.StartTimestamp)
			}
		}
	}
	for i := range open {
		open[i].Start = starts[open[i].ID]
	}
	return nil
}

func sortByStart(ts []Transaction) {
	slices.SortStableFunc(ts, func(a, b Transaction) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID), cmp.Compare(a.ProducerID, b.ProducerID))
	})
}
