package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/contracts"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
)

// readContract reads the contract file and makes the graph of it.
func (a *App) readContract() error {
	text, err := os.ReadFile(a.cfg.ContractsFile)
	if err != nil {
		return fmt.Errorf("-contracts.file: %w", err)
	}
	a.text = text
	a.file, a.graph, err = a.parseContract(text)
	return err
}

func (a *App) parseContract(text []byte) (*slo.File, *topology.Graph, error) {
	file, err := slo.Parse(text, a.cfg.ContractsFile, os.LookupEnv)
	if err != nil {
		return nil, nil, err
	}
	graph, err := topology.FromContract(a.cfg.Topics, file)
	if err != nil {
		return nil, nil, fmt.Errorf("graph of %s: %w", a.cfg.ContractsFile, err)
	}
	return file, graph, nil
}

// errFixed says that a contract differs in what cannot change while the engine runs.
var errFixed = errors.New("cannot change while the engine runs; restart every instance with the new file")

// fixed returns what of a graph differs from the engine's and cannot change while it runs.
func (a *App) fixed(g *topology.Graph) error {
	if g.Partitioner != a.graph.Partitioner {
		return fmt.Errorf("partitioner %s instead of %s: %w", g.Partitioner, a.graph.Partitioner, errFixed)
	}
	for i := range g.Inputs {
		is := &g.Inputs[i]
		was, ok := a.graph.Topic(is.Name)
		if !ok || was.Role != topology.Input {
			return fmt.Errorf("topic %s: %w", is.Declared, errFixed)
		}
		if was.Category != is.Category || was.Rekey != is.Rekey || was.DeadLetter != is.DeadLetter {
			return fmt.Errorf("category, rekey and dead_letter of topic %s: %w", is.Declared, errFixed)
		}
	}
	for i := range a.graph.Inputs {
		if was := &a.graph.Inputs[i]; len(g.Inputs) != len(a.graph.Inputs) {
			if _, ok := g.Topic(was.Name); !ok {
				return fmt.Errorf("topic %s is no longer named: %w", was.Declared, errFixed)
			}
		}
	}
	return nil
}

// startContract proposes the file's contract. One that had been in force and no longer is does not come back by itself: the engine starts
// with the one in force.
func (a *App) startContract(ctx context.Context) error {
	if err := a.topic.CatchUp(ctx); err != nil {
		return err
	}
	err := a.topic.Propose(ctx, a.file, a.text)
	switch {
	case errors.Is(err, contracts.ErrSuperseded):
		_ = level.Warn(a.logger).Log("msg", "the file is not proposed; the engine goes by the contract in force", "file", a.cfg.ContractsFile, "err", err)
		a.refuse(a.file.Hash())
	case err != nil:
		return err
	}
	if err := a.topic.CatchUp(ctx); err != nil {
		return err
	}
	if err := a.useContract(); err != nil {
		return fmt.Errorf("the contract in force is not that of %s: %w", a.cfg.ContractsFile, err)
	}
	a.contracts.Listen(func(event.Time) {
		err := a.useContract()
		if refused := a.refused.Load(); err == nil && refused != nil && *refused == a.current().file.Hash() {
			a.m.ContractRefused.Set(0) // it has been accepted since
		}
		if err != nil {
			a.m.ContractRefused.Set(1)
			_ = level.Error(a.logger).Log("msg", "another contract is in force, and this instance cannot follow all of it", "err", err)
		}
	})
	return nil
}

// refuse notes that a file is not proposed that is in order.
func (a *App) refuse(hash string) {
	a.refused.Store(&hash)
	a.m.ContractRefused.Set(1)
}

