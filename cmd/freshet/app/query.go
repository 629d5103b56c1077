package app

import (
	"context"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/sources"
	"github.com/freshet-io/freshet/query"
	"github.com/freshet-io/freshet/topology"
	"github.com/grafana/dskit/services"
)

// newServer makes the query server. It answers from the start; an engine is attached once there is one.
func (a *App) newServer() error {
	s, err := query.New(a.cfg.Query, query.Deps{Now: a.mono.Now, Metrics: a.m, Logger: a.logger})
	if err != nil {
		return err
	}
	a.query = s
	s.Add(a.operations()...)
	s.Add(a.alertRoutes()...)
	return nil
}

// newQuery attaches the engine to the query server, and takes it away before the store is closed.
func (a *App) newQuery() (services.Service, error) {
	var changes query.Changes
	unhear := func() {}
	start := func(context.Context) error {
		unhear = a.view.Listen(func(sources.Change) { changes.Add() })
		w, s := a.graph.Workflows, a.graph.Sources
		a.query.Attach(query.Engine{
			Rows: &rows{
				Reader: a.reads, clock: a.clockOf(w.Name), partitioner: a.graph.Partitioner, partitions: w.Partitions, lateness: a.latest(w),
				reach: &reach{graph: a.graph, logs: a.steady, view: a.view, rekeyed: a.rekeyed, clocks: a.clockOf},
			},
			Instances:  a.instances(),
			Sources:    &items{View: a.view, partitioner: a.graph.Partitioner, lateness: a.latest(s)},
			Contracts:  &a.contracts,
			Records:    &records{graph: a.graph, logs: a.logs},
			Status:     a.status,
			Objectives: a.objectives.States,
			Feed:       newFeed(a.graph, a.logs, a.cluster),
			Changes:    &changes,
		})
		return nil
	}
	stop := func(error) error {
		unhear()
		a.query.Detach()
		a.reads.Close()
		return nil
	}
	return services.NewBasicService(start, func(ctx context.Context) error {
		a.query.Run(ctx)
		return nil
	}, stop), nil
}

// clockOf returns the clock of a group that runs here, nil if none of that name does.
func (a *App) clockOf(group string) *clock.Group {
	for _, g := range a.groups.all() {
		if g.name == group {
			return g.clock
		}
	}
	return nil
}

// latest is the greatest lateness of all that reaches a group, as it is or copied.
func (a *App) latest(group topology.Group) event.Time {
	var most freshness.Duration
	for _, from := range a.reaching(group) {
		most = max(most, a.bounds(from.Topic).Lateness)
	}
	return event.Time(most)
}

// status says how this instance stands.
func (a *App) status() query.Status {
	s := query.Status{Instance: a.cfg.InstanceID, Version: metrics.ReadBuild().Version}
	if cur, ok := a.contracts.Current(); ok {
		s.Contract = cur.Hash
	}
	err := a.Ready()
	if s.Ready = err == nil; !s.Ready {
		s.Why = err.Error()
	}
	now := a.mono.Now()
	for _, p := range a.Partitions() {
		one := query.PartitionStatus{
			Group: p.Group, Partition: p.ID, Owner: a.cfg.InstanceID, Live: p.Live, RecordsBehind: p.Behind, HeldBy: p.HeldBy, HeldWhy: p.HeldWhy,
			Positions: a.positions(p.Group, p.ID),
		}
		if p.Live {
			lag := max(0, float64(now-p.AppliedThrough)/1000)
			one.AppliedThrough, one.CompleteThrough, one.LagS = &p.AppliedThrough, &p.CompleteThrough, &lag
		}
		s.Partitions = append(s.Partitions, one)
	}
	return s
}

// positions returns the committed positions of a partition.
func (a *App) positions(group string, partition int32) map[string]int64 {
	all := map[string]int64{}
	for _, g := range a.graph.Groups {
		if g.Name != group {
			continue
		}
		for _, topic := range g.Inputs {
			if at, known := a.clockOf(group).Position(topic, partition); known {
				all[topic] = at
			}
		}
	}
	return all
}
