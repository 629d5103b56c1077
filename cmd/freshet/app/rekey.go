package app

import (
	"context"
	"fmt"

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
			copies := a.copiesOf(group.Inputs[0])
			t, _ := a.graph.Topic(copies)
			plan := intake.NewPlan(a.graph, group, copies, t.Partitions, a.m)
			return a.spec(group, 0, nil), rekey.New(plan, a.events, c, a.m)
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

// origins returns the clock of what reaches a group as copies; nil for a group that reads none.
func (a *App) origins(group topology.Group) *clock.Origins {
	all := a.reaching(group)
	for _, name := range group.Inputs {
		if t, _ := a.graph.Topic(name); t.Role == topology.Rekeyed {
			return clock.NewOrigins(a.steady, a.poller, all, a.bounds)
		}
	}
	return nil
}

// reaching returns the topics whose records reach a group, as they are or as copies: its own inputs, of which some may be misplaced, and
// those that are rekeyed for it.
func (a *App) reaching(group topology.Group) []clock.Origin {
	var all []clock.Origin
	for _, name := range group.Inputs {
		t, _ := a.graph.Topic(name)
		if t.Role != topology.Rekeyed {
			all = append(all, clock.Origin{Topic: name, Partitions: group.Partitions, Group: group.Name})
			continue
		}
		for _, r := range a.graph.Rekey {
			if from := r.Inputs[0]; a.copiesOf(from) == name {
				all = append(all, clock.Origin{Topic: from, Partitions: a.rekeyed[from], Group: r.Name})
			}
		}
	}
	return all
}

// copiesOf returns where the copies of a topic's records go.
func (a *App) copiesOf(topic string) string {
	if t, _ := a.graph.Topic(topic); t.Category == event.Source {
		return a.graph.RekeyedSources
	}
	return a.graph.RekeyedWorkflows
}
