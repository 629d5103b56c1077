package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

type benchIngest struct {
	measurement
	workload   bench.Workload
	cpuProfile string
	memProfile string
	brokerPID  int
}

func benchIngestCommand() *cli.Command {
	b := &benchIngest{measurement: measurement{now: time.Now}}
	return &cli.Command{
		Name:    "bench ingest",
		Summary: "measure what judging a backlog costs",
		About: `Fills the topics of an embedded broker with a workload (interleaved workflows, source updates, two kinds bounded), reads them once
with a consumer group that does nothing, which is the floor, and then runs the engine on them until every decision is judged. Broker,
engine and floor share one process: CPU is the whole process', from the start of the engine on, and the broker's share is in the floor
too. With -kafka.brokers the topics are filled there, under a prefix of their own, and deleted afterwards; the CPU is then that of
reading and of the engine alone, and -broker.pid says beside it what the broker took. The data directory is a temporary one.`,
		Example: "freshet bench ingest -workload.workflows 20000 -cpuprofile cpu.prof",
		Flags: func(f *flag.FlagSet) {
			b.register(f)
			b.workload.RegisterFlags(f)
			f.IntVar(&b.brokerPID, "broker.pid", 0, "Process id of the broker of -kafka.brokers, if it runs on this machine: its CPU is told, too.")
			f.StringVar(&b.cpuProfile, "cpuprofile", "", "File for a CPU profile of the engine's part.")
			f.StringVar(&b.memProfile, "memprofile", "", "File for a profile of allocations, and of what lives afterwards, once the engine has little to do.")
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
	site, err := b.open(ctx, b.workload.Contract(), stdio)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	progress := stdio.Progress("records", b.now())
	total := float64(b.workload.Workflows*bench.EventsPerWorkflow) / (1 - b.workload.UpdateShare)
	filled, err := bench.Fill(ctx, site.cluster, site.graph, &b.workload, func(n int64) { progress.Say(n, float64(n)/total, b.now()) })
	progress.Clear()
	if err != nil {
		return cli.Unavailable(err)
	}
	fmt.Fprintf(stdio.Err, "filled %s records of %d bytes\n", cli.Count(filled.Records), filled.Bytes/max(1, filled.Records))

	results := b.format.Results(stdio, "WHAT", "EVENTS/S", "CPU µs/EVENT", "BROKER µs/EVENT", "ALLOCS/EVENT", "ROWS/EVENT", "OUTPUTS/EVENT", "BYTES/EVENT", "VERDICTS", "RSS MiB", "PEAK MiB", "LIVE MiB", "SETTLED MiB")
	settle()
	was := b.use()
	reading, err := site.cfg.Gateway.Sarama(site.cluster, "")
	if err != nil {
		return err
	}
	if err := bench.Floor(ctx, site.cluster.Addrs, site.graph, reading, filled.Records); err != nil {
		return cli.Unavailable(err)
	}
	floor := measured{What: "floor", Cost: b.use().Since(was, filled.Records), Events: filled.Records}
	floor.Resident, floor.Peak = bench.Memory()
	judged, err := b.judge(ctx, site, filled.Records, stdio)
	if err != nil {
		return err
	}
	for _, m := range []measured{floor, judged} {
		if err := results.Add(m, m.What, cli.Count(int64(m.EventsPerSecond)), fmt.Sprintf("%.2f", m.CPUMicros), fmt.Sprintf("%.2f", m.BrokerMicros), fmt.Sprintf("%.1f", m.Allocs), fmt.Sprintf("%.3f", m.Rows),
			fmt.Sprintf("%.3f", m.Outputs), fmt.Sprintf("%.0f", m.Bytes), cli.Count(int64(m.Verdicts)), fmt.Sprint(m.Resident>>20), fmt.Sprint(m.Peak>>20), fmt.Sprint(m.Live>>20), fmt.Sprint(m.Settled>>20)); err != nil {
			return err
		}
	}
	return results.Flush()
}

// use reads what this process and the broker's have used so far.
func (b *benchIngest) use() bench.Usage { return bench.Use(b.now(), b.brokerPID) }

// settle makes the filling's garbage no part of what is measured.
func settle() {
	runtime.GC()
	debug.FreeOSMemory()
}

// profileCPU begins a profile of this process in a file, if one is named, until stop is called.
func profileCPU(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, cli.Usagef("-cpuprofile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, fmt.Errorf("profile: %w", errors.Join(err, file.Close()))
	}
	return sync.OnceFunc(func() {
		pprof.StopCPUProfile()
		_ = file.Close()
	}), nil
}

// judge runs the engine until every decision is judged.
func (b *benchIngest) judge(ctx context.Context, site *site, events int64, stdio *cli.Stdio) (m measured, err error) {
	settle()
	stopProfile, err := profileCPU(b.cpuProfile)
	if err != nil {
		return m, err
	}
	defer stopProfile()
	was := b.use()
	engine, err := site.start(ctx)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, engine.stop()) }()
	if err := b.await(ctx, engine, stdio); err != nil {
		return m, err
	}
	m = measured{What: "engine", Cost: b.use().Since(was, events), Events: events}
	m.Resident, m.Peak = bench.Memory()
	sums, err := sumCounters(engine.Registry())
	if err != nil {
		return m, err
	}
	n := float64(events)
	m.Verdicts, m.Rows, m.Outputs, m.Bytes = sums["freshet_decisions_total"], sums["freshet_commit_records_total/row"]/n, sums["freshet_commit_records_total/output"]/n, sums["freshet_commit_bytes_total"]/n
	stopProfile()
	if err = b.rest(ctx, engine); err == nil {
		m.Live = bench.Live()
		m.Settled, _ = bench.Memory()
		err = b.writeMemProfile()
	}
	return m, err
}

// rest waits until the engine has nothing under way, and gives back what it does not need then.
func (b *benchIngest) rest(ctx context.Context, engine *running) error {
	const calm, patience = 8, 600 // seconds
	rows, still, n := -1.0, 0, 0
	err := engine.until(ctx, time.Second, func() (bool, error) {
		sums, err := sumCounters(engine.Registry())
		still, n = still+1, n+1
		if now := sums["freshet_commit_records_total/row"]; now > rows+quiet {
			rows, still = now, 0
		}
		return still >= calm || n >= patience, err
	})
	settle()
	return err
}

// quiet is how many rows a second an engine writes that has nothing to do: cursors and clocks.
const quiet = 1000

// await returns once all uses of the workload are judged and their verdicts committed.
func (b *benchIngest) await(ctx context.Context, engine *running, stdio *cli.Stdio) error {
	progress := stdio.Progress("verdicts", b.now())
	defer progress.Clear()
	want := float64(b.workload.Uses())
	return engine.until(ctx, readyGap, func() (bool, error) {
		sums, err := sumCounters(engine.Registry())
		// Verdicts are counted when they are judged; they are there once they are committed.
		n := min(sums["freshet_decisions_total"], sums["freshet_commit_records_total/output"])
		progress.Say(int64(n), n/want, b.now())
		return n >= want, err
	})
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
