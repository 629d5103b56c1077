package app

import (
	"context"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/processors/clock"
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
	return nil
}

// newQuery attaches the engine to the query server, and takes it away before the store is closed.
func (a *App) newQuery() (services.Service, error) {
	start := func(context.Context) error {
		w, s := a.graph.Workflows, a.graph.Sources
		a.query.Attach(query.Engine{
			Workflows: &rows{
				Reader: a.reads, clock: a.clockOf(w.Name), partitioner: a.graph.Partitioner, partitions: w.Partitions, lateness: a.latest(w),
				reach: &reach{graph: a.graph, logs: a.logs, view: a.view, rekeyed: a.rekeyed, clocks: a.clockOf},
			},
			Sources:   &items{View: a.view, partitioner: a.graph.Partitioner, lateness: a.latest(s)},
			Contracts: &a.contracts,
		})
		return nil
	}
	stop := func(error) error {
		a.query.Detach()
		a.reads.Close()
		return nil
	}
	return services.NewIdleService(start, stop), nil
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
