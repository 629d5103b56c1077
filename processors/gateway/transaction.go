package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/freshet-io/freshet/internal/await"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/go-kit/log/level"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// transaction produces all records and commits the offsets in one transaction. It returns the last changelog offset per partition.
func (s *session) transaction(ctx context.Context, client *kgo.Client, all []taken, limit int) (map[int32]int64, error) {
	if replaced := s.g.off.transaction; replaced != nil {
		return replaced(s, ctx, all)
	}
	if err := client.BeginTransaction(); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	await.Point(await.BeforeProduce)
	ends, err := s.produce(ctx, client, all, limit)
	if err == nil {
		await.Point(await.AfterProduce)
		err = s.txnOffsets(ctx, client, all)
	}
	if err != nil {
		abort, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
		defer cancel()
		if e := client.EndTransaction(abort, kgo.TryAbort); e != nil {
			_ = level.Debug(s.g.logger).Log("msg", "abort", "err", e)
		}
		return nil, err
	}
	await.Point(await.AfterOffsets)
	if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return nil, fmt.Errorf("end: %w", err)
	}
	await.Point(await.AfterEnd)
	return ends, nil
}

// abortTime is how long an abort is tried: what it leaves open, the next client's first request ends.
const abortTime = 2 * time.Second

// produce sends the records and waits for all acknowledgements. With a limit, topics go one after the other, and so many bytes of one at
// a time: then it is known which topic refuses, and batches are small.
func (s *session) produce(ctx context.Context, client *kgo.Client, all []taken, limit int) (map[int32]int64, error) {
	a := &acks{table: s.g.spec.Table, ends: make(map[int32]int64, len(all))}
	rows, bytes := 0, 0
	for i := range all {
		rows += len(all[i].writes)
	}
	slab := make([]kgo.Record, rows)
	var pace pacer
	for i := range all {
		t := &all[i]
		done := a.of(t.p.ID)
		send := func(r *kgo.Record) {
			n := len(r.Key) + len(r.Value)
			bytes += n
			if limit > 0 && pace.full(r.Topic, n, limit) {
				a.wg.Wait()
			}
			a.wg.Add(1)
			client.Produce(ctx, r, done)
		}
		for j := range t.writes {
			w := &t.writes[j]
			r := &slab[len(slab)-rows]
			rows--
			*r = kgo.Record{Topic: a.table, Partition: t.p.ID, Key: []byte(w.Key), Value: w.Value}
			send(r)
		}
		for _, r := range t.recs {
			send(r)
		}
	}
	a.wg.Wait()
	s.g.m.CommitBytes.WithLabelValues(s.g.spec.Name).Add(float64(bytes))
	return a.ends, a.err()
}

// acks gathers what became of the records of a transaction.
type acks struct {
	wg    sync.WaitGroup
	table string

	mu      sync.Mutex
	ends    map[int32]int64 // last offset of each partition of the table
	first   error
	refused map[int32]refusal // by the partition that made the record
}

// of returns what is called for each record of a partition. (It is one function for all of them.)
func (a *acks) of(partition int32) func(*kgo.Record, error) {
	return func(r *kgo.Record, err error) {
		switch {
		case err != nil:
			a.failed(partition, r, err)
		case r.Topic == a.table:
			a.mu.Lock()
			if end, ok := a.ends[r.Partition]; !ok || r.Offset > end {
				a.ends[r.Partition] = r.Offset
			}
			a.mu.Unlock()
		}
		a.wg.Done()
	}
}

func (a *acks) failed(partition int32, r *kgo.Record, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first == nil {
		a.first = fmt.Errorf("produce to %s/%d: %w", r.Topic, r.Partition, err)
	}
	reason := refusalOf(err)
	if _, known := a.refused[partition]; reason == "" || known {
		return
	}
	if a.refused == nil {
		a.refused = map[int32]refusal{}
	}
	a.refused[partition] = refusal{topic: r.Topic, reason: reason, err: err}
}

// err returns what went wrong. Where records were refused for what they are, other errors are their consequence, or come again.
func (a *acks) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refused != nil {
		return &refusedError{a.refused}
	}
	return a.first
}

