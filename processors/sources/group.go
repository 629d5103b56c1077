package sources

import (
	"context"
	"strings"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/processors/intake"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// Group folds source events into items. It implements gateway.Group.
type Group struct {
	plan   *intake.Plan
	events func() event.Config
	limit  func(kind string) int // versions kept of an item of the kind
	clock  *clock.Group
	m      *metrics.Metrics
	now    func() time.Time
	logger log.Logger
}

// New returns the group.
func New(plan *intake.Plan, events func() event.Config, limit func(string) int, clock *clock.Group, m *metrics.Metrics, now func() time.Time, logger log.Logger) *Group {
	return &Group{plan: plan, events: events, limit: limit, clock: clock, m: m, now: now, logger: logger}
}

// Schema returns how the table's rows are read; each partition has its own.
func Schema() state.Schema { return schema{freshness.NewInterner(1 << 16).Intern} }

// partition is what the group keeps of an assigned partition.
type partition struct {
	intake *intake.Intake
	clock  *clockOf
	wrote  time.Time // when the clock row was written last
	event  event.Event
}

// clockPace is how often the clock row is written while nothing else happens. It is written at once when the clock passes what is
// waited for: each change of the catch-up clock.
const clockPace = 500 * time.Millisecond

// Assign starts a partition.
func (g *Group) Assign(_ context.Context, p *gateway.Partition) error {
	key := topology.ControlKey(clockRow, p.ID)
	pt := &partition{intake: intake.New(g.plan, p, g.events, g.m), clock: &clockOf{key: key, applied: beginning, complete: beginning}}
	row, err := p.Rows.Row(key)
	if err != nil {
		return err
	}
	if c, ok := row.(*clockOf); ok {
		pt.clock = c
	}
	p.User = pt
	g.clock.Assigned(p)
	return nil
}

// Claimed passes on where an input begins.
func (g *Group) Claimed(p *gateway.Partition, input int, initial int64) {
	g.clock.Claimed(p, input, initial)
}

// Revoke forgets a partition.
func (g *Group) Revoke(p *gateway.Partition) { g.clock.Revoked(p) }

// Seal has nothing to add: the clock row is written by its own units.
func (g *Group) Seal(*gateway.Partition) {}

// Committed moves the clocks.
func (g *Group) Committed(p *gateway.Partition, _ uint64, next, newest []int64) {
	g.clock.Committed(p, next, newest)
}

// Unit folds the records of one item, or writes the clock.
func (g *Group) Unit(p *gateway.Partition, u *gateway.Unit) {
	pt := p.User.(*partition)
	if u.Virtual != "" {
		g.tick(p, pt)
		return
	}
	now := g.now()
	for i := range u.Records {
		in := &u.Records[i]
		at, ok := pt.intake.Take(in, &pt.event)
		if !ok {
			continue
		}
		known, err := g.fold(p, &pt.event, at)
		if err != nil {
			// A row that cannot be read is a broken store, not bad input: the session must end before anything rests on it.
			panic(err)
		}
		pt.intake.Applied(known, metrics.Trail{}, now)
		if !known && pt.event.Time > pt.event.Appended {
			g.m.SourceClockAhead.WithLabelValues(g.m.Labels.Kind(pt.event.Kind)).Inc()
		}
	}
}

func (g *Group) fold(p *gateway.Partition, e *event.Event, at freshness.Position) (known bool, err error) {
	switch {
	case e.Type == event.Other:
		return false, nil
	case e.WholeKind:
		return g.beatKind(p, e)
	}
	key := e.Kind + "/" + e.Key
	found, err := p.Rows.Row(key)
	if err != nil {
		return false, err
	}
	r, _ := found.(*itemRow)
	if e.Type == event.SourceForget {
		if r == nil || r.item.Len() == 0 && r.gone {
			return true, nil
		}
		_ = level.Info(g.logger).Log("msg", "item forgotten on request", "item", key, "topic", at.Topic, "partition", at.Partition, "offset", at.Offset)
		r.forget, r.gone, r.head, r.dirty = max(r.forget, r.item.Chunks()), true, false, r.dirty[:0]
		r.item = freshness.NewItem(r.item.Kind(), r.item.Key())
		p.Rows.Put(key, r)
		return false, nil
	}
	created := r == nil
	if created {
		r = &itemRow{item: freshness.NewItem(strings.Clone(e.Kind), strings.Clone(e.Key))}
	}
	next, ch := r.item.Apply(e, at, g.limit(e.Kind))
	if ch.Conflict && ch.New {
		g.m.SourceConflicts.WithLabelValues(g.m.Labels.Kind(e.Kind)).Inc()
	}
	if !ch.Any {
		return !ch.New, nil
	}
	r.item = next
	r.head = r.head || ch.Head || created || r.gone
	r.gone = false
	if ch.HasChunk {
		r.touch(ch.Chunk)
	}
	for _, c := range ch.Emptied {
		r.touch(c)
	}
	if ch.Purged {
		g.m.LimitReached.WithLabelValues("versions").Inc()
	}
	p.Rows.Put(key, r)
	return !ch.New, nil
}

func (r *itemRow) touch(chunk uint32) {
	for _, c := range r.dirty {
		if c == chunk {
			return
		}
	}
	r.dirty = append(r.dirty, chunk)
}

func (g *Group) beatKind(p *gateway.Partition, e *event.Event) (known bool, err error) {
	key := e.Kind + "/"
	found, err := p.Rows.Row(key)
	if err != nil {
		return false, err
	}
	life := freshness.Life(e)
	r, _ := found.(*kindRow)
	if r != nil && life <= r.life {
		return true, nil
	}
	if r == nil {
		r = &kindRow{kind: strings.Clone(e.Kind)}
	}
	r.life = life
	p.Rows.Put(key, r)
	return false, nil
}

// tick writes the clock row when it has moved: it lies behind everything it speaks of, since all of that is in this transaction or an
// earlier one.
func (g *Group) tick(p *gateway.Partition, pt *partition) {
	applied, complete, live := g.clock.Read(p.ID)
	c := pt.clock
	moved := complete > c.complete || live && (applied > c.applied || !c.live)
	if !moved {
		return
	}
	now := g.now()
	if live && c.live && now.Sub(pt.wrote) < clockPace-50*time.Millisecond {
		return
	}
	pt.wrote = now
	c.complete = max(c.complete, complete)
	if live {
		c.applied, c.live = max(c.applied, applied), true
	}
	p.Rows.Put(c.key, c)
}
