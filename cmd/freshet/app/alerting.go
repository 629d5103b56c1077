package app

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/alerts/dispatch"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/alerting"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/processors/workflows"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
	"github.com/grafana/dskit/services"
)

// newAlerting evaluates and dispatches alerts, if this instance is the one that does.
func (a *App) newAlerting() (services.Service, error) {
	rows, err := a.cfg.Alerting.New()
	if err != nil {
		return nil, err
	}
	a.dispatcher, err = dispatch.New(a.cfg.Dispatch, a.owners, a.m, a.now, a.logger)
	if err != nil {
		return nil, err
	}
	detections := alerting.NewDetections(a.partitionName)
	reader := alerting.NewReader(detections, a.graph.Detections, a.logger)
	clocks := &clocks{a: a, seen: map[string]alerts.Partition{}}
	silence := alerting.NewSilence(a.view, a.sourcesComplete(), a.contractSince, a.mono.Now, a.openHolders)
	group := alerting.New(alerting.Deps{
		Name: a.graph.Alerting.Name, Topic: a.graph.Alerts, Alerts: rows, Clocks: clocks.read, Dispatcher: a.dispatcher, Metrics: a.m, Now: a.mono.Now, Logger: a.logger,
		Facts: []func(*alerts.Snapshot){
			func(s *alerts.Snapshot) { s.Contract = a.contractInForce() }, silence.Fill, detections.Fill,
			func(s *alerts.Snapshot) { a.burns(s, detections) },
		},
	})
	a.alerts = group
	a.objectives.OnWorse(group.Hint)
	var on *gateway.Gateway
	start := func(ctx context.Context) error {
		topic, _ := a.graph.Topic(a.graph.Detections)
		if err := reader.Start(ctx, a.logs, a.cluster, topic.Partitions); err != nil {
			return err
		}
		on = gateway.New(a.cfg.Gateway, a.spec(a.graph.Alerting, state.Alerts, alerting.Schema), a.cluster, a.db, a.logs, group, a.m, a.logger)
		return nil
	}
	run := func(ctx context.Context) error {
		defer a.view.ListenClocks(func(int32, event.Time) {
			if silence.Due() {
				group.Hint()
			}
		})()
		return together(ctx, on.Run, reader.Run, a.dispatcher.Run,
			func(ctx context.Context) error { return group.Run(ctx, on, a.cfg.Alerting.Tick) })
	}
	return services.NewBasicService(start, run, func(error) error { reader.Stop(); return nil }), nil
}

// together runs functions until ctx ends or one of them fails.
func together(ctx context.Context, all ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(all))
	for i, f := range all {
		wg.Go(func() {
			if errs[i] = f(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// owners are those of the contract in force, with their secrets.
func (a *App) owners() map[string]*slo.Owner {
	if f := a.contractInForce(); f != nil {
		return f.Owners
	}
	return nil
}

// contractSince returns since when the contract in force is.
func (a *App) contractSince() event.Time {
	e, _ := a.contracts.Current()
	return e.Since
}

// mostHolders is up to where open workflows are counted for a page, in each partition.
const mostHolders = 10_000

// openHolders counts the open workflows that hold an item, in the partitions that are here.
func (a *App) openHolders(kind, key string) (n int64, more bool) {
	reads := a.held.Load()
	if reads == nil {
		return 0, true
	}
	for p := range a.graph.Workflows.Partitions {
		err := reads.Store(p, func(db *state.DB) error {
			here, err := workflows.OpenHolders(db, p, kind, key, mostHolders)
			n, more = n+int64(here), more || here == mostHolders
			return err
		})
		more = more || err != nil
	}
	return n, more
}

// burns adds how fast the objectives are spent.
func (a *App) burns(s *alerts.Snapshot, held *alerting.Detections) {
	if s.Contract == nil {
		return
	}
	s.Burns, s.BurnsKnown = a.objectives.Burns(s.Now)
	for i := range s.Burns {
		if o := s.Contract.Objective(s.Burns[i].SLO); o != nil && s.Burns[i].Holds {
			s.Burns[i].Open = held.Open(o.Workflow)
		}
	}
}

// partitionName names the partition that a workflow lives in.
func (a *App) partitionName(workflow string) string {
	w := a.graph.Workflows
	return metrics.Partition(w.Name, a.graph.Partitioner.PartitionString(workflow, w.Partitions))
}

// sourcesComplete tells through when the sources are complete on every partition. While catching up the clocks of completeness also move
// with the records' own times; no alert rests on that.
func (a *App) sourcesComplete() func() (complete event.Time, partitions []string, live bool) {
	var partitions []string
	for q := range a.view.Partitions() {
		partitions = append(partitions, metrics.Partition(a.graph.Sources.Name, q))
	}
	return func() (event.Time, []string, bool) {
		complete := event.Time(1<<63 - 1)
		lateness := a.latest(a.graph.Sources)
		for q := range a.view.Partitions() {
			applied, through, followed := a.view.Clock(q)
			if !followed {
				return 0, nil, false
			}
			complete = min(complete, through, applied-lateness)
		}
		return complete, partitions, true
	}
}

// clocks remembers how the clocks of this instance's partitions stood: when the brokers are gone, so are the partitions, and what they
// were last is all there is to say.
type clocks struct {
	a    *App
	mu   sync.Mutex
	seen map[string]alerts.Partition
}

// read returns how the clocks stand that this instance can see: those of its own partitions, and of all sources.
func (c *clocks) read() []alerts.Partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := map[string]alerts.Partition{}
	for _, of := range []topology.Group{c.a.graph.Sources, c.a.graph.Workflows} {
		for _, g := range c.a.groups.all() {
			if g.name == of.Name {
				c.own(g, of.Partitions, now)
			}
		}
	}
	for q := range c.a.view.Partitions() {
		name := metrics.Partition(c.a.graph.Sources.Name, q)
		if applied, _, live := c.a.view.Clock(q); live && now[name].Applied < applied {
			now[name] = alerts.Partition{Name: name, Applied: applied, Live: true, Why: now[name].Why}
		}
	}
	c.seen = now
	all := make([]alerts.Partition, 0, len(now))
	for _, name := range sortedKeys(now) {
		all = append(all, now[name])
	}
	return all
}

// own adds the partitions of a group that this instance has, or had until its session ended. Of a group that has not run yet all are
// taken as not live: which of them are this instance's nobody knows.
func (c *clocks) own(g group, partitions int32, now map[string]alerts.Partition) {
	running, own := g.gateway.Running(), g.gateway.Partitions()
	for id := range partitions {
		name := metrics.Partition(g.name, id)
		before, known := c.seen[name]
		if running && !slices.Contains(own, id) {
			continue // another instance's
		}
		p := alerts.Partition{Name: name}
		if running {
			var why clock.Reason
			p.Applied, _, p.Live = g.clock.Read(id)
			if _, why, _ = g.clock.Why(id); why != clock.Following {
				p.Why = why.String()
			}
		}
		if !p.Live && known { // it has been live, and is being restored
			p.Applied, p.Live = before.Applied, before.Live
		}
		now[name] = p
	}
}
