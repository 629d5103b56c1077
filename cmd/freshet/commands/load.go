package commands

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/loader"
	"github.com/freshet-io/freshet/cmd/freshet/retime"
	"github.com/freshet-io/freshet/event"
)

type load struct {
	kafka   kafkaFlags
	graph   graphFlags
	speed   float64
	shift   bool
	format  cli.Format
	now     func() time.Time
	refused int64
}

func loadCommand() *cli.Command {
	l := &load{now: time.Now}
	return &cli.Command{
		Name:    "load",
		Summary: "write recorded events into their topics",
		Usage:   "FILE… | -",
		About: `Reads structured CloudEvents, one a line, plain or gzip, and writes each into the topic of its category in binary mode, keyed by its
subject. The record's timestamp is the event's recordedtime, else its time. Ends when every record is acknowledged, and says how many
each topic got. Lines that are no events are named on stderr with the reason, and the exit status is then 1.

With -shift-to-now all instants of all events move by the same time, so that the last event is now. A moved event is another event:
loading the same file twice with -shift-to-now is not a repetition.`,
		Example: `freshet load -kafka.brokers 127.0.0.1:19092 events.ndjson.gz
freshet load -speed 60 -shift-to-now events.ndjson.gz
zcat events.ndjson.gz | freshet load -`,
		Flags: func(f *flag.FlagSet) {
			l.kafka.register(f)
			l.graph.register(f)
			f.Float64Var(&l.speed, "speed", 0, "How many times as fast as it happened events are written. 0: as fast as they are acknowledged.")
			f.BoolVar(&l.shift, "shift-to-now", false, "Move all instants so that the last event is now.")
			l.format.RegisterFlags(f)
		},
		Run: l.run,
	}
}

func (l *load) run(ctx context.Context, args []string, stdio *cli.Stdio) error {
	if l.speed < 0 {
		return cli.Usagef("-speed %v: must be 0 or greater", l.speed)
	}
	in, err := openInputs(args, stdio)
	if err != nil {
		return err
	}
	graph, err := l.graph.graph()
	if err != nil {
		return err
	}
	cluster, err := l.kafka.cluster()
	if err != nil {
		return err
	}
	move, err := l.shifting(in)
	if err == nil {
		err = l.write(ctx, in, move, func() (*loader.Loader, error) { return loader.Open(ctx, cluster, graph) }, stdio)
	}
	if e := in.close(); err == nil {
		err = e
	}
	if err == nil && l.refused > 0 {
		err = cli.Nof("%d lines are no events and were not loaded", l.refused)
	}
	return err
}

// shifting reads the inputs for the last event time and returns what moves it to now, nil without -shift-to-now.
func (l *load) shifting(in *inputs) (func(event.Time) event.Time, error) {
	if !l.shift {
		return nil, nil
	}
	if err := in.keep(); err != nil {
		return nil, err
	}
	var last event.Time
	decoder, e := event.NewDecoder(event.Config{}), event.Event{}
	err := in.each(func(at line) error {
		if decoder.DecodeStructured(at.text, 0, &e) == event.OK {
			last = max(last, e.Time)
		}
		return nil
	})
	return retime.Shift(event.Of(l.now()) - last), err
}

func (l *load) write(ctx context.Context, in *inputs, move func(event.Time) event.Time, open func() (*loader.Loader, error), stdio *cli.Stdio) error {
	to, err := open()
	if err != nil {
		return cli.Unavailable(err)
	}
	defer to.Close()
	progress := stdio.Progress("events", l.now())
	pace := pace{speed: l.speed, now: l.now}
	var moved []byte
	err = in.each(func(at line) error {
		text := at.text
		if move != nil {
			if m, err := retime.Append(moved[:0], text, move); err == nil { // what is no JSON is refused below
				moved, text = m, m
			}
		}
		r, reason := to.Record(text)
		if reason != event.OK {
			l.refused++
			progress.Clear()
			fmt.Fprintf(stdio.Err, "%s:%d: %s\n", at.file, at.n, reason)
			return nil
		}
		if err := pace.wait(ctx, r.Timestamp); err != nil {
			return err
		}
		progress.Say(to.Acknowledged(), in.share(), l.now())
		return to.Produce(ctx, r)
	})
	if err == nil {
		err = to.Finish(ctx)
	}
	progress.Clear()
	results := l.format.Results(stdio, "TOPIC", "RECORDS")
	for _, c := range to.Counts() {
		if e := results.Add(c, c.Topic, cli.Count(c.Records)); err == nil {
			err = e
		}
	}
	if e := results.Flush(); err == nil {
		err = e
	}
	return err
}

// pace holds back what is written until its time has come. The first record sets the beginning; one that was appended before an
// earlier one is written at once.
type pace struct {
	speed        float64
	now          func() time.Time
	began, first time.Time
}

func (p *pace) wait(ctx context.Context, appended time.Time) error {
	if p.speed == 0 {
		return ctx.Err()
	}
	if p.began.IsZero() {
		p.began, p.first = p.now(), appended
	}
	due := p.began.Add(time.Duration(float64(appended.Sub(p.first)) / p.speed))
	return until(ctx, due.Sub(p.now()))
}

// until waits, or returns early with the context's error.
func until(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
