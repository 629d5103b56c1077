package workflows

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/processors/intake"
	"github.com/freshet-io/freshet/processors/sources"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/processors/workflows/read"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log"
)

// Contracts is what the group needs of the contracts that have been in force.
type Contracts interface {
	freshness.History
	// DecisionRetention returns for how long the effects of an event may come late.
	DecisionRetention() freshness.Duration
	// Objectives returns what the uses of a workflow type at an instant count for.
	Objectives(t event.Time, workflow string) []*slo.SLO
	// Objective returns an objective as the latest contract that has it says, nil if none ever had.
	Objective(name string) *slo.SLO
	// WorkflowIdle returns for how long a workflow may be without events before it is abandoned.
	WorkflowIdle() freshness.Duration
	// DetectionLimit returns how many workflows of a type and partition have a record each for the same stale version.
	DetectionLimit(workflowType string) int
	// Listen calls f with the instant from which on another contract is in force, until stop is called.
	Listen(f func(since event.Time)) (stop func())
}

// Deps is what a Group works with.
type Deps struct {
	Plan        *intake.Plan
	Events      func() event.Config
	Contracts   Contracts
	View        *sources.View
	SourceTable string
	Partitioner topology.Partitioner // of the source topics
	Logs        *tail.Logs
	DB          *state.DB
	Clock       *clock.Group
	Limits      freshness.Limits
	Verdicts    string // topic
	Detections  Topic
	CheckKey    []byte // signs the ids of checks, empty: they are not signed
	Reads       *read.Reader
	Buckets     string // topic
	Metrics     *metrics.Metrics
	Now         func() time.Time
	Logger      log.Logger
}

// Topic is an output whose partitions are not the group's.
type Topic struct {
	Name       string
	Partitions int32
}

// Group judges. It implements gateway.Group.
type Group struct {
	Deps
	ends []int64 // of the sources table, at the start of the session; nil: not looked for yet
}

// New returns the group.
func New(d Deps) *Group { return &Group{Deps: d} }

// internLimit bounds the names of which a partition keeps one copy.
const internLimit = 1 << 16

// Schema returns how the table's rows are read; each partition has its own.
func Schema() state.Schema { return schema{freshness.NewInterner(internLimit).Intern} }

// partition is what the group keeps of an assigned partition. It belongs to the partition's goroutine, but for drive.
type partition struct {
	g      *Group
	p      *gateway.Partition
	intake *intake.Intake
	clock  *clock.Reading
	cursor *cursor
	lives  *lives
	counts counts
	slab   state.Slab // of outputs

	due       *agenda // what waits for the partition's own clock
	blocked   blocked // what waits for the clocks of sources
	hushed    hushed
	drive     driver
	crossings crossings
	outline   *outline
	groups    groups
	pace      pace
	detector  freshness.Detector
	labels    labels
	book      book

	limits  freshness.Limits
	touched []freshness.Touched // by the records of the unit that runs
	event   event.Event
	verdict freshness.Verdict
	buf     []byte
	key     []byte    // of a detection
	wrote   time.Time // when the cursor was written last
}

// Assign takes a partition over: it may judge once the View has reached the ends that the sources table has now.
func (g *Group) Assign(ctx context.Context, p *gateway.Partition) error {
	pt := &partition{g: g, p: p, intake: intake.New(g.Plan, p, g.Events, g.Metrics), limits: g.Limits}
	pt.book = newBook(pt)
	pt.limits.Intern = freshness.NewInterner(internLimit).Intern
	key := topology.ControlKey("cursor", p.ID)
	found, err := p.Rows.Row(key)
	if err != nil {
		return err
	}
	pt.cursor, _ = found.(*cursor)
	if pt.cursor == nil {
		pt.cursor = newCursor(key)
	}
	if pt.lives, err = loadLives(p); err != nil {
		return err
	}
	pt.blocked = newBlocked(g.View.Partitions())
	if err := g.seen(ctx); err != nil {
		return err
	}
	pt.detector = freshness.Detector{Sources: g.View, Contracts: g.Contracts}
	pt.due = newAgenda(pt, agendaLimit)
	pt.pace.start(pt)
	pt.outline = newOutline(p.Rows.Committed)
	p.Rows.OnStaged(pt.outline.staged)
	if err := pt.crossings.start(pt); err != nil {
		return err
	}
	if err := pt.groups.load(pt); err != nil {
		return err
	}
	pt.drive.start(pt)
	p.User = pt
	pt.showOpen(1)
	pt.clock = g.Clock.Assigned(p)
	p.Rows.OnCommitted(func(rows []state.Write, done bool) { g.Reads.Committed(p.ID, rows, done) })
	g.Reads.Assigned(p.ID)
	return nil
}

