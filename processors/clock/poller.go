package clock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"golang.org/x/sync/errgroup"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/processors/tail"
)

const (
	roundTimeout = 2 * time.Second // how long the brokers have for one question
	minPause     = 5 * time.Millisecond
	wakePause    = 10 * time.Millisecond // what is registered in so short a time is asked for in one round
	lookers      = 8                     // inputs whose logs are looked at at the same time
	lookAgain    = 40                    // rounds after which a record that waits is looked for again
)

// Logs is what the poller asks: tail.Logs, or a test's.
type Logs interface {
	Ends(ctx context.Context, tps []tail.TopicPartition, committed bool) (map[tail.TopicPartition]int64, error)
	Starts(ctx context.Context, tps []tail.TopicPartition) (map[tail.TopicPartition]int64, error)
	Next(ctx context.Context, topic string, partition int32, from int64) (next int64, hasRecord bool, err error)
}

// Poller keeps the clocks of inputs going. Register and Unregister may be called at any time.
type Poller struct {
	logs     Logs
	now      func() event.Time
	interval time.Duration
	tick     func(context.Context)
	logger   log.Logger

	wake  chan struct{}
	round sync.Mutex // one round at a time
	fails bool       // the last round went without an answer

	mu      sync.Mutex
	entries map[tail.TopicPartition][]*entry
}

// entry is an input that is registered. Its fields besides the first two belong to the round.
type entry struct {
	tp    tail.TopicPartition
	input *Input

	stood     int64 // the position when the last round was over
	seen      bool  // stood is known
	waits     int64 // a record that a reader is given lies here
	hasWaits  bool
	waited    int  // rounds since then: retention may delete what waits
	holdsOpen bool // nothing that a reader is given lies between the position and the last stable offset
}

// NewPoller returns a poller. Now must not be moved by the wall clock's adjustments (Monotonic.Now); tick, if not nil, is called after
// each round, whether it failed or not.
func NewPoller(logs Logs, now func() event.Time, interval time.Duration, tick func(context.Context), logger log.Logger) *Poller {
	return &Poller{
		logs: logs, now: now, interval: interval, tick: tick, logger: logger, wake: make(chan struct{}, 1), entries: make(map[tail.TopicPartition][]*entry),
	}
}

// Wake has the next round come soon: somebody waits for it.
func (p *Poller) Wake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Register keeps an input's clock going from now on, and begins soon: whoever takes a partition over says nothing before its clock goes.
// Several inputs may be registered for the same partition.
func (p *Poller) Register(tp tail.TopicPartition, input *Input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries[tp] {
		if e.input == input {
			return
		}
	}
	p.entries[tp] = append(p.entries[tp], &entry{tp: tp, input: input})
	p.Wake()
}

// Unregister leaves the inputs of a partition to themselves: the given ones, or all of them if none is given.
func (p *Poller) Unregister(tp tail.TopicPartition, inputs ...*Input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := slices.DeleteFunc(p.entries[tp], func(e *entry) bool {
		return len(inputs) == 0 || slices.Contains(inputs, e.input)
	})
	if len(left) == 0 {
		delete(p.entries, tp)
		return
	}
	p.entries[tp] = left
}

// Run polls until ctx ends.
func (p *Poller) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
			if soon := time.Now().Add(wakePause); soon.Before(due) {
				due = soon
				timer.Reset(wakePause)
			}
		case <-timer.C:
			due = time.Now().Add(p.interval)
			select {
			case <-p.wake: // whoever waits for a round waits for this one
			default:
			}
			p.Round(ctx)
			if soonest := time.Now().Add(minPause); due.Before(soonest) {
				due = soonest
			}
			timer.Reset(time.Until(due))
		}
	}
}

// Round asks for the ends of all inputs once and moves their clocks, then calls tick.
func (p *Poller) Round(ctx context.Context) {
	p.round.Lock()
	defer p.round.Unlock()
	at := p.now() // before anything is asked: what is acknowledged before it lies below the ends that are answered
	err := p.poll(ctx, p.all(), at)
	if ctx.Err() != nil {
		return
	}
	p.note(err)
	if p.tick != nil {
		p.tick(ctx)
	}
}

// all returns the inputs of a round.
func (p *Poller) all() []*entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*entry
	for _, es := range p.entries {
		all = append(all, es...)
	}
	return all
}

