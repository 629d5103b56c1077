package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/embedded"
)

type benchIngest struct {
	cfg        app.Config
	log        logFlags
	workload   bench.Workload
	cpuProfile string
	memProfile string
	format     cli.Format
	now        func() time.Time
}

func benchIngestCommand() *cli.Command {
	b := &benchIngest{now: time.Now}
	return &cli.Command{
		Name:    "bench ingest",
		Summary: "measure what judging a backlog costs",
		About: `Fills the topics of an embedded broker with a workload (interleaved workflows, source updates, two kinds bounded), reads them once
with a consumer group that does nothing, which is the floor, and then runs the engine on them until every decision is judged. Broker,
engine and floor share one process: CPU is the whole process', from the start of the engine on, and the broker's share is in the floor
too. The data directory is a temporary one. With -kafka.brokers the topics are filled there, under -topics.prefix, and stay.`,
		Example: "freshet bench ingest -workload.workflows 20000 -cpuprofile cpu.prof",
		Flags: func(f *flag.FlagSet) {
			b.cfg.RegisterFlags(f)
			b.log.register(f)
			b.workload.RegisterFlags(f)
			f.StringVar(&b.cpuProfile, "cpuprofile", "", "File for a CPU profile of the engine's part.")
			f.StringVar(&b.memProfile, "memprofile", "", "File for a profile of allocations, and of what lives afterwards, once the engine has little to do.")
			b.format.RegisterFlags(f)
		},
		Run: b.run,
	}
}

// measured is a result.
type measured struct {
	What string `json:"what"`
	bench.Cost
	Events   int64   `json:"events"`
	Verdicts float64 `json:"verdicts"`
	Rows     float64 `json:"rows_per_event"`
	Outputs  float64 `json:"outputs_per_event"`
	Bytes    float64 `json:"bytes_written_per_event"`
	Resident int64   `json:"resident_bytes"`
	Peak     int64   `json:"peak_bytes"`
	Live     int64   `json:"live_bytes,omitempty"`    // on the heap once nothing is under way any more
	Settled  int64   `json:"settled_bytes,omitempty"` // resident then
}

func (b *benchIngest) run(ctx context.Context, args []string, stdio *cli.Stdio) (err error) {
	if len(args) > 0 {
		return cli.Usagef("%q: bench ingest takes no arguments", args[0])
	}
	if err := b.workload.Validate(); err != nil {
		return cli.Usage(err)
	}
	logger, err := b.log.logger(stdio.Err)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "freshet-bench-*")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	stop, err := b.prepare(ctx, dir, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	engine, err := app.New(b.cfg, logger)
	if err != nil {
		return cli.Usage(err)
	}
	cluster, err := (&kafkaFlags{brokers: b.cfg.Brokers, access: b.cfg.Access}).cluster()
	if err != nil {
		return err
	}
	progress := stdio.Progress("records", b.now())
	total := float64(b.workload.Workflows*bench.EventsPerWorkflow) / (1 - b.workload.UpdateShare)
	filled, err := bench.Fill(ctx, cluster, engine.Graph(), &b.workload, func(n int64) { progress.Say(n, float64(n)/total, b.now()) })
	progress.Clear()
	if err != nil {
		return cli.Unavailable(err)
	}
	fmt.Fprintf(stdio.Err, "filled %s records of %d bytes\n", cli.Count(filled.Records), filled.Bytes/max(1, filled.Records))

	results := b.format.Results(stdio, "WHAT", "EVENTS/S", "CPU µs/EVENT", "ALLOCS/EVENT", "ROWS/EVENT", "OUTPUTS/EVENT", "BYTES/EVENT", "VERDICTS", "RSS MiB", "PEAK MiB", "LIVE MiB", "SETTLED MiB")
	settle()
	was := bench.Use(b.now())
	reading, err := b.cfg.Gateway.Sarama(cluster, "")
	if err != nil {
		return err
	}
	if err := bench.Floor(ctx, cluster.Addrs, engine.Graph(), reading, filled.Records); err != nil {
		return cli.Unavailable(err)
	}
	floor := measured{What: "floor", Cost: bench.Use(b.now()).Since(was, filled.Records), Events: filled.Records}
	floor.Resident, floor.Peak = bench.Memory()
	judged, err := b.judge(ctx, engine, filled.Records, stdio)
	if err != nil {
		return err
	}
	for _, m := range []measured{floor, judged} {
		if err := results.Add(m, m.What, cli.Count(int64(m.EventsPerSecond)), fmt.Sprintf("%.2f", m.CPUMicros), fmt.Sprintf("%.1f", m.Allocs), fmt.Sprintf("%.3f", m.Rows),
			fmt.Sprintf("%.3f", m.Outputs), fmt.Sprintf("%.0f", m.Bytes), cli.Count(int64(m.Verdicts)), fmt.Sprint(m.Resident>>20), fmt.Sprint(m.Peak>>20), fmt.Sprint(m.Live>>20), fmt.Sprint(m.Settled>>20)); err != nil {
			return err
		}
	}
	return results.Flush()
}

