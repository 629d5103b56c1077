package rekey

import (
	"context"

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
}

// New returns the group.
func New(plan *intake.Plan, events func() event.Config, clock *clock.Group, m *metrics.Metrics) *Group {
	return &Group{plan: plan, events: events, clock: clock, m: m}
}

type partition struct {
	intake *intake.Intake
	event  event.Event
}

// Assign starts a partition.
func (g *Group) Assign(_ context.Context, p *gateway.Partition) error {
	p.User = &partition{intake: intake.New(g.plan, p, g.events, g.m)}
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

// Unit copies records.
func (g *Group) Unit(p *gateway.Partition, u *gateway.Unit) {
	pt := p.User.(*partition)
	// A tick of the clock has no records.
	for i := range u.Records {
		pt.intake.Forward(&u.Records[i], &pt.event)
	}
}
