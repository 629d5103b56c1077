package clock

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/topology"
)

// GroupInput is one input of a group as its clock needs it.
type GroupInput struct {
	Topic    string
	Lateness freshness.Duration
	Skew     freshness.Duration
}

// Group is the clock of a group on this instance: one Partition for each partition it has, made of the group's inputs there and of what
// every partition needs besides (the contracts).
type Group struct {
	name   string
	inputs []GroupInput
	shared []Part
	afar   []Part // partitions whose records are copied to every partition of the group; Input is not used
	poller *Poller
	m      *metrics.Metrics

	mu    sync.RWMutex
	parts map[int32]*groupPartition
}

type groupPartition struct {
	Reading
	p      *gateway.Partition
	clock  *Partition
	inputs []*Input
	afar   map[string]*Input // of partitions whose records are copied here: their clocks come with the copies
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
// Shared parts are the same for all partitions; of those afar, whose records reach the group as copies, each partition hears by Hear.
func NewGroup(name string, inputs []GroupInput, shared, afar []Part, poller *Poller, m *metrics.Metrics) *Group {
	return &Group{name: name, inputs: inputs, shared: shared, afar: afar, poller: poller, m: m, parts: map[int32]*groupPartition{}}
}

// Assigned makes the clock of a partition.
func (g *Group) Assigned(p *gateway.Partition) *Reading {
	gp := &groupPartition{p: p, afar: map[string]*Input{}}
	gp.applied.Store(int64(beginning))
	gp.complete.Store(int64(beginning))
	var parts []Part
	for _, part := range g.afar {
		part.Input = &Input{}
		gp.afar[part.Name] = part.Input
		parts = append(parts, part)
	}
	for _, in := range g.inputs {
		c := &Input{}
		gp.inputs = append(gp.inputs, c)
		parts = append(parts, Part{Name: fmt.Sprintf("%s/%d", in.Topic, p.ID), Input: c, Lateness: in.Lateness, Skew: in.Skew})
	}
	gp.clock = NewPartition(append(parts, g.shared...)...)
	g.mu.Lock()
	g.parts[p.ID] = gp
	g.mu.Unlock()
	return &gp.Reading
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
	gp.look()
}

// Hear takes the clock of a partition afar, as it lay behind its copies in a partition of the group.
func (g *Group) Hear(p *gateway.Partition, of string, applied event.Time, live bool, newest, asked event.Time) {
	g.mu.RLock()
	gp := g.parts[p.ID]
	g.mu.RUnlock()
	if gp == nil || gp.afar[of] == nil {
		return
	}
	c := gp.afar[of]
	c.Committed(0)
	if live {
		c.Observe(applied, 0)
	} else {
		c.Observe(asked, 1)
	}
	if newest > beginning {
		c.Record(newest)
	}
}

// Newest returns the greatest record time applied of a partition's inputs.
func (g *Group) Newest(partition int32) event.Time {
	g.mu.RLock()
	gp := g.parts[partition]
	g.mu.RUnlock()
	newest := beginning
	if gp != nil {
		for _, c := range gp.inputs {
			if t, ok := c.newest(); ok {
				newest = max(newest, t)
			}
		}
	}
	return newest
}

// Revoked forgets a partition.
func (g *Group) Revoked(p *gateway.Partition) {
	g.mu.Lock()
	delete(g.parts, p.ID)
	g.mu.Unlock()
	for i := range g.inputs {
		g.poller.Unregister(tail.TopicPartition{Topic: g.inputs[i].Topic, Partition: p.ID})
	}
}

// Read returns through when a partition is applied (live: known) and complete (the beginning of time, if not known).
func (g *Group) Read(partition int32) (applied, complete event.Time, live bool) {
	g.mu.RLock()
	gp := g.parts[partition]
	g.mu.RUnlock()
	if gp == nil {
		return beginning, beginning, false
	}
	return event.Time(gp.applied.Load()), gp.Complete(), gp.live.Load()
}

// Position returns the offset below which everything on a partition of an input has been applied and committed, false if it is not known
// here.
func (g *Group) Position(topic string, partition int32) (int64, bool) {
	g.mu.RLock()
	gp := g.parts[partition]
	g.mu.RUnlock()
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

// Tick sends every partition its clock unit and exports what the clocks show. The poller calls it after each round.
func (g *Group) Tick() {
	g.mu.RLock()
	parts := make([]*groupPartition, 0, len(g.parts))
	for _, gp := range g.parts {
		parts = append(parts, gp)
	}
	g.mu.RUnlock()
	for _, gp := range parts {
		gp.look()
		gp.p.Send(topology.ClockInput, nil, true)
		label := metrics.Partition(g.name, gp.p.ID)
		applied, complete, live := g.Read(gp.p.ID)
		state := metrics.CatchingUp
		if live {
			state = metrics.LiveState
			g.m.AppliedThrough.WithLabelValues(label).Set(float64(applied) / 1000)
		}
		if complete > beginning {
			g.m.CompleteThrough.WithLabelValues(label).Set(float64(complete) / 1000)
		}
		if _, held := gp.p.Held(); held {
			state = metrics.HeldBack
		}
		g.m.SetPartitionState(label, state)
	}
}

// newest returns the greatest record time applied.
func (c *Input) newest() (event.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record, c.hasRecord
}