// seen waits until the View has reached the ends that the sources table had when the session began. They are looked for once in a session: its
// partitions were all assigned before.
func (g *Group) seen(ctx context.Context) (err error) {
	if g.ends == nil {
		if g.ends, err = g.Logs.UsableEnds(ctx, g.SourceTable, g.View.Partitions()); err != nil {
			return fmt.Errorf("ends of %s: %w", g.SourceTable, err)
		}
	}
	return g.View.WaitThrough(ctx, g.ends)
}

// Claimed passes on where an input begins.
func (g *Group) Claimed(p *gateway.Partition, input int, initial int64) {
	g.Clock.Claimed(p, input, initial)
}

// Revoke ends the work on a partition. What is committed of it is still answered from, under a clock that stands still: the lag of the
// answers grows, and soon none of them is fresh. Whether another instance has the partition by now, only the next session shows.
func (g *Group) Revoke(p *gateway.Partition) {
	g.Clock.Stopped(p)
	pt := p.User.(*partition)
	pt.showOpen(-1)
	pt.drive.stop()
}

// Begin forgets the partitions of the session before: from here on their rows are restored, or another instance's.
func (g *Group) Begin() {
	g.ends = nil
	g.Reads.Reset()
	g.Clock.Reset()
}

// cursorPace is how often the cursor is written at most: what lies between is driven again, for nothing.
const cursorPace = time.Second

// Seal adds the buckets that have changed, and the cursor to a transaction that is written anyway.
func (g *Group) Seal(p *gateway.Partition) {
	pt := p.User.(*partition)
	now := g.Now()
	pt.book.seal(event.Of(now))
	if p.Rows.Dirty() == 0 || now.Sub(pt.wrote) < cursorPace && !pt.cursor.opened {
		return
	}
	driven, moved := pt.drive.driven()
	if complete := pt.clock.Complete(); moved || pt.cursor.opened || complete > pt.cursor.complete {
		pt.wrote = now
		pt.cursor.driven, pt.cursor.complete, pt.cursor.opened = driven, max(pt.cursor.complete, complete), false
		pt.cursor.swept, pt.cursor.groups = pt.crossings.through(), pt.groups.list()
		p.Rows.Put(pt.cursor.key, pt.cursor)
		if pt.drive.revive(pt.lives) {
			p.Rows.Put(pt.lives.key, pt.lives)
		}
	}
}

// Committed moves the clocks and lets the driver search for what has been sealed behind its marker.
func (g *Group) Committed(p *gateway.Partition, barrier uint64, next, newest []int64) {
	g.Clock.Committed(p, next, newest)
	pt := p.User.(*partition)
	pt.drive.committed(barrier)
	pt.due.committed(barrier)
	pt.pace.committed()
	g.Reads.Moved(p.ID)
}

// Unit folds and judges the records of one workflow, or does what a virtual message asks for.
func (g *Group) Unit(p *gateway.Partition, u *gateway.Unit) {
	pt := p.User.(*partition)
	var err error
	switch u.Virtual {
	case "":
		err = pt.records(u)
	case topology.ClockInput:
		err = pt.tick()
	case topology.SourceInput:
		err = pt.drive.unit(u.Payload)
	}
	if err != nil {
		// A row that cannot be read is a broken store, not bad input: the session must end before anything rests on it.
		panic(err)
	}
}

