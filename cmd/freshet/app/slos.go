package app

import (
	"context"

	"github.com/freshet-io/freshet/processors/slos"
	"github.com/freshet-io/freshet/slo"
	"github.com/grafana/dskit/services"
)

// newSLOs follows how the objectives stand.
func (a *App) newSLOs() (services.Service, error) {
	a.objectives = slos.New(a.graph.Buckets, a.graph.Workflows.Partitions, a.contractInForce, a.m, a.mono.Now, a.logger)
	return services.NewBasicService(func(ctx context.Context) error {
		return a.objectives.Start(ctx, a.logs, a.cluster)
	}, a.objectives.Run, func(error) error {
		a.objectives.Stop()
		return nil
	}), nil
}

// contractInForce returns the contract in force, nil before there is one.
func (a *App) contractInForce() *slo.File {
	if e, ok := a.contracts.Current(); ok {
		return e.File
	}
	return nil
}

// Objectives returns how the objectives stand, once the modules run.
func (a *App) Objectives() *slos.Reader { return a.objectives }
