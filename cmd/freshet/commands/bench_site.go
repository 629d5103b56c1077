package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/query"
	"github.com/freshet-io/freshet/topology"
)

// measurement is what the commands that measure have in common.
type measurement struct {
	cfg    app.Config
	log    logFlags
	format cli.Format
	now    func() time.Time
	flags  *flag.FlagSet
}

func (m *measurement) register(f *flag.FlagSet) {
	m.flags = f
	m.cfg.RegisterFlags(f)
	m.log.register(f)
	m.format.RegisterFlags(f)
}

// figure is a result, with the goal that it is held to.
type figure struct {
	Figure string  `json:"figure"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Goal   string  `json:"goal,omitempty"`
}

// figures writes results one after the other.
type figures struct{ *cli.Results }

func (m *measurement) figures(stdio *cli.Stdio) figures {
	return figures{m.format.Results(stdio, "FIGURE", "VALUE", "UNIT", "GOAL")}
}

func (f figures) say(name string, value float64, unit, goal string) error {
	return f.Add(figure{name, value, unit, goal}, name, strconv.FormatFloat(value, 'f', 4, 64), unit, dash(goal))
}

// seconds says durations.
func (f figures) seconds(name string, d time.Duration, goal string) error {
	return f.say(name, d.Seconds(), "s", goal)
}

// site is where something is measured: brokers with the topics of an engine, and a directory for its rows.
type site struct {
	cfg     app.Config
	logger  log.Logger
	dir     string
	cluster access.Cluster
	graph   *topology.Graph
	now     func() time.Time
	routes  []query.Route // more of the engine's HTTP server
	named   bool          // the brokers are
	undo    []func() error
}

// open makes a site with topics of its own, on the brokers that are named or on embedded ones. It is gone when it is closed.
func (m *measurement) open(ctx context.Context, contract string, stdio *cli.Stdio) (s *site, err error) {
	s = &site{cfg: m.cfg, now: m.now}
	if s.logger, err = m.log.logger(stdio.Err); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "freshet-bench-*"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	s.undo = append(s.undo, func() error { return os.RemoveAll(s.dir) })
	if err := s.lay(ctx, contract); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *site) lay(ctx context.Context, contract string) error {
	s.cfg.ContractsFile, s.cfg.DataDir, s.cfg.HTTPListen = filepath.Join(s.dir, "contracts.yaml"), filepath.Join(s.dir, "data"), ""
	if err := os.WriteFile(s.cfg.ContractsFile, []byte(contract), 0o600); err != nil {
		return fmt.Errorf("write the contract: %w", err)
	}
	s.named = s.cfg.Brokers != ""
	if s.named {
		s.cfg.Topics.Prefix += fmt.Sprintf("bench-%s.", strconv.FormatInt(s.now().UnixNano(), 36))
	} else if err := s.embed(ctx); err != nil {
		return err
	}
	engine, err := app.New(s.cfg, s.logger)
	if err != nil {
		return cli.Usage(err)
	}
	s.graph = engine.Graph()
	if s.cluster, err = (&kafkaFlags{brokers: s.cfg.Brokers, access: s.cfg.Access}).cluster(); err != nil {
		return err
	}
	if s.named {
		s.undo = append(s.undo, s.deleteTopics)
	}
	return cli.Unavailable(bench.CreateTopics(ctx, s.cluster, s.graph))
}

// embed starts an embedded broker.
func (s *site) embed(ctx context.Context) error {
	cfg := s.cfg.Embedded
	cfg.Listen, cfg.Dir = "127.0.0.1:0", filepath.Join(s.dir, "broker")
	broker, err := embedded.New(cfg, s.logger)
	if err != nil {
		return cli.Usage(err)
	}
	if err := services.StartAndAwaitRunning(ctx, broker); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	s.cfg.Brokers = broker.Addr()
	s.undo = append(s.undo, func() error { return services.StopAndAwaitTerminated(context.Background(), broker) })
	return nil
}

func (s *site) deleteTopics() error {
	var names []string
	for _, t := range s.graph.Topics() {
		names = append(names, t.Name)
	}
	return s.admin(func(admin *kadm.Client) error {
		_, err := admin.DeleteTopics(context.Background(), names...)
		return err
	})
}

// keepWhole keeps a real Kafka from compacting a topic. (An embedded broker's compaction leaves nothing that takes long to read.)
func (s *site) keepWhole(ctx context.Context, topic string) error {
	if !s.named {
		return nil
	}
	week := strconv.FormatInt((7 * 24 * time.Hour).Milliseconds(), 10)
	return s.admin(func(admin *kadm.Client) error {
		changed, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "min.compaction.lag.ms", Value: &week}}, topic)
		if err == nil {
			_, err = changed.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
		}
		return err
	})
}

func (s *site) admin(f func(*kadm.Client) error) error {
	client, err := kgo.NewClient(s.cluster.Kgo()...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", s.cluster, err)
	}
	defer client.Close()
	return f(kadm.NewClient(client))
}

func (s *site) close() error {
	var err error
	for i := len(s.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, s.undo[i]())
	}
	return err
}

// running is an engine of this process at work.
type running struct {
	*app.App
	began time.Time
	end   context.CancelFunc
	done  chan error
}

// start starts an engine.
func (s *site) start(ctx context.Context) (*running, error) {
	engine, err := app.New(s.cfg, s.logger)
	if err != nil {
		return nil, cli.Usage(err)
	}
	engine.AddRoutes(s.routes...)
	r := &running{App: engine, began: s.now(), done: make(chan error, 1)}
	ctx, r.end = context.WithCancel(ctx)
	go func() { r.done <- engine.Run(ctx) }()
	return r, nil
}

// stop ends it as an operator would.
func (r *running) stop() error {
	r.end()
	return <-r.done
}

// until waits until something is so, and fails if the engine ends before.
func (r *running) until(ctx context.Context, gap time.Duration, so func() (bool, error)) error {
	t := time.NewTicker(gap)
	defer t.Stop()
	for {
		if ok, err := so(); err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-r.done:
			r.done <- err
			return cli.Unavailable(fmt.Errorf("the engine stopped: %w", err))
		case <-t.C:
		}
	}
}

// untilGauge waits until a gauge, summed up over its labels, has come to a value.
func (r *running) untilGauge(ctx context.Context, stdio *cli.Stdio, name string, want float64) error {
	progress := stdio.Progress(name, r.began)
	defer progress.Clear()
	return r.until(ctx, 50*time.Millisecond, func() (bool, error) { // each look takes CPU from what is measured
		sum, err := total(r.Registry(), name)
		progress.Say(int64(sum), sum/want, time.Now())
		return sum >= want, err
	})
}

// untilCalm waits until no more than so many records are committed in a second.
func (r *running) untilCalm(ctx context.Context, most float64) error {
	was := -1.0
	return r.until(ctx, time.Second, func() (bool, error) {
		is, err := total(r.Registry(), "freshet_commit_records_total")
		calm := was >= 0 && is-was <= most
		was = is
		return calm, err
	})
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
