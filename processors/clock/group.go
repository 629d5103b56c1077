package clock

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// GroupInput is one input of a group as its clock needs it.
type GroupInput struct {
	Topic  string
	Copies bool // of records that lay elsewhere: its clock is that of the origins
}

// Group is the clock of a group on this instance: one Partition for each partition it has, made of the group's inputs there, of what every
// partition needs besides (the contracts), and of all partitions whose records may reach it as copies: a record that lies in the wrong
// partition has not been applied before its copy has.
type Group struct {
	name    string
	inputs  []GroupInput
	bounds  func(topic string) Bounds
	shared  []Part
	origins *Origins // nil for a group that no copies reach
	poller  *Poller
	m       *metrics.Metrics
	logger  log.Logger

	mu      sync.RWMutex
	parts   map[int32]*groupPartition
	stopped map[int32]*groupPartition // what they showed last, of a session that has ended

	silent bool // the origins could not be asked; of Tick
}

type groupPartition struct {
	Reading
	p      *gateway.Partition
	clock  *Partition
	inputs []*Input
	copies *arrivals // nil in a group that no copies reach
}

// Reading is what the clock of one partition showed last. It takes no lock to look at.
type Reading struct {
	applied, complete atomic.Int64
	live              atomic.Bool
}

// Complete returns through when the partition is complete, the beginning of time if that is not known.
func (r *Reading) Complete() event.Time { return event.Time(r.complete.Load()) }

// look reads the clock. Clocks never go back, so a late reading of an earlier look does no harm beyond a moment.
func (gp *groupPartition) look() {
	if _, held := gp.p.Held(); held {
		return // what the records led to is not there
	}
	if applied, known := gp.clock.Applied(); known {
		gp.applied.Store(int64(applied))
		gp.live.Store(true)
	}
	if complete, known := gp.clock.Complete(); known {
		gp.complete.Store(int64(complete))
	}
}

// beginning is before every instant that a clock can show.
const beginning = event.Time(-1 << 62)

// NewGroup returns the clock of a group. Each tick of the poller is passed on to every partition as a unit of the virtual clock topic.
// Shared parts are the same for all partitions.
func NewGroup(name string, inputs []GroupInput, bounds func(topic string) Bounds, shared []Part, origins *Origins, poller *Poller, m *metrics.Metrics, logger log.Logger) *Group {
	return &Group{
		name: name, inputs: inputs, bounds: bounds, shared: shared, origins: origins, poller: poller, m: m, logger: logger,
		parts: map[int32]*groupPartition{}, stopped: map[int32]*groupPartition{},
	}
}

// Assigned makes the clock of a partition.
func (g *Group) Assigned(p *gateway.Partition) *Reading {
	gp := &groupPartition{p: p}
	gp.applied.Store(int64(beginning))
	gp.complete.Store(int64(beginning))
	for _, in := range g.inputs {
		c := &Input{}
		gp.inputs = append(gp.inputs, c)
		if in.Copies && g.origins != nil {
			gp.copies = &arrivals{input: c, origins: g.origins}
		}
	}
	gp.clock = NewPartition(g.partsOf(gp)...)
	g.mu.Lock()
	g.parts[p.ID] = gp
	g.mu.Unlock()
	return &gp.Reading
}

func (g *Group) partsOf(gp *groupPartition) []Part {
	var parts []Part
	for i, in := range g.inputs {
		part := Part{Name: partName(in.Topic, gp.p.ID), Input: gp.inputs[i]}
		if in.Copies && gp.copies != nil {
			part.Input = gp.copies
		} else {
			part.Bounds = g.bounds(in.Topic)
		}
		parts = append(parts, part)
	}
	return append(parts, g.shared...)
}

// Bind takes the lateness and the skew of each input from the contract again.
func (g *Group) Bind() {
	if g.origins != nil {
		g.origins.bind(g.bounds)
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, gp := range g.parts {
		gp.clock.Set(g.partsOf(gp)...)
	}
}

// Claimed says where an input begins, and lets the poller ask for its end from now on.
func (g *Group) Claimed(p *gateway.Partition, input int, initial int64) {
	g.mu.RLock()
	gp := g.parts[p.ID]
	g.mu.RUnlock()
	if gp == nil {
		return
	}
	gp.inputs[input].Committed(initial)
	g.poller.Register(tail.TopicPartition{Topic: g.inputs[input].Topic, Partition: p.ID}, gp.inputs[input])
}

// Committed moves the clocks of a partition.
func (g *Group) Committed(p *gateway.Partition, next, newest []int64) {
	g.mu.RLock()
	gp := g.parts[p.ID]
	g.mu.RUnlock()
	if gp == nil {
		return
	}
	for i, c := range gp.inputs {
		if next[i] >= 0 {
			c.Committed(next[i])
		}
		if newest[i] > 0 {
			c.Record(event.Time(newest[i]))
		}
	}
	was := gp.live.Load()
	if gp.look(); !was && gp.live.Load() {
		g.poller.Wake() // what was read before waits for a tick
	}
}

// Revoked forgets a partition.
func (g *Group) Revoked(p *gateway.Partition) {
	g.mu.Lock()
	gp := g.parts[p.ID]
	delete(g.parts, p.ID)
	g.mu.Unlock()
	if gp == nil {
		return
	}
	for i, in := range gp.inputs { // those, and no others: the origins' clocks of the same partitions go on
		g.poller.Unregister(tail.TopicPartition{Topic: g.inputs[i].Topic, Partition: p.ID}, in)
	}
}

// Stopped is Revoked for a partition whose rows are still answered from: Read and Position show what they showed last, until Reset.
func (g *Group) Stopped(p *gateway.Partition) {
	g.mu.Lock()
	if gp := g.parts[p.ID]; gp != nil {
		g.stopped[p.ID] = gp
	}
	g.mu.Unlock()
	g.Revoked(p)
}

// Reset forgets the partitions that have been stopped.
func (g *Group) Reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.stopped)
}

