package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/processors/intake"
	"github.com/freshet-io/freshet/processors/rekey"
	"github.com/freshet-io/freshet/topology"
	"github.com/grafana/dskit/services"
)

// newRekey runs one group for each topic that is rekeyed: goka wants the inputs of a group to be partitioned alike, and these are not.
func (a *App) newRekey() (services.Service, error) {
	if len(a.graph.Rekey) == 0 {
		return services.NewIdleService(nil, nil), nil
	}
	var all []services.Service
	for _, group := range a.graph.Rekey {
		all = append(all, a.runGroup(group, func(c *clock.Group) (gateway.Spec, gateway.Group) {
			copies, partitions := a.graph.RekeyedWorkflows, a.graph.Workflows.Partitions
			if t, _ := a.graph.Topic(group.Inputs[0]); t.Category == event.Source {
				copies, partitions = a.graph.RekeyedSources, a.graph.Sources.Partitions
			}
			plan := intake.NewPlan(a.graph, group, copies, partitions, a.m)
			return a.spec(group, 0, nil), rekey.New(plan, a.events, c, a.m, a.now)
		}))
	}
	manager, err := services.NewManager(all...)
	if err != nil {
		return nil, fmt.Errorf("rekey groups: %w", err)
	}
	watcher := services.NewFailureWatcher()
	watcher.WatchManager(manager)
	return services.NewBasicService(func(ctx context.Context) error {
		return services.StartManagerAndAwaitHealthy(ctx, manager)
	}, func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-watcher.Chan():
			return err
		}
	}, func(error) error { return services.StopManagerAndAwaitStopped(context.Background(), manager) }), nil
}

// afar returns the clocks that reach a group with the copies it reads: one of each partition of each topic that is rekeyed for it.
func (a *App) afar(group topology.Group) []clock.Part {
	var parts []clock.Part
	for _, r := range a.graph.Rekey {
		t, _ := a.graph.Topic(r.Inputs[0])
		copies := a.graph.RekeyedWorkflows
		if t.Category == event.Source {
			copies = a.graph.RekeyedSources
		}
		if !slices.Contains(group.Inputs, copies) {
			continue
		}
		for p := range a.rekeyed[t.Name] {
			parts = append(parts, clock.Part{Name: intake.ClockName(t.Name, p), Lateness: t.Lateness, Skew: a.file.MaxSkew()})
		}
	}
	return parts
}
