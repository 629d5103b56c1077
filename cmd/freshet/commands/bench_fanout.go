package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/topology"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type benchFanout struct {
	cfg        app.Config
	log        logFlags
	dependants string
	bound      time.Duration
	rate       int
	format     cli.Format
	now        func() time.Time
}

func benchFanoutCommand() *cli.Command {
	b := &benchFanout{now: time.Now}
	return &cli.Command{
		Name:    "bench fanout",
		Summary: "measure what one change costs that many depend on",
		About: `Has many open workflows hold one item, publishes a new version of it, and waits until all of them are detections, while a few other
workflows go on. It says what was written in the time before the change, in as long a time after it (a change writes nothing for those who
hold the item), and when the bound is crossed; how long it took from then until every workflow was found; and how long records of the other
workflows took until they were applied. Broker and engine share the process.`,
		Example: "freshet bench fanout -fanout.dependants 1000,100000,1000000",
		Flags: func(f *flag.FlagSet) {
			b.cfg.RegisterFlags(f)
			b.log.register(f)
			f.StringVar(&b.dependants, "fanout.dependants", "1000,100000", "How many workflows hold the item, one figure for each run.")
			f.DurationVar(&b.bound, "fanout.max-staleness", 8*time.Second, "For how long an item may have been superseded.")
			f.IntVar(&b.rate, "fanout.rate", 200, "Events a second of the other workflows.")
			b.format.RegisterFlags(f)
		},
		Run: b.run,
	}
}

// fanned is a result.
type fanned struct {
	Dependants    int     `json:"dependants"`
	BeforeRows    float64 `json:"records_before"`
	ChangeRows    float64 `json:"records_after_change"`
	CrossingRows  float64 `json:"records_at_crossing"`
	Found         float64 `json:"found_s"`
	Said          float64 `json:"committed_s"`
	BeforeP99     float64 `json:"live_p99_before_s"`
	ChangeP99     float64 `json:"live_p99_after_change_s"`
	CrossingP99   float64 `json:"live_p99_at_crossing_s"`
	ResidentBytes int64   `json:"resident_bytes"`
}

func (b *benchFanout) run(ctx context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) > 0 {
		return cli.Usagef("%q: bench fanout takes no arguments", args[0])
	}
	if b.bound < 5*time.Second || b.rate < 1 {
		return cli.Usagef("-fanout.max-staleness %s: at least 5s; -fanout.rate %d: at least 1", b.bound, b.rate)
	}
	results := b.format.Results(stdio, "DEPENDANTS", "RECORDS BEFORE", "AFTER CHANGE", "AT CROSSING", "ALL FOUND s", "COMMITTED s", "LIVE P99 BEFORE s", "AFTER CHANGE s", "AT CROSSING s", "RSS MiB")
	for text := range strings.SplitSeq(b.dependants, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return cli.Usagef("-fanout.dependants %q: not a number of workflows", text)
		}
		m, err := b.one(ctx, n, stdio)
		if err != nil {
			return err
		}
		seconds := func(s float64) string { return fmt.Sprintf("%.3f", s) }
		if err := results.Add(m, cli.Count(int64(n)), cli.Count(int64(m.BeforeRows)), cli.Count(int64(m.ChangeRows)), cli.Count(int64(m.CrossingRows)), seconds(m.Found), seconds(m.Said),
			seconds(m.BeforeP99), seconds(m.ChangeP99), seconds(m.CrossingP99), fmt.Sprint(m.ResidentBytes>>20)); err != nil {
			return err
		}
	}
	return results.Flush()
}

// one runs one engine on one broker.
func (b *benchFanout) one(ctx context.Context, n int, stdio *cli.Stdio) (m fanned, err error) {
	dir, err := os.MkdirTemp("", "freshet-bench-*")
	if err != nil {
		return m, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	logger, err := b.log.logger(stdio.Err)
	if err != nil {
		return m, err
	}
	cfg := b.cfg
	cfg.ContractsFile, cfg.DataDir, cfg.HTTPListen = filepath.Join(dir, "contracts.yaml"), filepath.Join(dir, "data"), ""
	if err := os.WriteFile(cfg.ContractsFile, []byte(bench.FanoutContract(b.bound)), 0o600); err != nil {
		return m, fmt.Errorf("write the contract: %w", err)
	}
	broker := cfg.Embedded
	broker.Listen, broker.Dir = "127.0.0.1:0", filepath.Join(dir, "broker")
	server, err := embedded.New(broker, logger)
	if err != nil {
		return m, cli.Usage(err)
	}
	if err := services.StartAndAwaitRunning(ctx, server); err != nil {
		return m, fmt.Errorf("start the broker: %w", err)
	}
	defer func() { err = errors.Join(err, services.StopAndAwaitTerminated(context.Background(), server)) }()
	cfg.Brokers = server.Addr()
	engine, err := app.New(cfg, logger)
	if err != nil {
		return m, cli.Usage(err)
	}
	cluster, err := (&kafkaFlags{brokers: cfg.Brokers, access: cfg.Access}).cluster()
	if err != nil {
		return m, err
	}
	if err := createTopics(ctx, cfg.Brokers, engine.Graph()); err != nil {
		return m, cli.Unavailable(err)
	}
	f, err := bench.NewFanout(cluster, engine.Graph())
	if err != nil {
		return m, cli.Unavailable(err)
	}
	defer f.Close()
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- engine.Run(running) }()
	defer func() { stop(); err = errors.Join(err, <-done) }()
	return b.measure(ctx, engine, f, n, stdio)
}

