package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/go-kit/log/level"
)

// session is one generation of the group: the partitions assigned in it and what they have not committed yet.
type session struct {
	sarama.ConsumerGroupSession
	g     *Gateway
	parts map[int32]*Partition
	order []*Partition // by id: the order in which the barrier takes the locks
	up    atomic.Bool
	end   context.CancelCauseFunc

	size     atomic.Int64 // records of the next transaction
	bytes    atomic.Int64 // of output
	kick     chan struct{}
	relief   chan struct{} // closed and replaced after each barrier: units that wait for room
	reliefMu sync.Mutex
}

// MarkOffset is goka's, at the end of each message. Sarama's own offset manager never hears of it.
func (s *session) MarkOffset(_ string, partition int32, _ int64, _ string) { s.parts[partition].mark() }

func (s *session) marked(grown, bytes int) {
	s.size.Add(int64(grown))
	s.bytes.Add(int64(bytes))
	s.kicked()
}

// outstanding returns how many records and virtual messages have been delivered and not marked, without those that are held back.
func (s *session) outstanding() (n int64) {
	for _, p := range s.order {
		if p.held.Load() == nil {
			n += p.outstanding.Load()
		}
	}
	return n
}

// coming returns how many records are in the log and not delivered yet, about.
func (s *session) coming() (n int64) {
	since := time.Now().Add(-s.g.cfg.Interval)
	for _, p := range s.order {
		if p.held.Load() == nil {
			n += p.queue.coming(since)
		}
	}
	return n
}

// backlog says whether what is to be read is a backlog.
func (s *session) backlog() bool {
	return s.outstanding()+s.coming() > int64(backlogBatches*s.g.cfg.Batch)
}

// kicked makes the committer look.
func (s *session) kicked() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func (s *session) full(times int64) bool {
	return s.size.Load() >= times*int64(s.g.cfg.MaxRecords) || s.bytes.Load() >= times*int64(s.g.cfg.MaxBytes)
}

// wait holds a partition back before a unit while its records are refused, or too much waits to be committed.
func (s *session) wait(p *Partition) {
	if h := p.held.Load(); h != nil {
		select {
		case <-h.released:
		case <-s.Context().Done():
			return
		}
	}
	for s.full(4) && !s.g.off.unpressed {
		s.reliefMu.Lock()
		relief := s.relief
		s.reliefMu.Unlock()
		if !s.full(4) {
			return
		}
		select {
		case <-relief:
		case <-s.Context().Done():
			return
		}
	}
}

func (s *session) relieve() {
	s.reliefMu.Lock()
	close(s.relief)
	s.relief = make(chan struct{})
	s.reliefMu.Unlock()
}

// handler is what sarama calls; inner is goka.
type handler struct {
	g       *Gateway
	inner   sarama.ConsumerGroupHandler
	cg      sarama.ConsumerGroup
	end     context.CancelCauseFunc
	awaited chan struct{} // closed when the session is there

	s        *session
	feeders  sync.WaitGroup
	assigned []*Partition // those the group has been told of
	stop     chan struct{}
	stopped  chan struct{}
}

// Setup restores the partitions and starts them.
func (h *handler) Setup(sess sarama.ConsumerGroupSession) error {
	close(h.awaited)
	g := h.g
	s := &session{ConsumerGroupSession: sess, g: g, parts: map[int32]*Partition{}, end: h.end, kick: make(chan struct{}, 1), relief: make(chan struct{})}
	h.s = s
	n := len(g.spec.Inputs)
	for _, id := range sess.Claims()[g.spec.Inputs[0]] {
		p := &Partition{ID: id, s: s, mu: newGate(), next: filled(n, -1), newest: filled(n, 0), marked: make([]bool, n), committed: make([]atomic.Int64, n), units: make(chan *Unit, 1024)}
		for i := range p.committed {
			p.committed[i].Store(-1)
		}
		p.queue = newQueue(p, n, g.cfg.Batch, g.cfg.Queue, h.pauser(id))
		s.parts[id] = p
	}
	for id := range g.partitionCount() {
		if p := s.parts[id]; p != nil {
			s.order = append(s.order, p)
		}
	}
	g.current.Store(s)
	if g.spec.Begin != nil {
		g.spec.Begin()
	}
	if err := s.disown(sess.Context()); err != nil {
		return err
	}
	g.m.Sessions.WithLabelValues(g.spec.Name).Inc()
	begin := time.Now()
	h.show(metrics.Restoring)
	g.life.now(restores)
	watched := h.watchRestore(s, stuckAfter)
	err := h.inner.Setup(s)
	watched()
	if err != nil {
		return fmt.Errorf("restore the partitions of %s: %w", g.spec.Name, err)
	}
	if err := sess.Context().Err(); err != nil {
		return nil // the next session restores again
	}
	h.show(metrics.Recovering)
	g.life.now(takesOver)
	h.stop, h.stopped = make(chan struct{}), make(chan struct{})
	if err := h.assign(sess.Context()); err != nil {
		close(h.stopped)
		return err
	}
	g.life.now(runs)
	s.up.Store(true)
	_ = level.Info(g.logger).Log("msg", "session", "generation", sess.GenerationID(), "partitions", len(s.parts), "restored_in", time.Since(begin).Round(time.Millisecond))
	go h.commitLoop()
	return nil
}

// show says what the partitions are doing.
func (h *handler) show(doing metrics.PartitionState) {
	for _, p := range h.s.order {
		h.g.m.SetPartitionState(metrics.Partition(h.g.spec.Name, p.ID), doing)
	}
}

