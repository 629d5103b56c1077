package rekey

import (
	"context"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/processors/intake"
)

// Group copies the records of one topic. It implements gateway.Group.
type Group struct {
	plan   *intake.Plan
	events func() event.Config
	clock  *clock.Group
	m      *metrics.Metrics
	now    func() time.Time
}

// New returns the group.
func New(plan *intake.Plan, events func() event.Config, clock *clock.Group, m *metrics.Metrics, now func() time.Time) *Group {
	return &Group{plan: plan, events: events, clock: clock, m: m, now: now}
}

type partition struct {
	intake *intake.Intake
	event  event.Event
	wrote  time.Time
	said   intake.Clock
}

// clockPace is how often a partition's clock is sent on.
const clockPace = 500 * time.Millisecond

// Assign starts a partition.
func (g *Group) Assign(_ context.Context, p *gateway.Partition) error {
	p.User = &partition{intake: intake.New(g.plan, p, g.events(), g.m)}
	g.clock.Assigned(p)
	return nil
}

// Claimed passes on where the input begins.
func (g *Group) Claimed(p *gateway.Partition, input int, initial int64) {
	g.clock.Claimed(p, input, initial)
}

// Revoke forgets a partition.
func (g *Group) Revoke(p *gateway.Partition) { g.clock.Revoked(p) }

// Seal has nothing to add.
func (g *Group) Seal(*gateway.Partition) {}

// Committed moves the clock.
func (g *Group) Committed(p *gateway.Partition, _ uint64, next, newest []int64) {
	g.clock.Committed(p, next, newest)
}

// Unit copies records, or sends the clock behind them.
func (g *Group) Unit(p *gateway.Partition, u *gateway.Unit) {
	pt := p.User.(*partition)
	if u.Virtual != "" {
		g.tick(p, pt)
		return
	}
	for i := range u.Records {
		pt.intake.Forward(&u.Records[i], &pt.event)
	}
}

// tick sends the clock to every partition that copies go to. It lies behind all copies that it speaks of, in their transaction or a
// later one.
func (g *Group) tick(p *gateway.Partition, pt *partition) {
	now := g.now()
	if now.Sub(pt.wrote) < clockPace-50*time.Millisecond {
		return
	}
	applied, _, live := g.clock.Read(p.ID)
	c := intake.Clock{Applied: applied, Live: live, Newest: g.clock.Newest(p.ID), Asked: event.Of(now)}
	if c == pt.said {
		return
	}
	pt.wrote, pt.said = now, c
	pt.intake.SendClock(c)
}
