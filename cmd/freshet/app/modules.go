package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/contracts"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/processors/intake"
	"github.com/freshet-io/freshet/processors/sources"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/processors/workflows"
	"github.com/freshet-io/freshet/processors/workflows/read"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/grafana/dskit/modules"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kadm"
)

// Modules. All, Processor and Dispatcher are targets; the others come with them.
const (
	All        = "all"
	Processor  = "processor"
	Dispatcher = "dispatcher"

	brokerModule    = "broker"
	clusterModule   = "cluster"
	storeModule     = "store"
	guardModule     = "guard"
	pollerModule    = "poller"
	contractsModule = "contracts"
	viewModule      = "view"
	sourcesModule   = "sources"
	workflowsModule = "workflows"
	rekeyModule     = "rekey"
	queryModule     = "query"
	peersModule     = "peers"
	slosModule      = "slos"
	alertingModule  = "alerting"
	httpModule      = "http"
	otlpModule      = "otlp"
)

// wire declares the modules and what each needs.
func (a *App) wire() error {
	m := modules.NewManager(log.NewNopLogger())
	for name, start := range map[string]func() (services.Service, error){
		brokerModule: a.newBroker, clusterModule: a.newCluster, storeModule: a.newStore, guardModule: a.newGuard, pollerModule: a.newPoller,
		contractsModule: a.newContracts, viewModule: a.newView, sourcesModule: a.newSources, workflowsModule: a.newWorkflows, rekeyModule: a.newRekey, queryModule: a.newQuery, peersModule: a.newPeers,
		slosModule: a.newSLOs, alertingModule: a.newAlerting, httpModule: a.newHTTP, otlpModule: a.newOTLP,
	} {
		m.RegisterModule(name, start, modules.UserInvisibleModule)
	}
	m.RegisterModule(Processor, nil)
	m.RegisterModule(Dispatcher, nil)
	m.RegisterModule(All, nil)
	for name, needs := range map[string][]string{
		clusterModule:   {brokerModule},
		storeModule:     {clusterModule},
		guardModule:     {storeModule},
		pollerModule:    {clusterModule},
		contractsModule: {pollerModule},
		viewModule:      {contractsModule},
		sourcesModule:   {storeModule, contractsModule},
		workflowsModule: {storeModule, contractsModule, viewModule, peersModule},
		rekeyModule:     {storeModule, contractsModule},
		queryModule:     {sourcesModule, workflowsModule, rekeyModule, viewModule, slosModule},
		slosModule:      {contractsModule},
		Processor:       {guardModule, slosModule, sourcesModule, workflowsModule, rekeyModule, queryModule, httpModule, otlpModule},
		alertingModule:  {storeModule, contractsModule, viewModule, slosModule, peersModule},
		Dispatcher:      {alertingModule, httpModule, otlpModule},
		All:             {Processor, Dispatcher},
	} {
		if err := m.AddDependency(name, needs...); err != nil {
			return err
		}
	}
	a.modules = m
	return nil
}

// newBroker starts the embedded broker, unless others are named.
func (a *App) newBroker() (services.Service, error) {
	if brokers := a.cfg.brokers(); len(brokers) > 0 {
		var err error
		if a.cluster, err = a.cfg.Access.Cluster(brokers...); err != nil {
			return nil, err
		}
		return services.NewIdleService(nil, nil), nil
	}
	cfg := a.cfg.Embedded
	cfg.Dir = a.dir("broker")
	b, err := embedded.New(cfg, a.logger)
	if err != nil {
		return nil, err
	}
	a.broker = b
	// The embedded broker gives an earlier life's transactional id the same producer id and writes no abort marker for what it left open:
	// each life has ids of its own there.
	id := make([]byte, 6)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("nonce: %w", err)
	}
	a.nonce = "~" + hex.EncodeToString(id)
	return b, nil
}

// newCluster connects, refuses brokers that cannot do what is needed, and sees to the topics.
func (a *App) newCluster() (services.Service, error) {
	start := func(ctx context.Context) error {
		if a.broker != nil {
			a.cluster = access.Open(a.broker.Addr())
		}
		logs, err := tail.New(a.cluster.Addrs, a.logger, a.cluster.Kgo()...)
		if err != nil {
			return err
		}
		a.logs = logs
		if err := a.awaitBrokers(ctx); err != nil {
			return err
		}
		return a.untilAnswered(ctx, lookFor, a.lookAtTopics, answered)
	}
	stop := func(error) error {
		if a.logs != nil {
			a.logs.Close()
		}
		return nil
	}
	return services.NewIdleService(start, stop), nil
}

// lookAtTopics sees to the topics, and keeps what they are.
func (a *App) lookAtTopics(ctx context.Context) error {
	if err := a.checkTopics(ctx); err != nil {
		return err
	}
	var names []string
	for _, t := range a.graph.Topics() {
		names = append(names, t.Name)
	}
	steady, err := a.logs.Steady(ctx, names...)
	if err != nil {
		return err
	}
	a.steady = steady
	return a.countRekeyed(ctx)
}