// note says what came of a round when it changes. It is part of the round.
func (p *Poller) note(err error) {
	failed := p.fails
	p.fails = err != nil
	switch {
	case p.fails && !failed:
		level.Warn(p.logger).Log("msg", "clocks stand still: the brokers do not say where the inputs end", "err", err)
	case failed && !p.fails:
		level.Info(p.logger).Log("msg", "clocks go on: the brokers say again where the inputs end")
	}
}

func (p *Poller) poll(ctx context.Context, entries []*entry, at event.Time) error {
	if len(entries) == 0 {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	ends, err := p.logs.Ends(asking, partitions(entries), false)
	if err != nil {
		err = fmt.Errorf("ask for the ends of %d inputs: %w", len(entries), err)
	}
	answered := entries[:0:0]
	for _, e := range entries {
		end, ok := ends[e.tp]
		if !ok {
			e.input.found(Unreachable)
			continue
		}
		e.input.Observe(at, end)
		answered = append(answered, e)
	}
	return errors.Join(err, p.resolve(asking, answered), p.lookThrough(asking, answered), p.findOpen(asking, answered))
}

// resolve gives inputs without a committed position that of the log's start, where reading begins.
func (p *Poller) resolve(ctx context.Context, entries []*entry) error {
	var without []*entry
	for _, e := range entries {
		if _, known := e.input.Position(); !known {
			without = append(without, e)
		}
	}
	if len(without) == 0 {
		return nil
	}
	starts, err := p.logs.Starts(ctx, partitions(without))
	for _, e := range without {
		if start, ok := starts[e.tp]; ok {
			e.input.Committed(start)
		}
	}
	if err != nil {
		return fmt.Errorf("ask for the starts of %d inputs: %w", len(without), err)
	}
	return nil
}

// lookThrough moves positions over markers and aborted records. Only where the position has stood since the last round is the log looked
// at: elsewhere records flow, and the reader's own position moves on with them. Where a record is known to wait there is nothing to see.
func (p *Poller) lookThrough(ctx context.Context, entries []*entry) error {
	g := new(errgroup.Group)
	g.SetLimit(lookers)
	errs := make([]error, len(entries))
	for i, e := range entries {
		position, _, short := e.input.gap()
		stands := e.seen && position == e.stood
		e.stood, e.seen = position, true
		e.waited++
		if !short || !stands || e.hasWaits && position <= e.waits && e.waited < lookAgain {
			e.holdsOpen = e.holdsOpen && short && stands
			continue
		}
		g.Go(func() error {
			errs[i] = p.look(ctx, e, position)
			return nil
		})
	}
	_ = g.Wait() // look's errors are in errs: one input's trouble does not keep the others from being looked at
	return errors.Join(errs...)
}

func (p *Poller) look(ctx context.Context, e *entry, position int64) error {
	next, record, err := p.logs.Next(ctx, e.tp.Topic, e.tp.Partition, position)
	if next > position {
		e.input.Committed(next) // nothing that a reader is given lies before it, even if the log could not be looked at further
		e.stood = next
	}
	if err != nil {
		e.holdsOpen = false
		return err
	}
	e.waits, e.hasWaits, e.waited = next, record, 0
	e.holdsOpen = !record
	return nil
}

// findOpen tells which of the inputs that hold nothing to read but have not reached their end are held by an open transaction.
func (p *Poller) findOpen(ctx context.Context, entries []*entry) error {
	var held []*entry
	for _, e := range entries {
		if _, _, short := e.input.gap(); short && e.holdsOpen {
			held = append(held, e)
			continue
		}
		e.input.found(Unknown)
	}
	if len(held) == 0 {
		return nil
	}
	stable, err := p.logs.Ends(ctx, partitions(held), true)
	for _, e := range held {
		position, _, short := e.input.gap()
		if s, ok := stable[e.tp]; ok && short && s <= position {
			e.input.found(OpenTransaction)
			continue
		}
		e.input.found(Unknown)
	}
	if err != nil {
		return fmt.Errorf("ask for the stable ends of %d inputs: %w", len(held), err)
	}
	return nil
}

// partitions returns the partitions of entries, each once.
func partitions(entries []*entry) []tail.TopicPartition {
	tps := make([]tail.TopicPartition, 0, len(entries))
	seen := make(map[tail.TopicPartition]bool, len(entries))
	for _, e := range entries {
		if !seen[e.tp] {
			seen[e.tp] = true
			tps = append(tps, e.tp)
		}
	}
	return tps
}
