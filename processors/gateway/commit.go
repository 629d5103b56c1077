package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/freshet-io/freshet/internal/await"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log/level"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	errFenced = errors.New("another instance has taken over")
	errRows   = errors.New("rows")
)

// taken is what a barrier has taken of one partition.
type taken struct {
	p      *Partition
	writes []state.Write
	recs   []*kgo.Record
	next   []int64 // positions that become committed
	newest []int64
	marked []bool

	barrier uint64
}

// barrier takes what all partitions have, between units: each partition's lock is held from the start of a unit to its mark.
func (s *session) barrier() ([]taken, error) {
	for _, p := range s.order {
		p.mu.Lock()
	}
	defer func() {
		for _, p := range s.order {
			p.mu.Unlock()
		}
	}()
	all := make([]taken, 0, len(s.order))
	for _, p := range s.order {
		if p.broken {
			continue
		}
		if len(p.recs) > 0 || p.Rows != nil && p.Rows.Dirty() > 0 || slices.Contains(p.marked, true) {
			s.g.group.Seal(p)
		}
		p.barriers++
		t := taken{p: p, barrier: p.barriers, recs: p.recs, next: slices.Clone(p.next), newest: slices.Clone(p.newest), marked: slices.Clone(p.marked)}
		p.recs = nil
		clear(p.marked)
		if p.Rows != nil {
			writes, err := p.Rows.Seal()
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errRows, err)
			}
			t.writes = writes
			p.Rows.Evict()
		}
		p.counted = 0
		all = append(all, t)
	}
	s.size.Store(0)
	s.bytes.Store(0)
	return all, nil
}

// commit makes what the partitions have done since the last one visible, durable and final, all together.
func (s *session) commit() error {
	all, err := s.barrier()
	if err != nil {
		return err
	}
	s.relieve()
	rows, outputs := 0, 0
	marks := false
	for i := range all {
		rows += len(all[i].writes)
		outputs += len(all[i].recs)
		marks = marks || slices.Contains(all[i].marked, true)
	}
	if rows+outputs == 0 && !marks {
		return s.finish(all, nil)
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), s.g.cfg.TxnTimeout)
	defer cancel()
	client := s.g.client.Load()
	// kgo does not give up a record that may have been sent, whatever ctx says; closing the client does.
	defer context.AfterFunc(ctx, client.Close)()
	var ends map[int32]int64
	if rows+outputs == 0 {
		err = s.offsetsOnly(ctx, client, all)
	} else {
		ends, err = s.transaction(ctx, client, all, rows, outputs)
	}
	if err != nil {
		return err
	}
	if err := s.finish(all, ends); err != nil {
		return err
	}
	name := s.g.spec.Name
	s.g.m.CommitDuration.WithLabelValues(name).Observe(time.Since(begin).Seconds())
	s.g.m.CommitRecords.WithLabelValues(name, "row").Add(float64(rows))
	s.g.m.CommitRecords.WithLabelValues(name, "output").Add(float64(outputs))
	return nil
}