// useContract makes the contract in force the one whose names, lateness and skew the engine goes by.
func (a *App) useContract() error {
	cur, ok := a.contracts.Current()
	if !ok {
		return nil
	}
	graph, err := topology.FromContract(a.cfg.Topics, cur.File)
	if err != nil {
		return fmt.Errorf("graph of contract %s: %w", cur.Hash, err)
	}
	var types, kinds, owners []string
	for t := range cur.Contract.Classes {
		types = append(types, t)
	}
	for k := range cur.Contract.Contexts {
		kinds = append(kinds, k)
	}
	for o := range cur.File.Owners {
		owners = append(owners, o)
	}
	a.m.Labels.Set(types, kinds, owners)
	a.m.SetContract(cur.Hash)
	a.showBounds(cur.Contract)
	a.inForce.Store(&inForce{file: cur.File, graph: graph})
	for _, g := range a.groups.all() {
		g.clock.Bind()
	}
	return a.fixed(graph)
}

// showBounds shows in the metrics what a contract bounds, so that dashboards can draw it beside what is.
func (a *App) showBounds(c *freshness.Contract) {
	for _, gauge := range []*prometheus.GaugeVec{a.m.BoundSeconds, a.m.BoundVersions, a.m.MaxSilence} {
		gauge.Reset()
	}
	for kind, context := range c.Contexts {
		if context.HasMaxSilence {
			a.m.MaxSilence.WithLabelValues(a.m.Labels.Kind(kind)).Set(context.MaxSilence.Seconds())
		}
	}
	for workflow, classes := range c.Classes {
		for kind, of := range classes[""].Kinds {
			w, k, b := a.m.Labels.Workflow(workflow), a.m.Labels.Kind(kind), of.Bounds
			if b.HasStaleness {
				a.m.BoundSeconds.WithLabelValues(w, k, metrics.MaxStaleness).Set(b.MaxStaleness.Seconds())
			}
			if b.HasAge {
				a.m.BoundSeconds.WithLabelValues(w, k, metrics.MaxAge).Set(b.MaxAge.Seconds())
			}
			if b.HasVersions {
				a.m.BoundVersions.WithLabelValues(w, k).Set(float64(b.MaxVersionsBehind))
			}
		}
	}
}

// inForce is the contract that the engine goes by.
type inForce struct {
	file  *slo.File
	graph *topology.Graph
}

// current returns the contract that the engine goes by: the file's, before one is in force.
func (a *App) current() inForce {
	if c := a.inForce.Load(); c != nil {
		return *c
	}
	return inForce{file: a.file, graph: a.graph}
}

// reloadPace is how often the contract file is looked at.
const reloadPace = 2 * time.Second

// Reload looks at the contract file now, and says again what is wrong with it.
func (a *App) Reload() {
	select {
	case a.reload <- struct{}{}:
	default:
	}
}

// watchContract proposes the file's contract when the file changes. A bad file is refused whole: the contract in force stays.
func (a *App) watchContract(ctx context.Context) {
	tick := time.NewTicker(reloadPace)
	defer tick.Stop()
	last := a.text
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-a.reload:
			asked = true
		case <-tick.C:
		}
		text, err := os.ReadFile(a.cfg.ContractsFile)
		if err == nil && bytes.Equal(text, last) && !asked {
			continue
		}
		if err == nil {
			last = text
			err = a.propose(ctx, text)
		} else if last == nil && !asked {
			continue // said already
		} else {
			last = nil
		}
		refused := 0.0
		if err != nil && ctx.Err() == nil {
			refused = 1
			_ = level.Error(a.logger).Log("msg", "contract refused, the one in force stays", "file", a.cfg.ContractsFile, "err", err)
		}
		a.m.ContractRefused.Set(refused)
	}
}

func (a *App) propose(ctx context.Context, text []byte) error {
	file, graph, err := a.parseContract(text)
	if err != nil {
		return err
	}
	if err := a.fixed(graph); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := a.topic.Propose(ctx, file, text); err != nil {
		hash := file.Hash()
		a.refused.Store(&hash)
		return err
	}
	_ = level.Info(a.logger).Log("msg", "contract read", "file", a.cfg.ContractsFile, "hash", file.Contract().Hash)
	return nil
}