// prepare writes the contract and starts the embedded broker, unless others are named.
func (b *benchIngest) prepare(ctx context.Context, dir string, logger log.Logger) (stop func() error, err error) {
	b.cfg.ContractsFile, b.cfg.DataDir, b.cfg.HTTPListen = filepath.Join(dir, "contracts.yaml"), filepath.Join(dir, "data"), ""
	if err := os.WriteFile(b.cfg.ContractsFile, []byte(b.workload.Contract()), 0o600); err != nil {
		return nil, fmt.Errorf("write the contract: %w", err)
	}
	if b.cfg.Brokers != "" {
		return func() error { return nil }, nil
	}
	cfg := b.cfg.Embedded
	cfg.Listen, cfg.Dir = "127.0.0.1:0", filepath.Join(dir, "broker")
	broker, err := embedded.New(cfg, logger)
	if err != nil {
		return nil, cli.Usage(err)
	}
	if err := services.StartAndAwaitRunning(ctx, broker); err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	b.cfg.Brokers = broker.Addr()
	return func() error { return services.StopAndAwaitTerminated(context.Background(), broker) }, nil
}

// settle makes the filling's garbage no part of what is measured.
func settle() {
	runtime.GC()
	debug.FreeOSMemory()
}

// judge runs the engine until every decision is judged.
func (b *benchIngest) judge(ctx context.Context, engine *app.App, events int64, stdio *cli.Stdio) (m measured, err error) {
	settle()
	if b.cpuProfile != "" {
		file, err := os.Create(b.cpuProfile)
		if err != nil {
			return m, cli.Usagef("-cpuprofile: %w", err)
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return m, fmt.Errorf("profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	was := bench.Use(b.now())
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- engine.Run(running) }()
	if err := b.await(ctx, engine, done, stdio); err != nil {
		return m, cli.Unavailable(err)
	}
	m = measured{What: "engine", Cost: bench.Use(b.now()).Since(was, events), Events: events}
	m.Resident, m.Peak = bench.Memory()
	sums, err := sumCounters(engine.Registry())
	if err != nil {
		return m, err
	}
	n := float64(events)
	m.Verdicts, m.Rows, m.Outputs, m.Bytes = sums["freshet_decisions_total"], sums["freshet_commit_records_total/row"]/n, sums["freshet_commit_records_total/output"]/n, sums["freshet_commit_bytes_total"]/n
	pprof.StopCPUProfile()
	if err = b.rest(ctx, engine); err == nil {
		m.Live = bench.Live()
		m.Settled, _ = bench.Memory()
		err = b.writeMemProfile()
	}
	stop()
	return m, errors.Join(err, <-done)
}

// rest waits until the engine has nothing under way, and gives back what it does not need then.
func (b *benchIngest) rest(ctx context.Context, engine *app.App) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	const calm, patience = 8, 600 // seconds
	rows, still := -1.0, 0
	for n := 0; n < patience && still < calm; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		sums, err := sumCounters(engine.Registry())
		if err != nil {
			return err
		}
		still++
		if now := sums["freshet_commit_records_total/row"]; now > rows+quiet {
			rows, still = now, 0
		}
	}
	settle()
	return nil
}

// quiet is how many rows a second an engine writes that has nothing to do: cursors and clocks.
const quiet = 1000

// await returns once all uses of the workload are judged and their verdicts committed.
func (b *benchIngest) await(ctx context.Context, engine *app.App, done <-chan error, stdio *cli.Stdio) error {
	t := time.NewTicker(readyGap)
	defer t.Stop()
	progress := stdio.Progress("verdicts", b.now())
	defer progress.Clear()
	want := float64(b.workload.Uses())
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-done:
			return fmt.Errorf("the engine stopped before everything was judged: %w", err)
		case <-t.C:
		}
		sums, err := sumCounters(engine.Registry())
		if err != nil {
			return err
		}
		// Verdicts are counted when they are judged; they are there once they are committed.
		n := min(sums["freshet_decisions_total"], sums["freshet_commit_records_total/output"])
		progress.Say(int64(n), n/want, b.now())
		if n >= want {
			return nil
		}
	}
}

// sumCounters adds up counters over their labels; those of commits by kind of record too, as name/kind.
func sumCounters(reg prometheus.Gatherer) (map[string]float64, error) {
	families, err := reg.Gather()
	if err != nil {
		return nil, fmt.Errorf("read the metrics: %w", err)
	}
	sums := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetCounter() == nil {
				continue
			}
			sums[f.GetName()] += m.GetCounter().GetValue()
			for _, l := range m.GetLabel() {
				if l.GetName() == "kind" {
					sums[f.GetName()+"/"+l.GetValue()] += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sums, nil
}

func (b *benchIngest) writeMemProfile() error {
	if b.memProfile == "" {
		return nil
	}
	file, err := os.Create(b.memProfile)
	if err != nil {
		return cli.Usagef("-memprofile: %w", err)
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}