// finish writes the committed rows to Pebble and tells the group.
func (s *session) finish(all []taken, ends map[int32]int64) error {
	size := 0
	for i := range all {
		if rows := all[i].p.Rows; rows != nil {
			size += rows.Staged()
		}
	}
	err := s.g.db.Commit(size, func(b *pebble.Batch) error {
		for i := range all {
			if p := all[i].p; p.Rows != nil {
				end, ok := ends[p.ID]
				if !ok {
					end = -1
				}
				if err := p.Rows.Stage(b, end); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errRows, err)
	}
	for i := range all {
		t := &all[i]
		if t.p.Rows != nil {
			t.p.Rows.Committed()
		}
		s.g.group.Committed(t.p, t.barrier, t.next, t.newest)
	}
	return nil
}

// transaction produces all records and commits the offsets in one transaction. It returns the last changelog offset per partition.
func (s *session) transaction(ctx context.Context, client *kgo.Client, all []taken, rows, outputs int) (map[int32]int64, error) {
	if err := client.BeginTransaction(); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	await.Point(await.BeforeProduce)
	ends, err := s.produce(ctx, client, all, rows, outputs)
	if err == nil {
		await.Point(await.AfterProduce)
		err = s.txnOffsets(ctx, client, all)
	}
	if err != nil {
		abort, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
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

// produce sends the records and waits for all acknowledgements.
func (s *session) produce(ctx context.Context, client *kgo.Client, all []taken, rows, outputs int) (map[int32]int64, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		ends  = make(map[int32]int64, len(all))
		table = s.g.spec.Table
		bytes int
	)
	wg.Add(rows + outputs)
	done := func(r *kgo.Record, err error) {
		switch {
		case err != nil:
			mu.Lock()
			if first == nil {
				first = fmt.Errorf("produce to %s/%d: %w", r.Topic, r.Partition, err)
			}
			mu.Unlock()
		case r.Topic == table:
			mu.Lock()
			if end, ok := ends[r.Partition]; !ok || r.Offset > end {
				ends[r.Partition] = r.Offset
			}
			mu.Unlock()
		}
		wg.Done()
	}
	slab := make([]kgo.Record, rows)
	n := 0
	for i := range all {
		t := &all[i]
		for j := range t.writes {
			w := &t.writes[j]
			slab[n] = kgo.Record{Topic: table, Partition: t.p.ID, Key: []byte(w.Key), Value: w.Value}
			bytes += len(w.Key) + len(w.Value)
			client.Produce(ctx, &slab[n], done)
			n++
		}
		for _, r := range t.recs {
			bytes += len(r.Key) + len(r.Value)
			client.Produce(ctx, r, done)
		}
	}
	wg.Wait()
	s.g.m.CommitBytes.WithLabelValues(s.g.spec.Name).Add(float64(bytes))
	return ends, first
}

// offsets returns the positions to commit: those that have moved, or, for a transaction of rows and outputs alone, one that has not:
// TxnOffsetCommit is the fence, and no transaction goes without it.
func (s *session) offsets(all []taken) map[string]map[int32]int64 {
	m := map[string]map[int32]int64{}
	add := func(p *Partition, input int, next int64) {
		topic := s.g.spec.Inputs[input]
		if m[topic] == nil {
			m[topic] = map[int32]int64{}
		}
		m[topic][p.ID] = next
	}
	for i := range all {
		for input, moved := range all[i].marked {
			if moved {
				add(all[i].p, input, all[i].next[input])
			}
		}
	}
	if len(m) > 0 {
		return m
	}
	for i := range all {
		for input, next := range all[i].next {
			if next >= 0 {
				add(all[i].p, input, next)
				return m
			}
		}
	}
	if len(all) > 0 {
		add(all[0].p, 0, 0) // nothing has ever been read: the start of the log
	}
	return m
}

func (s *session) txnOffsets(ctx context.Context, client *kgo.Client, all []taken) error {
	pid, epoch, err := client.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("producer id: %w", err)
	}
	offsets := s.offsets(all)
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

func (s *session) sendTxnOffsets(ctx context.Context, client *kgo.Client, pid int64, epoch int16, offsets map[string]map[int32]int64) error {
	if s.MemberID() == "" {
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
	for topic, parts := range offsets {
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, s.g.ids[topic] // later versions name topics by id
		for p, next := range parts {
			q := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			q.Partition, q.Offset = p, next
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
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.MemberID = s.g.spec.Name, s.GenerationID(), s.MemberID()
	if s.g.spec.Instance != "" {
		req.InstanceID = kmsg.StringPtr(s.g.spec.Instance)
	}
	for topic, parts := range s.offsets(all) {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, s.g.ids[topic]
		for p, next := range parts {
			q := kmsg.NewOffsetCommitRequestTopicPartition()
			q.Partition, q.Offset = p, next
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

// ---- the transactional client

// ready makes the client if there is none or the last one has failed. InitProducerID ends whatever transaction an earlier life of this
// instance left open, before the group is joined.
func (g *Gateway) ready(ctx context.Context) error {
	if g.client.Load() != nil && !g.failed.Load() {
		return nil
	}
	g.closeClient()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(g.brokers...), kgo.ClientID(g.spec.Instance),
		kgo.TransactionalID(g.spec.TxnID), kgo.TransactionTimeout(g.cfg.TxnTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(topology.RowBytes-4096), kgo.MaxBufferedRecords(1<<20),
		kgo.MetadataMinAge(100*time.Millisecond)) // no delivery timeout: kgo counts it from the record's own time, and copies are old
	if err != nil {
		return fmt.Errorf("transactional client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, _, err = client.ProducerID(ctx); err != nil {
		client.Close()
		return fmt.Errorf("take over transactional id %s: %w", g.spec.TxnID, err)
	}
	topics, err := kadm.NewClient(client).ListTopics(ctx, append([]string(nil), g.spec.Inputs...)...)
	if err == nil {
		err = topics.Error()
	}
	if err != nil {
		client.Close()
		return fmt.Errorf("look up the inputs of %s: %w", g.spec.Name, err)
	}
	g.ids, g.counts = map[string][16]byte{}, map[string]int32{}
	for _, t := range topics {
		g.ids[t.Topic] = t.ID
		g.counts[t.Topic] = int32(len(t.Partitions))
	}
	g.client.Store(client)
	g.failed.Store(false)
	return nil
}

func (g *Gateway) closeClient() {
	if c := g.client.Swap(nil); c != nil {
		c.Close()
	}
}

func (g *Gateway) partitionCount() int32 { return g.counts[g.spec.Inputs[0]] }

func (g *Gateway) input(topic string) int { return slices.Index(g.spec.Inputs, topic) }

// members returns the transactional ids of the instances that are in the group.
func (g *Gateway) members(ctx context.Context) (map[string]bool, error) {
	client := g.client.Load()
	if client == nil {
		return nil, errors.New("no client")
	}
	groups, err := kadm.NewClient(client).DescribeGroups(ctx, g.spec.Name)
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", g.spec.Name, err)
	}
	alive := map[string]bool{}
	for _, m := range groups[g.spec.Name].Members {
		if m.InstanceID != nil {
			alive[g.spec.Fence+*m.InstanceID] = true
		}
	}
	return alive, nil
}

// alive says whether a transactional id must be left alone: it is this life's own, or that of another instance that is in the group.
// Behind nonceMark stands what tells an instance's lives apart.
func (g *Gateway) alive(id string, members map[string]bool) bool {
	if id == g.spec.TxnID {
		return true
	}
	instance, _, _ := strings.Cut(id, nonceMark)
	own, _, _ := strings.Cut(g.spec.TxnID, nonceMark)
	return instance != own && members[instance]
}

// nonceMark separates an instance from a nonce in a transactional id.
const nonceMark = "~"
