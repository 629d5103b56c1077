package alerting

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Dispatcher sends what is due.
type Dispatcher interface {
	Targets() []alerts.Target
	Offer(due []alerts.Notification, whole bool)
	Acks() []alerts.Ack
	Acked() <-chan struct{} // something has been acknowledged that had better be kept soon
	Alive()                 // the process runs; what waits is sent only while that is said
}

// Deps is what the group works with.
type Deps struct {
	Name       string // of the consumer group
	Topic      string // of the records
	Alerts     *alerts.Alerts
	Facts      []func(*alerts.Snapshot) // each fills in its part of a snapshot
	Clocks     func() []alerts.Partition
	Dispatcher Dispatcher
	Metrics    *metrics.Metrics
	Now        func() event.Time
	Logger     log.Logger
}

// Group evaluates alerts. It implements gateway.Group.
type Group struct {
	Deps

	mu      sync.Mutex // Alerts belongs to one goroutine at a time
	part    *gateway.Partition
	due     []alerts.Notification // of the last tick, until it is committed
	barrier uint64                // it is committed with a later one
	waiting bool
	made    event.Time    // when due was
	ticked  event.Time    // when the last tick was
	costs   [2]event.Time // how long the last two took: one by itself may have been held up
	sent    event.Time    // when something could be sent last
	pulse   event.Time    // the process ran, as far as is known
	woken   event.Time    // it has run without a long pause since then
	was     bool          // this instance evaluated last, as far as it knows

	hints chan struct{}
}

// New returns the group.
func New(d Deps) *Group { return &Group{Deps: d, hints: make(chan struct{}, 1)} }

// Assign takes over: the rows are there.
func (g *Group) Assign(_ context.Context, p *gateway.Partition) error {
	it, err := p.Rows.Iterator()
	if err != nil {
		return fmt.Errorf("alert rows: %w", err)
	}
	defer it.Release()
	var rows []*alerts.Row
	for it.Next() {
		b, err := it.Value()
		if err != nil {
			return fmt.Errorf("alert rows: %w", err)
		}
		r, err := alerts.Decode(b)
		if err != nil {
			return err
		}
		rows = append(rows, r)
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("alert rows: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.Alerts.Restore(g.Now(), rows)
	g.part, g.was, g.waiting, g.sent = p, true, false, g.Now()
	g.count()
	g.Metrics.SetPartitionState(metrics.Partition(g.Name, p.ID), metrics.LiveState) // it has no clock that would say so
	_ = level.Info(g.Logger).Log("msg", "this instance evaluates and dispatches alerts", "rows", len(rows))
	return nil
}

// Revoke ends that.
func (g *Group) Revoke(*gateway.Partition) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.part, g.waiting, g.due = nil, false, nil
	g.Metrics.Alerts.Reset()
}

// Claimed has nothing to note: what the input says is read elsewhere.
func (g *Group) Claimed(*gateway.Partition, int, int64) {}

// Seal has nothing to add.
func (g *Group) Seal(*gateway.Partition) {}

// Unit evaluates at a tick. Records of the input have been read by whoever needs contracts.
func (g *Group) Unit(p *gateway.Partition, u *gateway.Unit) {
	if u.Virtual == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.snapshot()
	out := g.Alerts.Tick(s, g.Dispatcher.Targets(), g.Dispatcher.Acks())
	for _, r := range out.Saved {
		p.Rows.Put(r.ID, &row{r.ID, r})
	}
	for _, r := range out.Changed {
		p.Emit(g.record(r, s.Now))
		_ = level.Info(g.Logger).Log("msg", "alert "+r.Status.String(), "alert", r.ID, "severity", r.Severity, "owner", r.Owner, "sequence", r.Sequence)
	}
	for _, id := range out.Gone {
		p.Rows.Put(id, &row{id, nil})
		p.Emit(&kgo.Record{Topic: g.Topic, Partition: 0, Key: []byte(id), Timestamp: s.Now.Go()})
	}
	if out.Dropped > 0 {
		g.Metrics.LimitReached.WithLabelValues("alerts").Add(float64(out.Dropped))
	}
	if len(out.Changed)+len(out.Gone) > 0 {
		g.count()
	}
	g.due, g.made, g.barrier, g.waiting = out.Due, s.Now, p.Barriers(), true
	g.ticked, g.costs = s.Now, [2]event.Time{g.Now() - s.Now, g.costs[0]}
}

// Committed sends what is due, once what it rests on is stored.
func (g *Group) Committed(p *gateway.Partition, barrier uint64, _, _ []int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.part != p || !g.waiting || barrier <= g.barrier {
		return
	}
	if g.awake(); g.woken > g.made { // it was stored, and then this process was frozen: what is due now the next tick will say, if it can be stored
		g.due = nil
	}
	g.waiting = false
	g.sent = g.Now()
	g.Dispatcher.Offer(g.due, true)
	g.due = nil
}

func (g *Group) snapshot() *alerts.Snapshot {
	s := g.bare()
	for _, fill := range g.Facts {
		fill(s)
	}
	return s
}

// bare is a snapshot of the clocks alone.
func (g *Group) bare() *alerts.Snapshot {
	return &alerts.Snapshot{Now: g.Now(), Woken: g.woken, Partitions: g.Clocks()}
}

// Attributes that every record has in common.
var (
	specVersion = []byte("1.0")
	source      = []byte("/freshet")
	alertType   = []byte("freshet.alert")
	jsonContent = []byte("application/json")
)

func (g *Group) record(r *alerts.Row, at event.Time) *kgo.Record {
	return &kgo.Record{
		Topic: g.Topic, Partition: 0, Key: []byte(r.ID), Value: r.JSON(), Timestamp: at.Go(),
		Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: specVersion},
			{Key: "ce_id", Value: strconv.AppendInt([]byte(r.ID+"/"), r.Sequence, 10)},
			{Key: "ce_source", Value: source},
			{Key: "ce_type", Value: alertType},
			{Key: "ce_time", Value: []byte(at.String())},
			{Key: "ce_subject", Value: []byte(r.ID)},
			{Key: "content-type", Value: jsonContent},
		},
	}
}

