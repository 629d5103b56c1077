package app

import (
	"context"

	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/internal/otlp"
	"github.com/grafana/dskit/services"
)

// newOTLP sends metrics to a collector, if one is named.
func (a *App) newOTLP() (services.Service, error) {
	if !a.cfg.OTLP.Enabled() {
		return services.NewIdleService(nil, nil), nil
	}
	var e *otlp.Exporter
	return services.NewBasicService(func(ctx context.Context) (err error) {
		e, err = otlp.New(ctx, a.cfg.OTLP, a.reg, otlp.Who{Instance: a.cfg.InstanceID, Version: metrics.ReadBuild().Version}, a.m, a.logger)
		return err
	}, func(ctx context.Context) error { return e.Run(ctx) }, nil), nil
}