// checkTopics creates what is missing on the embedded broker; on a cluster it says what differs.
func (a *App) checkTopics(ctx context.Context) error {
	adm, dir := kadm.NewClient(a.logs.Client()), filepath.Dir(a.cfg.ContractsFile)
	if a.broker != nil {
		changes, err := topology.Plan(ctx, adm, a.graph, dir)
		if err != nil {
			return err
		}
		if err := topology.Apply(ctx, a.logs.Client(), changes); err != nil {
			return err
		}
	}
	return topology.Ready(ctx, adm, a.graph, dir)
}

// countRekeyed looks up how many partitions the topics have that are rekeyed: they may have any number.
func (a *App) countRekeyed(ctx context.Context) error {
	a.rekeyed = map[string]int32{}
	for _, g := range a.graph.Rekey {
		info, err := a.logs.TopicInfo(ctx, g.Inputs...)
		if err != nil {
			return fmt.Errorf("look up the topics that are rekeyed: %w", err)
		}
		for name, t := range info {
			a.rekeyed[name] = int32(len(t.Partitions))
		}
	}
	return nil
}

// rowsMaxAge leaves a day for catching up what rows lack.
const rowsMaxAge = time.Duration(topology.TombstonesKept)*time.Millisecond - 24*time.Hour

// newStore opens the rows of this instance.
func (a *App) newStore() (services.Service, error) {
	start := func(ctx context.Context) error {
		var meta kadm.Metadata
		err := a.untilAnswered(ctx, askFor, func(ctx context.Context) (err error) {
			meta, err = kadm.NewClient(a.logs.Client()).BrokerMetadata(ctx)
			return err
		}, answered)
		if err != nil {
			return fmt.Errorf("ask the cluster for its id: %w", err)
		}
		// The rows are those of the tables, which can be made anew under the same names.
		w, s := a.graph.Workflows, a.graph.Sources
		identity := fmt.Sprintf("%s %s %x/%d %x/%d", meta.Cluster, a.cfg.Topics.Prefix, a.steady.Known(w.Table).ID, w.Partitions, a.steady.Known(s.Table).ID, s.Partitions)
		a.db, err = state.Open(state.Config{Dir: a.dir("rows"), MaxAge: rowsMaxAge, MemTableSize: uint64(a.cfg.MemTableBytes)}, identity, a.logger)
		return err
	}
	stop := func(error) error {
		if a.db == nil {
			return nil
		}
		return a.db.Close()
	}
	return services.NewIdleService(start, stop), nil
}

// newGuard fails, and ends the process with that, when the store cannot go on, or when a topic is not the one that it was. It is not the
// store itself, for that is closed last.
func (a *App) newGuard() (services.Service, error) {
	return services.NewBasicService(nil, func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-a.db.Failed():
			return a.db.Failure()
		case <-a.steady.Changed():
			return a.steady.Err()
		}
	}, nil), nil
}

// pollInterval is how often the ends of the inputs are asked for.
const pollInterval = 250 * time.Millisecond

func (a *App) newPoller() (services.Service, error) {
	return services.NewBasicService(func(context.Context) error {
		a.poller = clock.NewPoller(a.steady, a.mono.Now, pollInterval, a.tick, a.logger)
		return nil
	}, func(ctx context.Context) error { return a.poller.Run(ctx) }, nil), nil
}

// tick passes a round of the poller on to all groups.
func (a *App) tick(ctx context.Context) {
	var all sync.WaitGroup
	for _, g := range a.groups.all() {
		all.Go(func() { g.clock.Tick(ctx) })
	}
	all.Wait()
	a.showSources()
}

// showSources shows when something was last heard of each kind. Every instance says it of all of them, from its view: so it is known as
// soon as the view has been read, also of a source that is silent.
func (a *App) showSources() {
	if a.view == nil {
		return
	}
	type times struct{ update, life event.Time }
	latest := map[string]times{}
	a.view.EachKind(func(kind string, update event.Time, updated bool, life event.Time) {
		name := metrics.Other
		if kind != "" {
			name = a.m.Labels.Kind(kind)
		}
		t, known := latest[name]
		if !known {
			t = times{update, life}
		}
		latest[name] = times{max(t.update, update), max(t.life, life)}
		if updated {
			a.m.SourceLastUpdate.WithLabelValues(name).Set(float64(latest[name].update) / 1000)
		}
		a.m.SourceLastLife.WithLabelValues(name).Set(float64(latest[name].life) / 1000)
	})
}

