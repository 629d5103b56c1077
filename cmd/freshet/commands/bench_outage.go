package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/committed"
	"github.com/freshet-io/freshet/cmd/freshet/verdict"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

type benchOutage struct {
	measurement
	rate   int
	outage time.Duration
}

func benchOutageCommand() *cli.Command {
	b := &benchOutage{measurement: measurement{now: time.Now}}
	return &cli.Command{
		Name:    "bench outage",
		Summary: "measure how fast the backlog of an outage is caught up with",
		About: `Lets an engine judge what happens, ends it, and starts it again after an outage, while events go on at their rate. The outage takes no
time: what would have been written in it is written at once, with the times that it would have had. Says how fast the backlog was judged
until the engine was live again, and compares all verdicts with the judgement of the same events without a broker.`,
		Example: "freshet bench outage -kafka.brokers 127.0.0.1:9092 -outage.rate 2000 -outage.for 10m",
		Flags: func(f *flag.FlagSet) {
			b.register(f)
			f.IntVar(&b.rate, "outage.rate", 2000, "Events a second, live.")
			f.DurationVar(&b.outage, "outage.for", 10*time.Minute, "How long the outage is.")
		},
		Run: b.run,
	}
}

// Times of the workload before the outage and after it.
const (
	beforeOutage = 30 * time.Second
	afterOutage  = 45 * time.Second
)

func (b *benchOutage) run(ctx context.Context, args []string, stdio *cli.Stdio) (err error) {
	if len(args) > 0 {
		return cli.Usagef("%q: bench outage takes no arguments", args[0])
	}
	if b.rate < 100 || b.outage < time.Second {
		return cli.Usagef("-outage.rate %d: at least 100; -outage.for %s: at least 1s", b.rate, b.outage)
	}
	span := beforeOutage + b.outage + afterOutage
	w := &bench.Workload{Items: 1000, Refs: 3, EventBytes: 350, UpdateShare: 0.05, Seed: 1, Rate: float64(b.rate)}
	w.Workflows = int(span.Seconds() * w.Rate * (1 - w.UpdateShare) / bench.EventsPerWorkflow)
	w.Begin = event.Of(b.now().Add(-beforeOutage - b.outage))
	site, err := b.open(ctx, w.Contract(), stdio)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	out := b.figures(stdio)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	feed := &feed{w: w, now: b.now, until: w.Begin.Go().Add(beforeOutage), begun: make(chan struct{}), outage: make(chan struct{}), live: make(chan struct{}), done: make(chan error, 1)}
	go func() {
		_, err := bench.Write(ctx, site.cluster, site.graph, w, func(r *bench.Record, n int64) error { return feed.before(ctx, r, n) })
		feed.done <- err
	}()
	if err := b.drain(ctx, site, feed, out, stdio); err != nil {
		return err
	}
	if err := b.compare(ctx, site, w, out); err != nil {
		return err
	}
	return out.Flush()
}

// feed paces the workload: what is before the outage at once, then nothing until the engine has been stopped, then at once what would have been
// written by now, then each event when it happens.
type feed struct {
	w      *bench.Workload
	now    func() time.Time
	until  time.Time     // the outage begins
	begun  chan struct{} // closed by the feed when all before the outage is written
	outage chan struct{} // closed when the engine has been stopped
	live   chan struct{} // closed by the feed when the backlog is written
	done   chan error
	stage  int
	n      atomic.Int64
}

func (f *feed) before(ctx context.Context, r *bench.Record, n int64) error {
	f.n.Store(n)
	at := r.Time.Go()
	if f.stage == 0 && !at.Before(f.until) {
		f.stage++
		close(f.begun)
		select {
		case <-f.outage:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f.stage == 1 && at.After(f.now()) {
		f.stage++
		close(f.live)
	}
	if wait := at.Sub(f.now()); f.stage == 2 && wait > 0 {
		return pause(ctx, wait)
	}
	return nil
}

// wait waits for one of the feed's instants.
func (f *feed) wait(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case err := <-f.done:
		return cli.Unavailable(fmt.Errorf("the workload ended too soon: %w", err))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain stops the engine for an outage and measures how it catches up.
func (b *benchOutage) drain(ctx context.Context, site *site, feed *feed, out figures, stdio *cli.Stdio) (err error) {
	if err := feed.wait(ctx, feed.begun); err != nil {
		return err
	}
	engine, err := site.start(ctx)
	if err != nil {
		return err
	}
	err = errors.Join(b.caughtUp(ctx, engine), pause(ctx, 2*time.Second), engine.stop())
	if err != nil {
		return err
	}
	before := feed.n.Load()
	close(feed.outage)
	if err := feed.wait(ctx, feed.live); err != nil {
		return err
	}
	backlog := feed.n.Load() - before
	settle()
	if engine, err = site.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.stop()) }()
	if err := b.caughtUp(ctx, engine); err != nil {
		return err
	}
	took := b.now().Sub(engine.began)
	drained := feed.n.Load() - before
	rate := float64(drained) / took.Seconds()
	if err := errors.Join(
		out.say("backlog", float64(backlog), "events", ""),
		out.seconds("started → live", took, ""),
		out.say("drained a second", rate, "1/s", ""),
		out.say("drained, of the live rate", rate/float64(b.rate), "", "≥ 3")); err != nil {
		return err
	}
	if err := <-feed.done; err != nil {
		return err
	}
	const settled = 15 * time.Second // the lateness of the contract, and some
	return errors.Join(pause(ctx, settled), b.caughtUp(ctx, engine))
}

// caughtUp waits until all that has been written is applied.
func (b *benchOutage) caughtUp(ctx context.Context, engine *running) error {
	return engine.until(ctx, readyGap, func() (bool, error) {
		if engine.Ready() != nil {
			return false, nil
		}
		for _, p := range engine.Partitions() {
			if b.now().Sub(p.AppliedThrough.Go()) > time.Second {
				return false, nil
			}
		}
		return true, nil
	})
}

// compare says how many verdicts are wrong, and how many are not there.
func (b *benchOutage) compare(ctx context.Context, site *site, w *bench.Workload, out figures) error {
	text, err := os.ReadFile(site.cfg.ContractsFile)
	if err != nil {
		return fmt.Errorf("read the contract: %w", err)
	}
	file, err := slo.Parse(text, site.cfg.ContractsFile, os.LookupEnv)
	if err != nil {
		return err
	}
	truth, err := bench.Truth(w, file.Contract())
	if err != nil {
		return err
	}
	r, err := committed.NewReader(ctx, site.cluster, site.graph.Verdicts)
	if err != nil {
		return cli.Unavailable(err)
	}
	defer r.Close()
	last, amended := verdict.NewLast(), 0
	if err := r.ToEnd(ctx, func(k *kgo.Record) error {
		one, err := verdict.Parse(k.Value)
		if err != nil {
			return err
		}
		if last.Add(one, nil) && one.Revision > 1 {
			amended++
		}
		return nil
	}); err != nil {
		return err
	}
	wrong, all := 0, last.Sorted()
	for _, one := range all {
		if !truth[string(one.AppendGolden(nil))] {
			wrong++
		}
	}
	return errors.Join(
		out.say("verdicts", float64(len(truth)), "", ""),
		out.say("false verdicts", float64(wrong), "", "0"),
		out.say("missed verdicts", float64(len(truth)-len(all)), "", "0"),
		out.say("amended verdicts", float64(amended), "", ""))
}
