package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

type benchFanout struct {
	measurement
	dependants string
	bound      time.Duration
	rate       int
	crossing   bool
}

func benchFanoutCommand() *cli.Command {
	b := &benchFanout{measurement: measurement{now: time.Now}}
	return &cli.Command{
		Name:    "bench fanout",
		Summary: "measure what one change costs that many depend on",
		About: `Has many open workflows hold one item, publishes a new version of it, and waits until all of them are detections, while a few other
workflows go on. It says how many cores are used while all of them wait and nothing comes, what was written in the time before the change, in as long a time after it (a change writes nothing for those who
hold the item), and when the bound is crossed; how long it took from then until every workflow was found; and how long it took until the verdict
on a decision of the other workflows could be read. When the change comes, those who hold the item are asked about without a pause, and some
are watched: it says how long after the change had been applied a check still did not know of it, and how long until those who watch had been
told. Without -kafka.brokers broker and engine share the process.`,
		Example: "freshet bench fanout -fanout.dependants 1000,100000,1000000",
		Flags: func(f *flag.FlagSet) {
			b.register(f)
			f.StringVar(&b.dependants, "fanout.dependants", "1000,100000", "How many workflows hold the item, one figure for each run.")
			f.DurationVar(&b.bound, "fanout.max-staleness", 8*time.Second, "For how long an item may have been superseded.")
			f.IntVar(&b.rate, "fanout.rate", 200, "Decisions a second of the other workflows.")
			f.BoolVar(&b.crossing, "fanout.crossing", true, "Wait until the bound is crossed and every workflow is found. It takes by far the longest; false: end some seconds after the change.")
		},
		Run: b.run,
	}
}

// fanned is a result.
type fanned struct {
	Dependants    int     `json:"dependants"`
	RestCPU       float64 `json:"cores_at_rest"`
	Before        spell   `json:"before"`
	Changed       spell   `json:"after_change"`
	Crossing      spell   `json:"at_crossing"`
	Found         float64 `json:"found_s"`
	Said          float64 `json:"committed_s"`
	ResidentBytes int64   `json:"resident_bytes"`
	heard
}

func (b *benchFanout) run(ctx context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) > 0 {
		return cli.Usagef("%q: bench fanout takes no arguments", args[0])
	}
	if b.bound < 5*time.Second || b.rate < 1 {
		return cli.Usagef("-fanout.max-staleness %s: at least 5s; -fanout.rate %d: at least 1", b.bound, b.rate)
	}
	results := b.format.Results(stdio, "DEPENDANTS", "CORES AT REST", "RECORDS BEFORE", "AFTER CHANGE", "AT CROSSING", "ALL FOUND s", "COMMITTED s", "LIVE P99 BEFORE s", "AFTER CHANGE s", "AT CROSSING s", "LONGEST BEFORE s", "AT CROSSING s", "RSS MiB",
		"CHANGE APPLIED s", "CHECKS AFTER", "WRONG", "ALL RIGHT AFTER s", "WATCH P50 s", "WATCH MAX s")
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
		if err := results.Add(m, cli.Count(int64(n)), seconds(m.RestCPU), cli.Count(int64(m.Before.Records)), cli.Count(int64(m.Changed.Records)), cli.Count(int64(m.Crossing.Records)), seconds(m.Found), seconds(m.Said),
			seconds(m.Before.P99), seconds(m.Changed.P99), seconds(m.Crossing.P99), seconds(m.Before.Longest), seconds(m.Crossing.Longest), fmt.Sprint(m.ResidentBytes>>20),
			seconds(m.Applied), cli.Count(m.Checks), cli.Count(m.Wrong), seconds(m.Right), seconds(m.WatchP50), seconds(m.WatchMax)); err != nil {
			return err
		}
	}
	return results.Flush()
}

// fanoutLateness is the contract's.
const fanoutLateness = time.Second

// one runs one engine.
func (b *benchFanout) one(ctx context.Context, n int, stdio *cli.Stdio) (m fanned, err error) {
	site, err := b.open(ctx, bench.HeldContract(fmt.Sprintf("max_staleness: %s", b.bound), fanoutLateness), stdio)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	site.cfg.HTTPListen = "127.0.0.1:0"
	engine, err := site.start(ctx)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, engine.stop()) }()
	return b.measure(ctx, site, engine, n, stdio)
}

// measure takes the figures of the four times: before the change, after it, at the crossing, until all are found.
func (b *benchFanout) measure(ctx context.Context, site *site, engine *running, n int, stdio *cli.Stdio) (m fanned, err error) {
	m.Dependants = n
	began := b.now()
	phase := func(what string) { fmt.Fprintf(stdio.Err, "after %.0f s: %s\n", b.now().Sub(began).Seconds(), what) }
	w, err := bench.NewWriter(site.cluster, site.graph)
	if err != nil {
		return m, err
	}
	defer w.Close()
	if err := b.hold(ctx, engine, w, bench.Held{Workflows: n, Items: 1, At: b.now().Add(-time.Minute)}, stdio); err != nil {
		return m, err
	}
	phase(cli.Count(int64(n)) + " workflows hold the item")
	if m.RestCPU, err = b.atRest(ctx, engine); err != nil {
		return m, err
	}
	phase("at rest; decisions of other workflows begin")
	live, err := b.beside(ctx, site, b.rate, liveAge)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, live.stop()) }()
	quiet := b.bound - 2*time.Second
	if m.Before, err = live.during(ctx, engine, func() error { return pause(ctx, quiet) }); err != nil {
		return m, err
	}
	phase("the item changes")
	changed := b.now()
	if m.Changed, err = live.during(ctx, engine, func() error {
		h := &hearing{engine: engine.App, dependants: n, now: b.now}
		var err error
		m.heard, err = h.hear(ctx, func() error {
			changed = b.now()
			return w.Update(ctx, 0, 2, changed)
		})
		if err != nil {
			return cli.Unavailable(err)
		}
		return pause(ctx, quiet-b.now().Sub(changed))
	}); err != nil {
		return m, err
	}
	phase(fmt.Sprintf("the change was applied after %.0f ms, and %d watchers heard of it %.0f ms (p50) and %.0f ms (at most) later; %s checks began since, %s of them lacked it",
		m.Applied*1e3, m.Watchers, m.WatchP50*1e3, m.WatchMax*1e3, cli.Count(m.Checks), cli.Count(m.Wrong)))
	m.ResidentBytes, _ = bench.Memory()
	if !b.crossing {
		return m, nil
	}
	crossed := changed.Add(b.bound + fanoutLateness)
	m.Crossing, err = live.during(ctx, engine, func() error {
		if err := engine.untilGauge(ctx, stdio, "freshet_stale_holdings", float64(n)); err != nil {
			return err
		}
		m.Found = b.now().Sub(crossed).Seconds()
		phase("all are found; what is said of them is written")
		return engine.untilCalm(ctx, 4*float64(b.rate))
	})
	m.Said = b.now().Sub(crossed).Seconds()
	m.ResidentBytes, _ = bench.Memory()
	return m, err
}

// atRest returns how many cores the process uses while all workflows are open and wait, and nothing comes.
func (b *benchFanout) atRest(ctx context.Context, engine *running) (float64, error) {
	if err := engine.untilCalm(ctx, 4*float64(b.rate)); err != nil {
		return 0, err
	}
	runtime.GC() // what the backlog has left is not the cost of rest
	was := bench.Use(b.now(), 0)
	if err := pause(ctx, 10*time.Second); err != nil {
		return 0, err
	}
	return bench.Use(b.now(), 0).Cores(was), nil
}
