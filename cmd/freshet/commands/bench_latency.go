package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

type benchLatency struct {
	measurement
	rate int
	span time.Duration
}

func benchLatencyCommand() *cli.Command {
	b := &benchLatency{measurement: measurement{now: time.Now}}
	return &cli.Command{
		Name:    "bench latency",
		Summary: "measure how long a verdict takes from its event",
		About: `Writes decisions at a steady rate and reads their verdicts as a third party does, committed ones only: once such as are 10 s old when
they are written, which are judged as soon as they are read, and once such as are made at that moment, which wait until the clocks have
passed them (the contract's lateness is 0 here). Before and after that the same rate of records is written to a topic and read back, which
is what an answer by way of these brokers cannot be below.`,
		Example: "freshet bench latency -kafka.brokers 127.0.0.1:9092 -latency.rate 500",
		Flags: func(f *flag.FlagSet) {
			b.register(f)
			f.IntVar(&b.rate, "latency.rate", 500, "Decisions a second.")
			f.DurationVar(&b.span, "latency.for", 20*time.Second, "How long each of the four parts takes.")
		},
		Run: b.run,
	}
}

func (b *benchLatency) run(ctx context.Context, args []string, stdio *cli.Stdio) (err error) {
	if len(args) > 0 {
		return cli.Usagef("%q: bench latency takes no arguments", args[0])
	}
	if b.rate < 1 || b.span < time.Second {
		return cli.Usagef("-latency.rate %d: at least 1; -latency.for %s: at least 1s", b.rate, b.span)
	}
	site, err := b.open(ctx, bench.HeldContract("max_staleness: 1h", 0), stdio)
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
	if err := w.Update(ctx, 0, 1, b.now().Add(-time.Hour)); err != nil {
		return cli.Unavailable(err)
	}
	out := b.figures(stdio)
	for _, part := range []func() error{
		func() error { return b.echo(ctx, site, out, "raw echo, before") },
		func() error { return b.verdicts(ctx, site, out, "event → verdict committed", liveAge) },
		func() error { return b.verdicts(ctx, site, out, "decision made → verdict committed", 0) },
		func() error { return b.echo(ctx, site, out, "raw echo, after") },
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return out.Flush()
}

// say says the middle and the end of delays.
func (b *benchLatency) say(out figures, name string, delays []time.Duration) error {
	return errors.Join(
		out.seconds(name+", p50", bench.Share(delays, 0.5), ""),
		out.seconds(name+", p99", bench.Share(delays, 0.99), ""),
		out.seconds(name+", longest", bench.Share(delays, 1), ""))
}

// verdicts measures from decisions to their verdicts.
func (b *benchLatency) verdicts(ctx context.Context, site *site, out figures, name string, age time.Duration) error {
	live, err := b.beside(ctx, site, b.rate, age)
	if err != nil {
		return err
	}
	began := b.now()
	err = pause(ctx, b.span)
	delays, errDelays := live.delays(ctx, began, began.Add(b.span))
	if err := errors.Join(err, errDelays, live.stop()); err != nil {
		return err
	}
	return b.say(out, name, delays)
}

// echo measures records that nobody works on, in a topic of its own.
func (b *benchLatency) echo(ctx context.Context, site *site, out figures, name string) error {
	client, err := kgo.NewClient(site.cluster.Kgo()...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", site.cluster, err)
	}
	defer client.Close()
	topic, adm := site.graph.Name("bench.echo"), kadm.NewClient(client)
	if _, err := adm.CreateTopic(ctx, 1, -1, nil, topic); err != nil {
		return cli.Unavailable(fmt.Errorf("create %s: %w", topic, err))
	}
	echoing, cancel := context.WithTimeout(ctx, b.span)
	defer cancel()
	delays, err := bench.Echo(echoing, site.cluster, topic, b.rate, b.now)
	if _, errDelete := adm.DeleteTopic(ctx, topic); err == nil {
		err = errDelete
	}
	if err != nil {
		return cli.Unavailable(err)
	}
	return b.say(out, name, delays)
}
