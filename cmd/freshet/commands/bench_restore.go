package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/tail"
)

type benchRestore struct {
	measurement
	workflows  int
	items      int
	cpuProfile string
}

func benchRestoreCommand() *cli.Command {
	b := &benchRestore{measurement: measurement{now: time.Now}}
	return &cli.Command{
		Name:    "bench restore",
		Summary: "measure how long an engine takes to be ready again",
		About: `Has many open workflows, ends the engine, and starts it again: once with its rows as they are (warm), and once without them, so that
they come back from the changelog (cold). Says how long it took to be ready from the moment when the group had assigned the partitions, and
how fast the changelog was restored beside how fast it can be read by sarama when nothing is done with it. The changelog is not compacted
meanwhile: sarama cannot go on behind a large batch of which compaction has left little.`,
		Example: "freshet bench restore -kafka.brokers 127.0.0.1:9092 -restore.workflows 1000000",
		Flags: func(f *flag.FlagSet) {
			b.register(f)
			f.IntVar(&b.workflows, "restore.workflows", 1_000_000, "Open workflows.")
			f.IntVar(&b.items, "restore.items", 1000, "How many items they hold, one each.")
			f.StringVar(&b.cpuProfile, "cpuprofile", "", "File for a CPU profile of the cold start.")
		},
		Run: b.run,
	}
}

func (b *benchRestore) run(ctx context.Context, args []string, stdio *cli.Stdio) (err error) {
	if len(args) > 0 {
		return cli.Usagef("%q: bench restore takes no arguments", args[0])
	}
	if b.workflows < 1 || b.items < 1 {
		return cli.Usagef("-restore.workflows %d, -restore.items %d: at least 1", b.workflows, b.items)
	}
	site, err := b.open(ctx, bench.HeldContract("max_age: 10d", time.Second), stdio)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	if err := site.keepWhole(ctx, site.graph.Workflows.Table); err != nil {
		return cli.Unavailable(err)
	}
	if err := b.fill(ctx, site, stdio); err != nil {
		return err
	}
	out := b.figures(stdio)
	settle()
	warm, err := b.restart(ctx, site)
	if err != nil {
		return err
	}
	reading, err := b.read(ctx, site)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(site.cfg.DataDir); err != nil {
		return fmt.Errorf("remove the rows: %w", err)
	}
	settle()
	stopProfile, err := profileCPU(b.cpuProfile)
	if err != nil {
		return err
	}
	cold, err := b.restart(ctx, site)
	stopProfile()
	if err != nil {
		return err
	}
	restored := float64(reading.records) / cold.restored.Seconds()
	return errors.Join(
		out.seconds("warm: assigned → ready", warm.ready, "≤ 2"),
		out.seconds("warm: started → ready", warm.all, ""),
		out.say("changelog", float64(reading.records), "records", ""),
		out.say("sarama reads", reading.rate(), "records/s", ""),
		out.say("sarama reads, CPU", reading.cost.CPUMicros, "µs/record", ""),
		out.say("cold: restores", restored, "records/s", ""),
		out.say("cold: restores, of sarama's rate", restored/reading.rate(), "", "≥ 0.7"),
		out.say("cold: restores, CPU", cold.cpu.Seconds()*1e6/float64(reading.records), "µs/record", ""),
		out.seconds("cold: assigned → restored", cold.restored, ""),
		out.seconds("cold: assigned → ready", cold.ready, ""),
		out.seconds("cold: started → ready", cold.all, ""),
		out.Flush())
}

// fill has an engine apply what the workflows hold.
func (b *benchRestore) fill(ctx context.Context, site *site, stdio *cli.Stdio) (err error) {
	engine, err := site.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.stop()) }()
	w, err := bench.NewWriter(site.cluster, site.graph)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := b.hold(ctx, engine, w, bench.Held{Workflows: b.workflows, Items: b.items, At: b.now()}, stdio); err != nil {
		return err
	}
	return engine.untilCalm(ctx, quiet)
}

// restarted is how long an engine took, from the moment when the group of workflows had its partitions, and from its start.
type restarted struct {
	restored, ready, all time.Duration
	cpu                  time.Duration // from the assignment until it was restored
}

// restart starts an engine, waits until it is ready and ends it.
func (b *benchRestore) restart(ctx context.Context, site *site) (r restarted, err error) {
	engine, err := site.start(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, engine.stop()) }()
	const look = 25 * time.Millisecond // each look takes CPU from what is measured
	group := site.graph.Workflows.Name
	if err := engine.until(ctx, look, func() (bool, error) {
		sessions, _, err := summed(engine.Registry(), "freshet_sessions_total", func(l labels) bool { return l["group"] == group })
		return sessions > 0, err
	}); err != nil {
		return r, err
	}
	assigned := bench.Use(b.now(), 0)
	if err := engine.until(ctx, look, func() (bool, error) {
		restoring, n, err := summed(engine.Registry(), "freshet_partition_state", func(l labels) bool {
			return l["state"] == string(metrics.Restoring) && strings.HasPrefix(l["partition"], group+"/")
		})
		return n > 0 && restoring == 0, err
	}); err != nil {
		return r, err
	}
	restored := bench.Use(b.now(), 0)
	if err := engine.until(ctx, look, func() (bool, error) { return engine.Ready() == nil, nil }); err != nil {
		return r, fmt.Errorf("%w: %w", engine.Ready(), err)
	}
	ready := b.now()
	return restarted{restored: restored.At.Sub(assigned.At), ready: ready.Sub(assigned.At), all: ready.Sub(engine.began), cpu: restored.CPU - assigned.CPU}, nil
}

// reading is what it took to read a changelog.
type reading struct {
	records int64
	cost    bench.Cost
}

func (r reading) rate() float64 { return r.cost.EventsPerSecond }

// read reads the changelog of the workflows as a restore does, and does nothing with it.
func (b *benchRestore) read(ctx context.Context, site *site) (reading, error) {
	logs, err := tail.New(site.cluster.Addrs, site.logger, site.cluster.Kgo()...)
	if err != nil {
		return reading{}, err
	}
	defer logs.Close()
	table := site.graph.Workflows.Table
	ends := make([]int64, site.graph.Config.Partitions)
	for p := range ends {
		if ends[p], err = logs.Usable(ctx, table, int32(p)); err != nil {
			return reading{}, cli.Unavailable(err)
		}
	}
	cfg, err := site.cfg.Gateway.Sarama(site.cluster, "")
	if err != nil {
		return reading{}, err
	}
	settle()
	was := bench.Use(b.now(), 0)
	n, err := bench.Consume(ctx, site.cluster.Addrs, table, ends, cfg)
	if err != nil {
		return reading{}, cli.Unavailable(err)
	}
	return reading{records: n, cost: bench.Use(b.now(), 0).Since(was, n)}, nil
}