// newContracts reads the contracts topic, puts the file's contract in force and follows the topic.
func (a *App) newContracts() (services.Service, error) {
	input := &clock.Input{}
	a.contractPart = clock.Part{Name: a.graph.Contracts + "/0", Input: input}
	start := func(ctx context.Context) error {
		topic, err := contracts.Open(a.graph.Contracts, a.cluster, a.logs, &a.contracts, input, a.mono.Now, a.logger)
		if err != nil {
			return err
		}
		a.topic = topic
		topic.Secrets = os.LookupEnv
		if err := a.startContract(ctx); err != nil {
			return err
		}
		a.poller.Register(tail.TopicPartition{Topic: a.graph.Contracts}, input)
		return nil
	}
	stop := func(error) error {
		if a.topic != nil {
			a.topic.Close()
		}
		return nil
	}
	run := func(ctx context.Context) error {
		var watching sync.WaitGroup
		defer watching.Wait()
		watching.Go(func() { a.watchContract(ctx) })
		return a.topic.Follow(ctx)
	}
	return services.NewBasicService(start, run, stop), nil
}

// newView holds all sources in memory.
func (a *App) newView() (services.Service, error) {
	a.view = sources.NewView(a.graph.Sources.Table, a.graph.Sources.Partitions, a.logger)
	return services.NewBasicService(nil, func(ctx context.Context) error {
		cfg, err := a.cfg.Gateway.Sarama(a.cluster, "")
		if err != nil {
			return err
		}
		return a.view.Run(ctx, a.cluster.Addrs, cfg, a.logs)
	}, nil), nil
}

// clockFor makes the clock of a group.
func (a *App) clockFor(group topology.Group) *clock.Group {
	inputs := make([]clock.GroupInput, len(group.Inputs))
	for i, name := range group.Inputs {
		t, _ := a.graph.Topic(name)
		inputs[i] = clock.GroupInput{Topic: name, Copies: t.Role == topology.Rekeyed}
	}
	return clock.NewGroup(group.Name, inputs, a.bounds, []clock.Part{a.contractPart}, a.origins(group), a.poller, a.m, a.logger)
}

// bounds is what the contract says of an input topic.
func (a *App) bounds(topic string) clock.Bounds {
	c := a.current()
	t, ok := c.graph.Topic(topic)
	if !ok {
		t, _ = a.graph.Topic(topic)
	}
	return clock.Bounds{Lateness: t.Lateness, Skew: c.file.MaxSkew()}
}

func (a *App) spec(group topology.Group, table state.Table, schema func() state.Schema) gateway.Spec {
	fence := group.Name + "/"
	return gateway.Spec{
		Name: group.Name, Inputs: group.Inputs, Virtual: group.Virtual, Table: group.Table, TableID: table, Schema: schema,
		Outputs: group.Outputs, Instance: a.cfg.InstanceID, Fence: fence, TxnID: fence + a.cfg.InstanceID + a.nonce, Peer: a.peerAddr,
		BatchBytes: a.graph.BatchBytes(),
	}
}

// runGroup is a group as a service. Build gets its clock.
func (a *App) runGroup(of topology.Group, build func(c *clock.Group) (gateway.Spec, gateway.Group)) services.Service {
	g := group{name: of.Name}
	return services.NewBasicService(func(context.Context) error {
		g.clock = a.clockFor(of)
		spec, callbacks := build(g.clock)
		g.gateway = gateway.New(a.cfg.Gateway, spec, a.cluster, a.db, a.logs, callbacks, a.m, a.logger)
		a.groups.add(g)
		return nil
	}, func(ctx context.Context) error {
		err := g.gateway.Run(ctx)
		_ = level.Debug(a.logger).Log("msg", "group stopped", "group", of.Name, "err", err)
		return err
	}, nil)
}

func (a *App) newSources() (services.Service, error) {
	g := a.graph.Sources
	return a.runGroup(g, func(c *clock.Group) (gateway.Spec, gateway.Group) {
		plan := intake.NewPlan(a.graph, g, a.graph.RekeyedSources, g.Partitions, a.m)
		group := sources.New(plan, a.events, a.contracts.VersionsLimit, c, a.m, a.now, a.logger)
		return a.spec(g, state.Sources, sources.Schema), group
	}), nil
}

func (a *App) newWorkflows() (services.Service, error) {
	g := a.graph.Workflows
	return a.runGroup(g, func(c *clock.Group) (gateway.Spec, gateway.Group) {
		a.reads = read.New(a.db, g.Partitions, a.cfg.Query.CacheBytes)
		a.held.Store(a.reads)
		group := workflows.New(workflows.Deps{
			Plan:   intake.NewPlan(a.graph, g, a.graph.RekeyedWorkflows, g.Partitions, a.m),
			Events: a.events, Contracts: &a.contracts, View: a.view, SourceTable: a.graph.Sources.Table,
			Partitioner: a.graph.Partitioner, Logs: a.logs, DB: a.db, Clock: c, Limits: freshness.DefaultLimits(),
			Verdicts: a.graph.Verdicts, Detections: workflows.Topic{Name: a.graph.Detections, Partitions: int32(a.cfg.Topics.Partitions)},
			Buckets: a.graph.Buckets, Reads: a.reads, CheckKey: a.query.Key(), Metrics: a.m, Now: a.now, Logger: a.logger,
		})
		spec := a.spec(g, state.Workflows, workflows.Schema)
		spec.Begin = group.Begin
		return spec, group
	}), nil
}