func createTopics(ctx context.Context, brokers string, g *topology.Graph) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", brokers, err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	changes, err := topology.Plan(ctx, adm, g, ".")
	if err != nil {
		return err
	}
	return topology.Apply(ctx, adm, changes)
}

// measure takes the figures of the four times: before the change, after it, at the crossing, until all are found.
func (b *benchFanout) measure(ctx context.Context, engine *app.App, f *bench.Fanout, n int, stdio *cli.Stdio) (m fanned, err error) {
	m.Dependants = n
	progress := stdio.Progress("workflows", b.now())
	at := b.now().Add(-time.Minute)
	if err := f.Update(ctx, 1, at.Add(-time.Minute)); err != nil {
		return m, cli.Unavailable(err)
	}
	if err := f.Hold(ctx, n, at, func(i int64) { progress.Say(i, float64(i)/float64(n), b.now()) }); err != nil {
		return m, cli.Unavailable(err)
	}
	progress.Clear()
	if err := b.until(ctx, engine, stdio, "freshet_open_workflows", float64(n)); err != nil {
		return m, err
	}
	live, end := context.WithCancel(ctx)
	defer end()
	go f.Live(live, b.rate, b.now)
	quiet := b.bound - 2*time.Second
	if err := b.pause(ctx, 3*time.Second); err != nil { // until what was held is committed
		return m, err
	}
	if m.BeforeRows, m.BeforeP99, err = b.during(engine, func() error { return b.pause(ctx, quiet) }); err != nil {
		return m, err
	}
	changed := b.now()
	if m.ChangeRows, m.ChangeP99, err = b.during(engine, func() error {
		if err := f.Update(ctx, 2, changed); err != nil {
			return cli.Unavailable(err)
		}
		return b.pause(ctx, quiet)
	}); err != nil {
		return m, err
	}
	crossed := changed.Add(b.bound + time.Second) // a second is the contract's lateness
	m.CrossingRows, m.CrossingP99, err = b.during(engine, func() error {
		if err := b.until(ctx, engine, stdio, "freshet_stale_holdings", float64(n)); err != nil {
			return err
		}
		m.Found = b.now().Sub(crossed).Seconds()
		return b.committed(ctx, engine)
	})
	m.Said = b.now().Sub(crossed).Seconds()
	m.ResidentBytes, _ = bench.Memory()
	return m, err
}

func (b *benchFanout) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// until waits until a gauge has come to a value.
func (b *benchFanout) until(ctx context.Context, engine *app.App, stdio *cli.Stdio, name string, want float64) error {
	progress := stdio.Progress(name, b.now())
	defer progress.Clear()
	for {
		sum, _, err := gathered(engine.Registry(), name)
		if err != nil {
			return err
		}
		if sum >= want {
			return nil
		}
		progress.Say(int64(sum), sum/want, b.now())
		if err := b.pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%s is %v, not %v: %w", name, sum, want, err)
		}
	}
}

// committed waits until no more is committed than the live workflows need.
func (b *benchFanout) committed(ctx context.Context, engine *app.App) error {
	was := -1.0
	for {
		is, _, err := gathered(engine.Registry(), "freshet_commit_records_total")
		if err != nil {
			return err
		}
		if was >= 0 && is-was <= 4*float64(b.rate) {
			return nil
		}
		was = is
		if err := b.pause(ctx, 2*time.Second); err != nil {
			return err
		}
	}
}

// during returns how many records were committed while f ran, and the p99 from append to applied of what was applied.
func (b *benchFanout) during(engine *app.App, f func() error) (records, p99 float64, err error) {
	rows, _, err := gathered(engine.Registry(), "freshet_commit_records_total")
	if err != nil {
		return 0, 0, err
	}
	_, was, err := gathered(engine.Registry(), "freshet_engine_lag_seconds")
	if err != nil {
		return 0, 0, err
	}
	if err := f(); err != nil {
		return 0, 0, err
	}
	after, _, err := gathered(engine.Registry(), "freshet_commit_records_total")
	if err != nil {
		return 0, 0, err
	}
	_, is, err := gathered(engine.Registry(), "freshet_engine_lag_seconds")
	return after - rows, quantile(was, is, 0.99), err
}

// gathered sums a series up; of histograms it returns how many were at most each bound.
func gathered(reg prometheus.Gatherer, name string) (sum float64, buckets map[float64]uint64, err error) {
	families, err := reg.Gather()
	if err != nil {
		return 0, nil, fmt.Errorf("read the metrics: %w", err)
	}
	buckets = map[float64]uint64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			for _, b := range m.GetHistogram().GetBucket() {
				buckets[b.GetUpperBound()] += b.GetCumulativeCount()
			}
		}
	}
	return sum, buckets, nil
}

// quantile returns the least bound of a histogram below which so large a share lies of what came between two looks.
func quantile(was, is map[float64]uint64, q float64) float64 {
	total, best := uint64(0), 0.0
	for bound, n := range is {
		total, best = max(total, n-was[bound]), max(best, bound)
	}
	for bound, n := range is {
		if float64(n-was[bound]) >= q*float64(total) {
			best = min(best, bound)
		}
	}
	return best
}