// row returns a workflow's row, nil if there is none.
func (pt *partition) row(id string) (*row, error) {
	found, err := pt.p.Rows.Row(id)
	if err != nil {
		return nil, err
	}
	r, _ := found.(*row)
	if r != nil && r.gone {
		return nil, nil
	}
	return r, nil
}

// make returns a row for a workflow that has none.
func (pt *partition) make(id string) *row {
	if found, err := pt.p.Rows.Row(id); err == nil {
		if r, ok := found.(*row); ok && r.gone { // its index entries are still to be taken away
			r.revive()
			pt.p.Rows.Touch(r.w.ID)
			return r
		}
	}
	id = strings.Clone(id)
	r := newRow(freshness.NewWorkflow(id))
	pt.p.Rows.Put(id, r)
	pt.drive.begun(id)
	return r
}

// records folds the records of one key and judges what they touch.
func (pt *partition) records(u *gateway.Unit) error {
	var (
		r    *row
		e    = &pt.event
		late = pt.lateBefore()
		now  = pt.g.Now()
	)
	for i := range u.Records {
		in := &u.Records[i]
		at, ok := pt.intake.Take(in, e)
		if !ok {
			continue
		}
		if e.Time < late && e.Type != event.WorkflowErase {
			pt.intake.Late()
			continue
		}
		if r == nil || r.w.ID != e.Subject { // records without a key share a unit, not a workflow
			if err := pt.settle(r); err != nil {
				return err
			}
			var err error
			if r, err = pt.row(e.Subject); err != nil {
				return err
			}
		}
		if e.Type == event.WorkflowErase {
			pt.touched = pt.touched[:0]
			if err := pt.erase(r, e, in); err != nil {
				return err
			}
			r = nil
			continue
		}
		if r == nil {
			r = pt.make(e.Subject)
		}
		uses, cut, was, as := len(r.w.Uses), r.w.Cut, pt.openType(r), r.claimed()
		t := r.w.Fold(e, at, &pt.limits)
		pt.intake.Applied(!t.New, metrics.Trail{Workflow: r.w.ID, Decision: e.DecisionID}, now)
		if t.Conflict {
			pt.g.Metrics.IDConflicts.Inc()
		}
		if !t.New {
			continue
		}
		pt.counts.refs(pt.g.Metrics, e)
		pt.p.Rows.Touch(r.w.ID)
		if len(r.w.Uses) != uses {
			r.count()
		}
		pt.recount(was, pt.openType(r))
		r.renewed(e.Time, was.name != r.w.Type.Name || t.Cut)
		pt.reclaimed(r, as)
		pt.countCut(cut, r.w.Cut)
		if t.Any {
			pt.touched = append(pt.touched, t)
		}
	}
	return pt.settle(r)
}

// countCut counts what limits have left out of a row.
func (pt *partition) countCut(was, is freshness.Cut) {
	if was == is {
		return
	}
	for limit, n := range map[string]int64{
		"items": is.Items - was.Items, "loads": is.Loads - was.Loads, "uses": is.Uses - was.Uses, "steps": is.Steps - was.Steps, "lines": is.Lines - was.Lines,
		"refs": is.Refs - was.Refs,
	} {
		if n > 0 {
			pt.g.Metrics.LimitReached.WithLabelValues(limit).Add(float64(n))
		}
	}
}

func (pt *partition) lateBefore() event.Time {
	complete := pt.clock.Complete()
	if complete <= oldest/2 {
		return oldest
	}
	return complete - event.Time(pt.g.Contracts.DecisionRetention())
}

// count brings pending up to date after uses have come or gone.
func (r *row) count() {
	r.pending = 0
	for i := range r.w.Uses {
		if r.w.Uses[i].Said.Revision == 0 {
			r.pending++
		}
	}
}