// shown returns a partition that runs, or has been stopped; nil if there is none.
func (g *Group) shown(partition int32) *groupPartition {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if gp := g.parts[partition]; gp != nil {
		return gp
	}
	return g.stopped[partition]
}

// Read returns through when a partition is applied (live: known) and complete (the beginning of time, if not known).
func (g *Group) Read(partition int32) (applied, complete event.Time, live bool) {
	gp := g.shown(partition)
	if gp == nil {
		return beginning, beginning, false
	}
	return event.Time(gp.applied.Load()), gp.Complete(), gp.live.Load()
}

// Position returns the offset below which everything on a partition of an input has been applied and committed, false if it is not known
// here.
func (g *Group) Position(topic string, partition int32) (int64, bool) {
	gp := g.shown(partition)
	if gp == nil {
		return 0, false
	}
	for i := range g.inputs {
		if g.inputs[i].Topic == topic && i < len(gp.inputs) {
			return gp.inputs[i].Position()
		}
	}
	return 0, false
}

// Why says of a partition what holds its clock back, and how many records it is behind.
func (g *Group) Why(partition int32) (input string, why Reason, behind int64) {
	g.mu.RLock()
	gp := g.parts[partition]
	g.mu.RUnlock()
	if gp == nil {
		return "", Unknown, 0
	}
	if held, ok := gp.p.Held(); ok {
		return held.Topic, Refused, gp.clock.Behind()
	}
	input, why = gp.clock.Why()
	return input, why, gp.clock.Behind()
}

// Tick asks how far the origins have come, sends every partition its clock unit and exports what the clocks show. The poller calls it
// after each round.
func (g *Group) Tick(ctx context.Context) {
	parts := g.snapshot()
	g.hear(ctx, parts)
	for _, gp := range parts {
		gp.look()
		gp.p.Send(topology.ClockInput, nil, true)
		g.export(gp)
	}
}

// export shows a partition's clocks. Once it is revoked its series go, and nothing may bring them back: a clock that nobody moves any more
// would look like one that stands. So revoking waits while a partition is shown.
func (g *Group) export(gp *groupPartition) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.parts[gp.p.ID] != gp {
		return
	}
	label := metrics.Partition(g.name, gp.p.ID)
	state := metrics.CatchingUp
	if gp.live.Load() {
		state = metrics.LiveState
		g.m.AppliedThrough.WithLabelValues(label).Set(float64(gp.applied.Load()) / 1000)
	}
	if complete := gp.Complete(); complete > beginning {
		g.m.CompleteThrough.WithLabelValues(label).Set(float64(complete) / 1000)
	}
	if _, held := gp.p.Held(); held {
		state = metrics.HeldBack
	}
	g.m.SetPartitionState(label, state)
}

func (g *Group) snapshot() []*groupPartition {
	g.mu.RLock()
	defer g.mu.RUnlock()
	parts := make([]*groupPartition, 0, len(g.parts))
	for _, gp := range g.parts {
		parts = append(parts, gp)
	}
	return parts
}

// hear tells the partitions how far the origins have come. The ends of the copies are asked for after that: what the origins speak of has
// been copied below them.
func (g *Group) hear(ctx context.Context, parts []*groupPartition) {
	if g.origins == nil || len(parts) == 0 {
		return
	}
	asking, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	err := g.origins.ask(asking)
	p := g.origins.promise() // one group that does not answer holds what it holds; the clocks never go back
	var copies []tail.TopicPartition
	byLog := map[tail.TopicPartition]*arrivals{}
	for _, gp := range parts {
		for i, in := range g.inputs {
			if gp.copies != nil && gp.copies.input == gp.inputs[i] {
				tp := tail.TopicPartition{Topic: in.Topic, Partition: gp.p.ID}
				copies, byLog[tp] = append(copies, tp), gp.copies
			}
		}
	}
	ends, lost := g.origins.logs.Ends(asking, copies, false)
	for tp, end := range ends {
		if a := byLog[tp]; a != nil {
			a.expect(p, end)
		}
	}
	err = errors.Join(err, lost)
	if silent := err != nil; silent != g.silent && ctx.Err() == nil {
		g.silent = silent
		if silent {
			_ = level.Warn(g.logger).Log("msg", "clocks stand still: the brokers do not say how far copies have come", "group", g.name, "err", err)
		} else {
			_ = level.Info(g.logger).Log("msg", "clocks go on: the brokers say again how far copies have come", "group", g.name)
		}
	}
}
