package clock

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/processors/tail"
)

// Origin is a topic whose records may reach the partitions of a group as copies: a misplaced record of the group's own inputs, or any
// record of a topic that is rekeyed for it.
type Origin struct {
	Topic      string
	Partitions int32
	Group      string // whose commits say how far it has been copied
}

// Offsets is what Origins asks: tail.Logs, or a test's.
type Offsets interface {
	Committed(ctx context.Context, group string, topics map[string]int32) (map[tail.TopicPartition]tail.Committed, error)
	Ends(ctx context.Context, tps []tail.TopicPartition, committed bool) (map[tail.TopicPartition]int64, error)
}

// Origins is the clock of all partitions from which copies may come: the earliest of them. Whoever owns them, this instance or another,
// what it has copied is in the broker's hands together with its offsets, so that the committed offsets say all.
type Origins struct {
	logs    Offsets
	now     func() event.Time
	clock   *Partition
	inputs  map[tail.TopicPartition]*Input
	byGroup map[string]map[string]int32
	topics  []Origin

	mu     sync.Mutex
	bounds func(topic string) Bounds
	held   map[tail.TopicPartition]event.Time // partitions that nobody waits for, and until when
}

// NewOrigins returns the clock of origins and keeps it going by the poller.
func NewOrigins(logs Offsets, poller *Poller, origins []Origin, bounds func(topic string) Bounds) *Origins {
	o := &Origins{
		logs: logs, now: poller.now, clock: NewPartition(), inputs: map[tail.TopicPartition]*Input{}, byGroup: map[string]map[string]int32{},
		topics: origins, held: map[tail.TopicPartition]event.Time{},
	}
	for _, from := range origins {
		if o.byGroup[from.Group] == nil {
			o.byGroup[from.Group] = map[string]int32{}
		}
		o.byGroup[from.Group][from.Topic] = from.Partitions
		for p := range from.Partitions {
			tp := tail.TopicPartition{Topic: from.Topic, Partition: p}
			o.inputs[tp] = &Input{}
			poller.Register(tp, o.inputs[tp])
		}
	}
	o.bind(bounds)
	return o
}

// bind takes the lateness and the skew of each topic from the contract.
func (o *Origins) bind(bounds func(topic string) Bounds) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bounds = bounds
	o.set()
}

// set makes the clock of all partitions but those that are held back.
func (o *Origins) set() {
	var parts []Part
	for _, from := range o.topics {
		for p := range from.Partitions {
			tp := tail.TopicPartition{Topic: from.Topic, Partition: p}
			if o.held[tp] == 0 {
				parts = append(parts, Part{Name: partName(from.Topic, p), Input: o.inputs[tp], Bounds: o.bounds(from.Topic)})
			}
		}
	}
	o.clock.Set(parts...)
}

// ask moves the clocks to what the groups have committed.
func (o *Origins) ask(ctx context.Context) error {
	var errs []error
	committed := map[tail.TopicPartition]tail.Committed{}
	for group, topics := range o.byGroup {
		all, err := o.logs.Committed(ctx, group, topics)
		if err != nil {
			errs = append(errs, err)
		}
		maps.Copy(committed, all)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	changed := false
	for tp, in := range o.inputs {
		c, known := committed[tp]
		if known {
			in.Committed(c.Next)
			if c.Newest > 0 {
				in.Record(event.Time(c.Newest))
			}
			changed = o.hold(tp, c.HeldUntil) || changed
		}
	}
	if changed {
		o.set()
	}
	return errors.Join(errs...)
}

// hold notes until when a partition is held back, and says whether that makes a difference.
func (o *Origins) hold(tp tail.TopicPartition, until event.Time) (changed bool) {
	was := o.held[tp] != 0
	if is := until > o.now(); is {
		o.held[tp] = until
		return !was
	}
	delete(o.held, tp)
	return was
}

// promise is what the origins had come to when the end of the copies was asked for: once everything below that end has been applied, so
// has everything that the origins speak of.
type promise struct {
	applied, complete       event.Time
	hasApplied, hasComplete bool
}

func (o *Origins) promise() promise {
	var p promise
	p.applied, p.hasApplied = o.clock.Applied()
	p.complete, p.hasComplete = o.clock.Complete()
	return p
}

// arrivals is the clock of what reaches a partition as copies. It is safe for concurrent use.
type arrivals struct {
	input   *Input // the partition's share of the topic of copies
	origins *Origins

	mu      sync.Mutex
	waiting []arrival // promises not kept yet, their ends growing
	shows   promise
}

type arrival struct {
	promise
	end int64
}

// expect takes a promise, with the end of the copies that was asked for after it.
func (a *arrivals) expect(p promise, end int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// An earlier promise with an end no smaller says nothing that this one does not.
	for n := len(a.waiting); n > 0 && a.waiting[n-1].end >= end; n-- {
		a.waiting = a.waiting[:n-1]
	}
	if len(a.waiting) >= boundLimit {
		a.waiting = thinned(a.waiting)
	}
	a.waiting = append(a.waiting, arrival{promise: p, end: end})
}

func (a *arrivals) look() promise {
	position, known := a.input.Position()
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for known && n < len(a.waiting) && a.waiting[n].end <= position {
		n++
	}
	if n > 0 {
		a.shows = a.waiting[n-1].promise
		a.waiting = append(a.waiting[:0], a.waiting[n:]...)
	}
	return a.shows
}

// Applied returns the instant before which every acknowledged record that belongs here and lies elsewhere has been applied.
func (a *arrivals) Applied() (event.Time, bool) {
	p := a.look()
	return p.applied, p.hasApplied
}

// complete has each origin's own lateness and skew in it.
func (a *arrivals) complete(freshness.Duration, freshness.Duration) (event.Time, bool) {
	p := a.look()
	return p.complete, p.hasComplete
}

// Behind returns how many offsets of the copies have not been applied.
func (a *arrivals) Behind() int64 { return a.input.Behind() }

// holder names the copies if they are behind, else the origin that is.
func (a *arrivals) holder(name string) (string, Reason) {
	if why := a.input.Why(); why != Following {
		return name, why
	}
	return a.origins.clock.Why()
}

func partName(topic string, partition int32) string { return fmt.Sprintf("%s/%d", topic, partition) }

// thinned forgets every second of what waits; the latest stays.
func thinned[T any](waiting []T) []T {
	kept := waiting[:0]
	for i, w := range waiting {
		if (len(waiting)-1-i)%2 == 0 {
			kept = append(kept, w)
		}
	}
	return kept
}