// count shows how many rows there are.
func (g *Group) count() {
	type series struct{ name, owner, severity, status string }
	n := map[series]float64{}
	for _, r := range g.Alerts.Rows() {
		n[series{r.Name, g.Metrics.Labels.Owner(r.Owner), r.Severity.String(), r.Status.String()}]++
	}
	g.Metrics.Alerts.Reset()
	for s, n := range n {
		g.Metrics.Alerts.WithLabelValues(s.name, s.owner, s.severity, s.status).Set(n)
	}
}

// alone is how long nothing can have been committed before the instance that evaluated last goes on from memory.
const alone = event.Time(10_000)

// Gateway is what the group runs on.
type Gateway interface {
	Running() bool
	Partition(id int32) *gateway.Partition
}

// Run ticks until ctx ends.
func (g *Group) Run(ctx context.Context, on Gateway, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	pulse := time.NewTicker(heartbeat)
	defer pulse.Stop()
	soon := time.NewTimer(time.Hour)
	defer soon.Stop()
	early := time.NewTimer(time.Hour)
	defer early.Stop()
	for waits := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-g.Dispatcher.Acked():
			soon.Reset(gather)
		case <-soon.C:
			g.tick(on)
		case <-g.hints:
			if !waits && g.follows() {
				waits = true
				early.Reset(max(gather, g.rest()))
			}
		case <-early.C:
			if rest := g.rest(); rest > 0 {
				early.Reset(rest)
				continue
			}
			waits = false
			g.tick(on)
		case <-pulse.C:
			g.live()
		case <-tick.C:
			waits = false
			early.Stop()
			g.live()
			g.tick(on)
			g.fromMemory(on)
		}
	}
}

// heartbeat is how often the process says that it runs, however seldom it ticks.
const heartbeat = time.Second

func (g *Group) live() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.awake()
}

// awake notes that the process runs. If it did not until now, what waits to be sent is forgotten: another instance may have taken over and
// have told more since, such as that an alert is over. What is still due comes with the next tick that can be stored. The group is locked.
func (g *Group) awake() {
	now := g.Now()
	if now-g.pulse > event.Time(alerts.Asleep) {
		g.woken = now
		g.Dispatcher.Offer(nil, true)
	}
	g.pulse = now
	g.Dispatcher.Alive()
}

// gather is how long acknowledgements, and hints, are waited for that may come together.
const gather = 20 * time.Millisecond

// Hint says that something is worse than before: the next tick comes sooner than it would, unless one has just been. It never blocks.
func (g *Group) Hint() {
	select {
	case g.hints <- struct{}{}:
	default:
	}
}

// A tick that a hint has asked for comes no sooner than so long after the one before, and takes no more than one part in so many of the time.
const (
	leastRest = event.Time(250)
	tickShare = event.Time(40)
)

// behind is by how much the clocks of an engine that follows may be late.
const behind = event.Time(5_000)

// follows says whether the clocks follow the time. While they do not, what is worse than before is old, and the next tick is soon enough.
func (g *Group) follows() bool {
	now := g.Now()
	for _, p := range g.Clocks() {
		if !p.Live || now-p.Applied > behind {
			return false
		}
	}
	return true
}

// rest is how long a tick that a hint has asked for has to wait, not positive if it has not to. What the last tick is to send is not put off
// by another one: it goes first.
func (g *Group) rest() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	rest := g.ticked + max(leastRest, min(g.costs[0], g.costs[1])*tickShare) - g.Now()
	if g.waiting {
		rest = max(rest, leastRest)
	}
	return time.Duration(rest) * time.Millisecond
}

func (g *Group) tick(on Gateway) {
	if p := on.Partition(0); p != nil {
		p.Send(topology.TickInput, nil, true)
	}
}

// fromMemory is a tick without Kafka.
func (g *Group) fromMemory(on Gateway) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.was && on.Running() && on.Partition(0) == nil { // another instance has taken over
		g.was = false
		g.Dispatcher.Offer(nil, true)
	}
	if !g.was && !g.Alerts.Owes(alerts.EngineBlind) || g.Now()-g.sent < alone {
		return
	}
	s := g.bare()
	if g.Alerts.Drowsy(s) { // not even that what fired still does
		return
	}
	acks := g.Dispatcher.Acks()
	out := g.Alerts.Alone(s, g.Dispatcher.Targets(), acks)
	for _, r := range out.Changed {
		_ = level.Warn(g.Logger).Log("msg", "alert "+r.Status.String()+", from memory: nothing can be stored", "alert", r.ID)
	}
	g.Dispatcher.Offer(out.Due, false)
}

// Here says whether this instance evaluates.
func (g *Group) Here() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.part != nil
}

// Rows returns the rows. Here is false if another instance evaluates.
func (g *Group) Rows() (rows []*alerts.Row, here bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.Alerts.Rows(), g.part != nil
}

// Why says how everything with an alert's name stands. Here is false if another instance evaluates.
func (g *Group) Why(name string) (findings []alerts.Finding, here bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.Alerts.Why(name), g.part != nil
}