func (h *handler) assign(ctx context.Context) error {
	for _, p := range h.s.order {
		if err := h.g.group.Assign(ctx, p); err != nil {
			return fmt.Errorf("take over partition %d of %s: %w", p.ID, h.g.spec.Name, err)
		}
		h.assigned = append(h.assigned, p)
	}
	return nil
}

func filled(n int, v int64) []int64 {
	s := make([]int64, n)
	for i := range s {
		s[i] = v
	}
	return s
}

func (h *handler) pauser(partition int32) func(int, bool) {
	return func(input int, on bool) {
		m := map[string][]int32{h.g.spec.Inputs[input]: {partition}}
		if on {
			h.cg.Pause(m)
		} else {
			h.cg.Resume(m)
		}
	}
}

// ConsumeClaim drains a claim into its partition's queue. All claims of a partition reach goka through the first one.
func (h *handler) ConsumeClaim(sess sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	input := h.g.input(c.Topic())
	p := h.s.parts[c.Partition()]
	p.claimed(input, c.InitialOffset())
	h.g.group.Claimed(p, input, c.InitialOffset())
	if input != 0 {
		h.drain(sess.Context(), p, input, c)
		return nil
	}
	out := make(chan *sarama.ConsumerMessage, 512)
	h.feeders.Go(func() { p.queue.run(sess.Context(), h.g.spec.Inputs, out) })
	h.feeders.Go(func() { h.drain(sess.Context(), p, input, c) })
	return h.inner.ConsumeClaim(h.s, claim{c, out})
}

// drain never stops reading: sarama fetches all claims of a broker together, so one that is not read stalls its neighbours.
func (h *handler) drain(ctx context.Context, p *Partition, input int, c sarama.ConsumerGroupClaim) {
	ch := c.Messages()
	in := make([]In, 0, 256)
	for {
		var m *sarama.ConsumerMessage
		var ok bool
		select {
		case m, ok = <-ch:
		case <-ctx.Done():
			return
		}
		for in = in[:0]; ok; m, ok = <-ch {
			in = append(in, In{Topic: input, Msg: m})
			if len(in) == cap(in) || len(ch) == 0 {
				break
			}
		}
		for h.g.off.undrained && p.queue.waits(input) && ctx.Err() == nil {
			<-time.After(time.Millisecond)
		}
		if len(in) > 0 {
			p.queue.push(input, in, c.HighWaterMarkOffset()-in[len(in)-1].Msg.Offset-1)
		}
		if !ok {
			return
		}
	}
}

// Cleanup ends the session: goka stops its partitions, then what they have completed is committed under the generation that ends.
func (h *handler) Cleanup(sess sarama.ConsumerGroupSession) error {
	err := h.inner.Cleanup(h.s)
	h.feeders.Wait()
	if err != nil { // a callback may have ended half way
		h.g.failed.Store(true)
		_ = level.Error(h.g.logger).Log("msg", "a partition stopped with an error; nothing since the last transaction is committed", "err", err)
	}
	for _, p := range h.s.order {
		if p.inUnit {
			p.broken = true
			p.inUnit = false
			p.mu.Unlock()
		}
	}
	if h.stop != nil {
		if h.s.up.Load() {
			close(h.stop)
		}
		if h.s.up.Swap(false) {
			<-h.stopped
		}
	}
	h.g.life.now(joins)
	for _, p := range h.assigned {
		h.g.group.Revoke(p)
	}
	for _, p := range h.s.order {
		h.g.m.DropPartition(metrics.Partition(h.g.spec.Name, p.ID))
	}
	return err
}

// backlogBatches is how many batches have to wait for what is read to count as a backlog: delivered or not, for a group that works as fast as it reads
// has little delivered in the middle of one.
const backlogBatches = 8

// commitLoop sends a transaction when all that was delivered is marked, when the interval is over, or when there is enough.
func (h *handler) commitLoop() {
	defer close(h.stopped)
	s, cfg := h.s, h.g.cfg
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	last := time.Now()
	for stopping := false; !stopping; {
		select {
		case <-h.stop:
			stopping = true
		case <-s.kick:
		}
		for !stopping && !s.full(1) {
			until := last.Add(cfg.Interval)
			switch {
			case s.backlog():
				until = last.Add(cfg.Backlog)
			case s.outstanding() <= 0:
				until = last.Add(cfg.MinGap)
			}
			wait := time.Until(until)
			if wait <= 0 {
				break
			}
			timer.Reset(min(wait, cfg.Interval)) // nobody says that no more is coming
			select {
			case <-h.stop:
				stopping = true
			case <-s.kick:
			case <-timer.C:
			}
		}
		if stopping && h.g.failed.Load() {
			return
		}
		if err := s.commit(); err != nil {
			h.g.failed.Store(true)
			h.g.m.CommitAborts.WithLabelValues(h.g.spec.Name, cause(err)).Inc()
			h.end(fmt.Errorf("commit: %w", err))
			if h.g.run.Err() != nil {
				_ = level.Warn(h.g.logger).Log("msg", "stopped without the last transaction: what is not committed is done again at the next start", "err", err)
			}
			if !stopping {
				<-h.stop
			}
			return
		}
		last = time.Now()
	}
}

// cause is the label under which a failed transaction is counted.
func cause(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, errFenced):
		return "fenced"
	case errors.Is(err, errRows):
		return "rows"
	}
	return "broker"
}

// claim is a claim as goka sees it.
type claim struct {
	sarama.ConsumerGroupClaim
	out chan *sarama.ConsumerMessage
}

func (c claim) Messages() <-chan *sarama.ConsumerMessage { return c.out }
