package harness

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options say what engine a test wants.
type Options struct {
	Contract   string        // path of the contract file
	Partitions int           // of the workflow and source topics
	Prefix     string        // of topics and groups, so that a test leaves others alone on brokers that they share
	Brokers    string        // "": an embedded broker of the test's own, in memory
	Instance   string        // name among engines on the same brokers; "": engine
	HTTP       bool          // serve HTTP on a free port
	Access     access.Config // how the engine reaches Brokers
	Own        access.Config // how the test does
	Logger     log.Logger
	Config     func(*app.Config) // changes what follows from the rest
	Rekeyed    map[string]int32  // partitions of topics that the contract declares to be rekeyed, without the prefix
}

// Engine is an engine under test, with its broker and topics.
type Engine struct {
	App *app.App // the one that runs, or ran last

	t      *testing.T
	cfg    app.Config
	logger log.Logger
	graph  *topology.Graph
	client *kgo.Client
	own    access.Cluster // the brokers as the test reaches them
	expect int            // partitions of all groups

	end  context.CancelFunc
	done chan error
}

// New starts a broker, if none is named, and creates the topics. The engine itself is not started.
func New(t *testing.T, o Options) *Engine {
	t.Helper()
	e := &Engine{t: t, logger: o.Logger}
	if e.logger == nil {
		e.logger = log.NewNopLogger()
	}
	if o.Brokers == "" {
		o.Brokers = e.startBroker()
	}
	e.cfg.RegisterFlags(flag.NewFlagSet("engine", flag.PanicOnError))
	e.cfg.ContractsFile = o.Contract
	e.cfg.Brokers = o.Brokers
	e.cfg.Access = o.Access
	e.cfg.DataDir = t.TempDir()
	e.cfg.HTTPListen = ""
	if o.HTTP {
		e.cfg.HTTPListen = "127.0.0.1:0"
	}
	e.cfg.InstanceID = cmp.Or(o.Instance, "engine")
	e.cfg.Topics.Partitions = o.Partitions
	e.cfg.Topics.Prefix = o.Prefix
	e.cfg.MemoryLimit = "4GiB"
	if o.Config != nil {
		o.Config(&e.cfg)
	}
	own, err := o.Own.Cluster(e.Brokers()...)
	if err != nil {
		t.Fatal(err)
	}
	e.own = own
	client, err := kgo.NewClient(own.Kgo(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(32<<20))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	e.client = client
	e.UseContract(o.Contract)
	e.expect = 2 * o.Partitions
	for name, n := range o.Rekeyed {
		if _, err := e.Admin().CreateTopic(t.Context(), n, -1, nil, e.Name(name)); err != nil {
			t.Fatalf("create topic %s: %v", e.Name(name), err)
		}
		e.expect += int(n)
	}
	e.ApplyTopics(t.Context())
	return e
}

func (e *Engine) startBroker() string {
	e.t.Helper()
	cfg := embedded.Config{}
	cfg.RegisterFlags(flag.NewFlagSet("broker", flag.PanicOnError))
	cfg.Listen, cfg.Dir = "127.0.0.1:0", ""
	b, err := embedded.New(cfg, e.logger)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := services.StartAndAwaitRunning(context.WithoutCancel(e.t.Context()), b); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = services.StopAndAwaitTerminated(context.Background(), b) })
	return b.Addr()
}

