package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/alerts/dispatch"
	"github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/alerting"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/contracts"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/processors/slos"
	"github.com/freshet-io/freshet/processors/sources"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/processors/workflows/read"
	"github.com/freshet-io/freshet/query"
	"github.com/freshet-io/freshet/query/peer"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/grafana/dskit/modules"
	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// App is the engine.
type App struct {
	cfg    Config
	logger log.Logger
	reg    *prometheus.Registry
	m      *metrics.Metrics
	now    func() time.Time

	file  *slo.File
	text  []byte // of the contract file
	graph *topology.Graph

	modules  *modules.Manager
	services map[string]services.Service
	manager  *services.Manager
	running  chan struct{}
	waits    waits
	stopIn   time.Duration

	broker       *embedded.Broker
	cluster      access.Cluster
	nonce        string // behind the transactional ids, where the broker needs it
	db           *state.DB
	logs         *tail.Logs
	steady       *tail.Steady     // the same, as long as the topics are what they were
	rekeyed      map[string]int32 // topics that are rekeyed: their partitions
	mono         clock.Monotonic
	poller       *clock.Poller
	contracts    contracts.Log
	inForce      atomic.Pointer[inForce]
	refused      atomic.Pointer[string] // hash of a file that is in order and not proposed
	reload       chan struct{}
	contractPart clock.Part
	topic        *contracts.Topic
	view         *sources.View
	groups       groups
	reads        *read.Reader
	held         atomic.Pointer[read.Reader] // reads, for those who do not wait for them to be there
	query        *query.Server
	objectives   *slos.Reader
	alerts       *alerting.Group
	dispatcher   *dispatch.Dispatcher

	httpAddr string
	peerAddr string // where other instances reach this one, "" if they do not
	asker    *peer.Asker

	evaluators *query.Instances // who may evaluate alerts; nil if other instances are not asked
}

// New reads the contract and wires the modules of the target. It starts nothing.
func New(cfg Config, logger log.Logger) (*App, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &App{
		cfg: cfg, logger: logger, reg: prometheus.NewRegistry(), now: clock.Wall, running: make(chan struct{}), stopIn: stopIn, reload: make(chan struct{}, 1),
		mono: clock.System(),
	}
	a.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.m = metrics.New(a.reg)
	if err := a.readContract(); err != nil {
		return nil, err
	}
	if err := a.newServer(); err != nil {
		return nil, err
	}
	if err := a.wire(); err != nil {
		return nil, fmt.Errorf("wire target %s: %w", cfg.Target, err)
	}
	return a, nil
}

// Run starts the target and runs it until ctx ends or a module fails.
func (a *App) Run(ctx context.Context) error {
	limit, err := limitMemory(a.cfg.MemoryLimit)
	if err != nil {
		return err
	}
	a.fit(limit)
	if a.services, err = a.modules.InitModuleServices(a.cfg.Target); err != nil {
		return fmt.Errorf("build target %s: %w", a.cfg.Target, err)
	}
	all := make([]services.Service, 0, len(a.services))
	for _, s := range a.services {
		all = append(all, s)
	}
	if a.manager, err = services.NewManager(all...); err != nil {
		return fmt.Errorf("manage modules: %w", err)
	}
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, len(all))
	a.manager.AddListener(services.NewManagerListener(nil, nil, func(s services.Service) {
		failed <- fmt.Errorf("%s: %w", a.moduleOf(s), s.FailureCase())
		stop()
	}))
	if err := a.manager.StartAsync(context.Background()); err != nil {
		return fmt.Errorf("start modules: %w", err)
	}
	defer context.AfterFunc(stopping, a.manager.StopAsync)()
	go rest(stopping)
	if err := a.manager.AwaitHealthy(context.Background()); err == nil {
		close(a.running)
		_ = level.Info(a.logger).Log("msg", "started", "brokers", a.cluster, "http", a.httpAddr, "contract", a.current().file.Contract().Hash)
	}
	if err := a.awaitStopped(stopping); err != nil {
		return err
	}
	select {
	case err := <-failed:
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // it was asked to stop before it had started
		}
		return err
	default:
		return nil
	}
}

func (a *App) moduleOf(s services.Service) string {
	for name, other := range a.services {
		if other == s {
			return name
		}
	}
	return "module"
}

