package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

type benchDeadlines struct {
	measurement
	due   string
	items int
	rate  int

	cpuProfile string
}

func benchDeadlinesCommand() *cli.Command {
	b := &benchDeadlines{measurement: measurement{now: time.Now}}
	return &cli.Command{
		Name:    "bench deadlines",
		Summary: "measure how long it takes when many deadlines are due at once",
		About: `Has many open workflows hold context that will be too old at one and the same instant, waits for that instant, and says how long it took
from the moment when it had been passed, the lateness of the contract included, until every workflow was found to be stale, and until that
was committed; and how long decisions of other workflows took meanwhile until their verdict could be read.`,
		Example: "freshet bench deadlines -kafka.brokers 127.0.0.1:9092 -deadlines.due 10000,200000",
		Flags: func(f *flag.FlagSet) {
			b.register(f)
			f.StringVar(&b.due, "deadlines.due", "10000,200000", "How many workflows are due at once, one figure for each run.")
			f.IntVar(&b.items, "deadlines.items", 1000, "How many items they are spread over.")
			f.IntVar(&b.rate, "deadlines.rate", 200, "Decisions a second of the other workflows.")
			f.StringVar(&b.cpuProfile, "cpuprofile", "", "File for a CPU profile of the last run, from when the deadlines were due until all that was found was committed.")
		},
		Run: b.run,
	}
}

func (b *benchDeadlines) run(ctx context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) > 0 {
		return cli.Usagef("%q: bench deadlines takes no arguments", args[0])
	}
	if b.items < 1 || b.rate < 1 {
		return cli.Usagef("-deadlines.items %d: at least 1; -deadlines.rate %d: at least 1", b.items, b.rate)
	}
	out := b.figures(stdio)
	for text := range strings.SplitSeq(b.due, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return cli.Usagef("-deadlines.due %q: not a number of workflows", text)
		}
		if err := b.one(ctx, n, out, stdio); err != nil {
			return err
		}
	}
	return out.Flush()
}

const (
	deadlineAge      = time.Hour // the bound
	deadlineLateness = time.Second
	fillRate         = 15_000 // workflows a second, at least, that can be filled in
)

// outputs returns how many records other than rows have been committed: beside the decisions that go on, one for each workflow that is found.
func outputs(engine *running) (float64, error) {
	n, _, err := summed(engine.Registry(), "freshet_commit_records_total", func(l labels) bool { return l["kind"] == "output" })
	return n, err
}

// one has so many workflows be due at once.
func (b *benchDeadlines) one(ctx context.Context, n int, out figures, stdio *cli.Stdio) (err error) {
	site, err := b.open(ctx, bench.HeldContract(fmt.Sprintf("max_age: %s", deadlineAge), deadlineLateness), stdio)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
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
	now := b.now()
	due := now.Add(20*time.Second + time.Duration(n)*time.Second/fillRate)
	if err := b.hold(ctx, engine, w, bench.Held{Workflows: n, Items: b.items, At: now, AsOf: due.Add(-deadlineAge)}, stdio); err != nil {
		return err
	}
	live, err := b.beside(ctx, site, b.rate, liveAge)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, live.stop()) }()
	left := due.Sub(b.now())
	if left < 5*time.Second {
		return fmt.Errorf("%d workflows are due before they have all been filled in and applied: this machine is too slow", n)
	}
	before, err := live.during(ctx, engine, func() error { return pause(ctx, left) })
	if err != nil {
		return err
	}
	passed := due.Add(deadlineLateness)
	said, err := outputs(engine)
	if err != nil {
		return err
	}
	stopProfile, err := profileCPU(b.cpuProfile)
	if err != nil {
		return err
	}
	defer stopProfile()
	var found, committed time.Duration
	at, err := live.during(ctx, engine, func() error {
		if err := engine.untilGauge(ctx, stdio, "freshet_stale_holdings", float64(n)); err != nil {
			return err
		}
		found = b.now().Sub(passed)
		err := engine.until(ctx, 50*time.Millisecond, func() (bool, error) {
			is, err := outputs(engine)
			return is >= said+float64(n), err
		})
		stopProfile()
		committed = b.now().Sub(passed)
		return err
	})
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%d due at once: ", n)
	return errors.Join(
		out.seconds(name+"all found", found, "≤ 1 for 10000"),
		out.say(name+"found a second", float64(n)/found.Seconds(), "1/s", "≥ 40000"),
		out.seconds(name+"all committed", committed, ""),
		out.say(name+"committed a second", float64(n)/committed.Seconds(), "1/s", ""),
		out.say(name+"records committed", at.Records, "", ""),
		out.say(name+"live p99 before", before.P99, "s", ""),
		out.say(name+"live p99 meanwhile", at.P99, "s", ""),
		out.say(name+"live longest before", before.Longest, "s", ""),
		out.say(name+"live longest meanwhile", at.Longest, "s", "≤ 0.25 held"))
}