// ApplyTopics makes the topics what the graph says, as freshet topics apply does.
func (e *Engine) ApplyTopics(ctx context.Context) {
	e.t.Helper()
	changes, err := topology.Plan(ctx, e.Admin(), e.graph, ".")
	if err == nil {
		err = topology.Apply(ctx, e.client, changes)
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

// UseContract is the contract file of the next start.
func (e *Engine) UseContract(file string) {
	e.t.Helper()
	e.cfg.ContractsFile = file
	a, err := app.New(e.cfg, e.logger)
	if err != nil {
		e.t.Fatal(err)
	}
	e.graph = a.Graph()
}

// Repartition is how many partitions the topics of the next start have.
func (e *Engine) Repartition(n int) {
	e.t.Helper()
	e.expect += 2 * (n - e.cfg.Topics.Partitions)
	e.cfg.Topics.Partitions = n
	e.UseContract(e.cfg.ContractsFile)
}

// LoseRows gives the next start an empty data directory, as on another machine.
func (e *Engine) LoseRows() { e.cfg.DataDir = e.t.TempDir() }

// Another returns one more instance on the same brokers, which is not started. Both ask each other from their next start on.
func (e *Engine) Another(instance string) *Engine {
	e.t.Helper()
	if e.cfg.Peer.Listen == "" {
		e.cfg.Peer.Listen = "127.0.0.1:0"
		e.cfg.Peer.SecretFile = filepath.Join(e.t.TempDir(), "secret")
		if err := os.WriteFile(e.cfg.Peer.SecretFile, []byte("of the instances of a test"), 0o600); err != nil {
			e.t.Fatal(err)
		}
	}
	other := &Engine{t: e.t, cfg: e.cfg, logger: e.logger, graph: e.graph, client: e.client, own: e.own, expect: e.expect}
	other.cfg.InstanceID, other.cfg.DataDir = instance, e.t.TempDir()
	return other
}

// Target is what the engine runs from its next start on.
func (e *Engine) Target(target string) *Engine {
	e.cfg.Target = target
	return e
}

// Brokers returns the brokers' addresses.
func (e *Engine) Brokers() []string { return strings.Split(e.cfg.Brokers, ",") }

// Graph returns the stream graph of the contract.
func (e *Engine) Graph() *topology.Graph { return e.graph }

// Name returns the full name of a topic or group of the documentation.
func (e *Engine) Name(declared string) string { return e.graph.Name(declared) }

// Admin returns a client for what topics and groups are asked.
func (e *Engine) Admin() *kadm.Client { return kadm.NewClient(e.client) }

// Client returns the test's client of the brokers.
func (e *Engine) Client() *kgo.Client { return e.client }

// Start starts the engine and waits until its modules run. It ends with the test at the latest.
func (e *Engine) Start(ctx context.Context) {
	e.t.Helper()
	if err := e.TryStart(ctx); err != nil {
		e.t.Fatalf("the engine ended: %v", err)
	}
}

// TryStart is Start for an engine that may refuse: it returns why.
func (e *Engine) TryStart(ctx context.Context) error {
	e.t.Helper()
	a, err := app.New(e.cfg, e.logger)
	if err != nil {
		e.t.Fatal(err)
	}
	// The engine ends by Stop alone, while its broker is still there: a test's context ends before the clean-up begins.
	run, end := context.WithCancel(context.WithoutCancel(ctx))
	e.App, e.done, e.end = a, make(chan error, 1), end
	go func() { e.done <- a.Run(run) }()
	select {
	case <-a.Running():
	case err := <-e.done:
		end()
		e.end = nil
		return err
	case <-ctx.Done():
		e.Stop()
		return ctx.Err()
	}
	e.t.Cleanup(e.Stop)
	return nil
}

// Stop stops the engine, if it runs.
func (e *Engine) Stop() {
	if e.end == nil {
		return
	}
	e.end()
	if err := <-e.done; err != nil {
		e.t.Errorf("the engine ended with: %v", err)
	}
	e.end = nil
}

// Running says whether the engine has been started and not stopped.
func (e *Engine) Running() bool { return e.end != nil }

// Until waits for a condition: it is asked every 10 ms until it returns "", and what it said last is what the test fails with.
func (e *Engine) Until(ctx context.Context, condition func() string) {
	e.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := condition()
		if missing == "" {
			return
		}
		select {
		case err := <-e.done:
			e.end() // nobody is left to be stopped
			e.end = nil
			e.t.Fatalf("the engine ended: %v", err)
		case <-ctx.Done():
			for _, p := range e.App.Partitions() {
				e.t.Logf("%+v", p)
			}
			e.t.Fatalf("%s; %v", missing, e.App.Ready())
		case <-tick.C:
		}
	}
}

// Await waits until every partition of every group has applied what was acknowledged before an instant.
func (e *Engine) Await(ctx context.Context, loaded event.Time) {
	e.t.Helper()
	e.Until(ctx, func() string {
		through := 0
		for _, p := range e.App.Partitions() {
			if p.Live && p.AppliedThrough > loaded {
				through++
			}
		}
		if through == e.expect {
			return ""
		}
		return fmt.Sprintf("%d of %d partitions have applied what was loaded", through, e.expect)
	})
}

// AwaitNow waits until what has been acknowledged by now is applied.
func (e *Engine) AwaitNow(ctx context.Context) {
	e.t.Helper()
	e.Await(ctx, event.Of(time.Now()))
}