// Running is closed once every module runs; the engine may still be catching up then.
func (a *App) Running() <-chan struct{} { return a.running }

// Brokers returns the brokers the engine works with; of the embedded one, once it runs.
func (a *App) Brokers() []string { return a.cluster.Addrs }

// HTTPAddr returns where HTTP listens, once it does.
func (a *App) HTTPAddr() string { return a.httpAddr }

// Query returns the HTTP server's handler, as it is served to this machine.
func (a *App) Query() http.Handler { return a.query.Handler(true) }

// AddRoutes adds routes to the HTTP server, before Run.
func (a *App) AddRoutes(routes ...query.Route) { a.query.Add(routes...) }

// OnSourceChange calls f for every change of an item, or of a whole kind (key ""), once this instance has applied it, until the returned
// function is called. The engine must run; f must not block.
func (a *App) OnSourceChange(f func(kind, key string)) (stop func()) {
	return a.view.Listen(func(c sources.Change) { f(c.Kind, c.Key) })
}

// Graph returns the stream graph.
func (a *App) Graph() *topology.Graph { return a.graph }

// Registry returns the metrics.
func (a *App) Registry() *prometheus.Registry { return a.reg }

// events is the decoder's configuration.
func (a *App) events() event.Config {
	skew := time.Duration(a.current().file.MaxSkew()) * time.Millisecond
	if skew == 0 {
		skew = -1 // in the contract 0 means none, to the decoder the default
	}
	return event.Config{MaxSkew: skew, MaxValueBytes: a.cfg.Topics.MaxMessageBytes}
}

func (a *App) dir(name string) string {
	if a.cfg.DataDir == "" {
		return ""
	}
	return filepath.Join(a.cfg.DataDir, name)
}

// Partition says how one partition of a group stands on this instance.
type Partition struct {
	Group           string        `json:"group"`
	ID              int32         `json:"partition"`
	AppliedThrough  event.Time    `json:"applied_through"`
	CompleteThrough event.Time    `json:"complete_through"`
	Live            bool          `json:"live"`
	Behind          int64         `json:"records_behind"`
	HeldBy, HeldWhy string        `json:"-"`
	Refused         *gateway.Held `json:"-"` // a topic refuses a record of it
}

// Partitions returns how the partitions of this instance stand.
func (a *App) Partitions() []Partition {
	var all []Partition
	for _, g := range a.groups.all() {
		for _, id := range g.gateway.Partitions() {
			p := Partition{Group: g.name, ID: id}
			p.AppliedThrough, p.CompleteThrough, p.Live = g.clock.Read(id)
			var why clock.Reason
			p.HeldBy, why, p.Behind = g.clock.Why(id)
			p.HeldWhy = why.String()
			if held, ok := g.gateway.Partition(id).Held(); ok {
				p.Refused = &held
			}
			all = append(all, p)
		}
	}
	return all
}

var errNotReady = errors.New("not ready")

// Ready returns nil once every group runs, all its partitions are live and their clocks are within the bound; else it says what it waits
// for.
func (a *App) Ready() error {
	select {
	case <-a.running:
	default:
		return fmt.Errorf("%w: %s", errNotReady, a.starting())
	}
	for _, g := range a.groups.all() {
		if !g.gateway.Running() {
			return fmt.Errorf("%w: group %s: %s", errNotReady, g.name, g.gateway.Doing())
		}
	}
	now := a.mono.Now()
	for _, p := range a.Partitions() {
		if h := p.Refused; h != nil && h.Tries > 0 {
			return fmt.Errorf("%w: %s/%d is held back since %s: %s does not take a record of it (%s, tried %d times): %w",
				errNotReady, p.Group, p.ID, h.Since.UTC().Format(time.RFC3339), h.Topic, h.Reason, h.Tries, h.Err)
		}
		if !p.Live {
			return fmt.Errorf("%w: %s/%d is catching up, %d records behind (%s: %s)", errNotReady, p.Group, p.ID, p.Behind, p.HeldBy, p.HeldWhy)
		}
		if lag := time.Duration(now-p.AppliedThrough) * time.Millisecond; lag > a.cfg.ReadyLag {
			return fmt.Errorf("%w: %s/%d is %v behind (%s: %s)", errNotReady, p.Group, p.ID, lag, p.HeldBy, p.HeldWhy)
		}
	}
	return nil
}
