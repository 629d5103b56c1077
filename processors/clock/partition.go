package clock

import (
	"sync"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Clock is what a Partition is made of: an Input, or what arrives as copies.
type Clock interface {
	Applied() (event.Time, bool)
	Behind() int64
	complete(lateness, skew freshness.Duration) (event.Time, bool)
	holder(name string) (string, Reason) // what holds the clock, and why: Following for nothing
}

// Bounds is what the contract says of an input's topic.
type Bounds struct {
	Lateness freshness.Duration
	Skew     freshness.Duration // 0 where the brokers set the records' times
}

// Part is one input of a partition.
type Part struct {
	Name  string // of the input, for people: topic and partition
	Input Clock
	Bounds
}

// Partition is the clock of a partition that needs several inputs: it shows the earliest. It never goes back, even where an input or its
// lateness changes; it stands still until the others have passed it. It is safe for concurrent use.
type Partition struct {
	mu          sync.Mutex
	parts       []Part
	applied     event.Time
	complete    event.Time
	hasApplied  bool
	hasComplete bool
}

// NewPartition returns the clock over the given inputs.
func NewPartition(parts ...Part) *Partition { return &Partition{parts: parts} }

// Set replaces the inputs, as when a contract names other topics or another lateness.
func (p *Partition) Set(parts ...Part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts = parts
}

// Applied returns the instant before which every acknowledged record of every input has been applied, false if none is known.
func (p *Partition) Applied() (event.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, known := earliest(p.parts, func(q Part) (event.Time, bool) { return q.Input.Applied() })
	if known {
		p.applied, p.hasApplied = later(p.applied, p.hasApplied, t), true
	}
	return p.applied, p.hasApplied
}

// Complete returns the event time up to which everything on every input has been applied, false if none is known.
func (p *Partition) Complete() (event.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, known := earliest(p.parts, func(q Part) (event.Time, bool) { return q.Input.complete(q.Lateness, q.Skew) })
	if known {
		p.complete, p.hasComplete = later(p.complete, p.hasComplete, t), true
	}
	return p.complete, p.hasComplete
}

// Why names the input that holds the clock, and says why: one whose clock is not known, else the one that shows the earliest instant. If
// all of them follow wall time there is nothing to name.
func (p *Partition) Why() (name string, why Reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.parts) == 0 {
		return "", Unknown
	}
	why = Following
	var at event.Time
	for i := range p.parts {
		q := &p.parts[i]
		by, reason := q.Input.holder(q.Name)
		if reason == Following {
			continue
		}
		t, known := q.Input.Applied()
		if !known {
			return by, reason
		}
		if why == Following || t < at {
			name, why, at = by, reason, t
		}
	}
	return name, why
}

// Behind returns how many offsets lie between position and end over all inputs.
func (p *Partition) Behind() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var n int64
	for _, q := range p.parts {
		n += q.Input.Behind()
	}
	return n
}

// earliest returns the earliest instant over the inputs, false unless all are known.
func earliest(parts []Part, of func(Part) (event.Time, bool)) (event.Time, bool) {
	var t event.Time
	for i, q := range parts {
		u, known := of(q)
		if !known {
			return 0, false
		}
		if i == 0 || u < t {
			t = u
		}
	}
	return t, len(parts) > 0
}