// offsets returns the positions to commit: those that have moved, or, for a transaction of rows and outputs alone, one that has not:
// TxnOffsetCommit is the fence, and no transaction goes without it.
func (s *session) offsets(all []taken) map[string]map[int32]tail.Committed {
	m := map[string]map[int32]tail.Committed{}
	add := func(t *taken, input int, next int64) {
		topic := s.g.spec.Inputs[input]
		if m[topic] == nil {
			m[topic] = map[int32]tail.Committed{}
		}
		m[topic][t.p.ID] = tail.Committed{Next: next, Newest: t.newest[input], Topic: s.g.ids[topic]}
	}
	for i := range all {
		for input, moved := range all[i].marked {
			if moved {
				add(&all[i], input, all[i].next[input])
			}
		}
	}
	if len(m) > 0 || s.g.off.unfenced {
		return m
	}
	for i := range all {
		for input, next := range all[i].next {
			if next >= 0 {
				add(&all[i], input, next)
				return m
			}
		}
	}
	if len(all) > 0 {
		add(&all[0], 0, 0) // nothing has ever been read: the start of the log
	}
	return m
}

func (s *session) txnOffsets(ctx context.Context, client *kgo.Client, all []taken) error {
	pid, epoch, err := client.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("producer id: %w", err)
	}
	offsets := s.offsets(all)
	if s.g.off.unfenced && len(offsets) == 0 {
		return nil
	}
	for try := 0; ; try++ {
		err := s.sendTxnOffsets(ctx, client, pid, epoch, offsets)
		if err == nil {
			return nil
		}
		if !kerr.IsRetriable(err) || try == 50 {
			if errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.FencedInstanceID) ||
				errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
				return fmt.Errorf("commit offsets: %w: %w", errFenced, err)
			}
			return fmt.Errorf("commit offsets: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("commit offsets: %w", errors.Join(ctx.Err(), err))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s *session) sendTxnOffsets(ctx context.Context, client *kgo.Client, pid int64, epoch int16, offsets map[string]map[int32]tail.Committed) error {
	if s.MemberID() == "" && !s.g.off.anonymous {
		return fmt.Errorf("%w: the session has no member id, and without one the broker checks nothing", errFenced)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = s.g.spec.TxnID, pid, epoch, s.g.spec.Name
	added, err := add.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(added.ErrorCode); err != nil {
		return err
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = s.g.spec.TxnID, s.g.spec.Name, pid, epoch
	req.Generation, req.MemberID = s.GenerationID(), s.MemberID()
	if s.g.spec.Instance != "" {
		req.InstanceID = kmsg.StringPtr(s.g.spec.Instance)
	}
	if s.g.off.anonymous {
		req.Generation, req.MemberID, req.InstanceID = -1, "", nil
	}
	for topic, parts := range offsets {
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, s.g.ids[topic] // later versions name topics by id
		for p, c := range parts {
			q := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			q.Partition, q.Offset, q.Metadata = p, c.Next, c.Metadata()
			t.Partitions = append(t.Partitions, q)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, q := range t.Partitions {
			if err := kerr.ErrorForCode(q.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// offsetsOnly commits positions that led to nothing: they are atomic without a transaction.
func (s *session) offsetsOnly(ctx context.Context, client *kgo.Client, all []taken) error {
	return s.sendOffsets(ctx, client, s.offsets(all))
}

func (s *session) sendOffsets(ctx context.Context, client *kgo.Client, offsets map[string]map[int32]tail.Committed) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.MemberID = s.g.spec.Name, s.GenerationID(), s.MemberID()
	if s.g.spec.Instance != "" {
		req.InstanceID = kmsg.StringPtr(s.g.spec.Instance)
	}
	for topic, parts := range offsets {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, s.g.ids[topic]
		for p, c := range parts {
			q := kmsg.NewOffsetCommitRequestTopicPartition()
			q.Partition, q.Offset, q.Metadata = p, c.Next, c.Metadata()
			t.Partitions = append(t.Partitions, q)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := client.Request(ctx, req)
	if err != nil {
		return fmt.Errorf("commit offsets: %w", err)
	}
	for _, t := range resp.(*kmsg.OffsetCommitResponse).Topics {
		for _, q := range t.Partitions {
			if err := kerr.ErrorForCode(q.ErrorCode); err != nil {
				return fmt.Errorf("commit offsets: %w", err)
			}
		}
	}
	return nil
}
