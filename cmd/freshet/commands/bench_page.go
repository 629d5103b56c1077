package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/internal/programs"
)

type benchPage struct {
	measurement
	samples    int
	objectives int
	gap        time.Duration
	lateness   time.Duration
}

func benchPageCommand() *cli.Command {
	b := &benchPage{measurement: measurement{now: time.Now}}
	return &cli.Command{
		Name:    "bench page",
		Summary: "measure how long it takes from what is wrong to the page",
		About: `Has decisions breach objectives one after the other, and sources fall silent, and says how long after the event, or after the instant at
which the silence was too long, a webhook has the alert. Beside it: how long a reader of the same topic waits for the same records; the same
alerts by way of an Alertmanager; and the same breaches as Prometheus sees them by the generated rules (scraped and evaluated every second,
group_wait 0), by way of the same Alertmanager. The last two need prometheus and prometheus-alertmanager, and are left out aloud where they
are missing. The goal is the allowed lateness, one tick and half a second. Broker, engine and webhook share the process.`,
		Example: "freshet bench page -page.samples 200",
		Flags: func(f *flag.FlagSet) {
			b.register(f)
			f.IntVar(&b.samples, "page.samples", 100, "Breaches, each of an objective of its own.")
			f.IntVar(&b.objectives, "page.objectives", 0, "Objectives that the contract has, with four rules each. 0: as many as there are breaches.")
			f.DurationVar(&b.gap, "page.gap", 300*time.Millisecond, "Time between two breaches, on average.")
			f.DurationVar(&b.lateness, "page.lateness", time.Second, "Lateness that the contract allows.")
		},
		Run: b.run,
	}
}

const (
	pageSilence = 3 * time.Second
	pageQuiet   = 40 // sources that fall silent: of more than 50 there would be one alert for all
	pageWait    = 2 * time.Minute
)

func (b *benchPage) run(ctx context.Context, args []string, stdio *cli.Stdio) (err error) {
	if len(args) > 0 {
		return cli.Usagef("%q: bench page takes no arguments", args[0])
	}
	if b.samples < 1 || b.samples > 10_000 || b.gap <= 0 || b.lateness <= 0 {
		return cli.Usagef("-page.samples %d: 1 to 10000; -page.gap %s and -page.lateness %s: greater than 0", b.samples, b.gap, b.lateness)
	}
	b.objectives = max(b.objectives, b.samples)
	site, err := b.open(ctx, bench.PageContract(b.objectives, b.lateness, pageSilence), stdio)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	stage := &pageStage{site: site}
	if err := stage.tell(ctx, stdio); err != nil {
		return err
	}
	engine, err := site.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.stop()) }()
	if err := engine.until(ctx, 100*time.Millisecond, func() (bool, error) { return stage.receiver.has("/engine", alerts.Watchdog), nil }); err != nil {
		return err
	}
	if err := stage.scrape(ctx, engine.HTTPAddr(), stdio); err != nil {
		return err
	}
	return b.measure(ctx, stage, stdio)
}

// paged is a result.
type paged struct {
	What    string  `json:"what"`
	Samples int     `json:"samples"`
	P50     float64 `json:"p50_s"`
	P99     float64 `json:"p99_s"`
	Max     float64 `json:"max_s"`
	Goal    float64 `json:"goal_s,omitempty"`
}

// measure breaches, waits until everybody who is to be told has been, and says how long that took.
func (b *benchPage) measure(ctx context.Context, s *pageStage, stdio *cli.Stdio) error {
	pages, err := bench.NewPages(ctx, s.cluster, s.graph, b.now())
	if err != nil {
		return cli.Unavailable(err)
	}
	defer pages.Close()
	ctx, cancel := context.WithCancel(ctx)
	listening := make(chan error, 1)
	go func() { listening <- pages.Listen(ctx, s.cluster, b.now) }()
	defer func() { cancel(); <-listening }()
	if err := pause(ctx, 5*time.Second); err != nil { // until Prometheus, if there is one, has seen the counters at 0
		return err
	}
	if err := b.breach(ctx, pages, s, stdio); err != nil {
		return err
	}
	goal := (b.lateness + b.cfg.Alerting.Tick + 500*time.Millisecond).Seconds()
	results := b.format.Results(stdio, "WHAT", "SAMPLES", "P50 s", "P99 s", "MAX s", "GOAL OF P99 s")
	add := func(what string, n int, goal float64, name func(int) string, after time.Duration, at func(string) (time.Time, bool)) error {
		one := took(n, func(i int) (time.Duration, bool) {
			then, ok := at(name(i))
			return then.Sub(pages.Wrote(name(i)).Add(after)), ok
		})
		one.What, one.Goal = what, goal
		says := ""
		if goal > 0 {
			says = fmt.Sprintf("%.1f", goal)
		}
		return results.Add(one, what, fmt.Sprintf("%d of %d", one.Samples, n), fmt.Sprintf("%.3f", one.P50), fmt.Sprintf("%.3f", one.P99), fmt.Sprintf("%.3f", one.Max), says)
	}
	err = add("raw echo: event → reader", b.samples, 0, bench.Objective, 0, pages.Echo)
	for _, way := range s.ways {
		if err == nil {
			err = add("breach → "+way.name, b.samples, way.goal*goal, bench.Objective, 0, func(what string) (time.Time, bool) { return s.receiver.at(way.path, what) })
		}
		if err == nil && way.goal > 0 {
			err = add("silence → "+way.name, pageQuiet, way.goal*goal, bench.Quiet, pageSilence, func(what string) (time.Time, bool) { return s.receiver.at(way.path, what) })
		}
	}
	return errors.Join(err, results.Flush())
}

// took returns the figures of what has been measured.
func took(n int, of func(i int) (time.Duration, bool)) paged {
	var all []float64
	for i := range n {
		if d, ok := of(i); ok {
			all = append(all, d.Seconds())
		}
	}
	if len(all) == 0 {
		return paged{}
	}
	slices.Sort(all)
	at := func(q float64) float64 { return all[min(len(all)-1, int(q*float64(len(all))))] }
	return paged{Samples: len(all), P50: at(0.5), P99: at(0.99), Max: all[len(all)-1]}
}

// breach has everything go wrong, at instants that have nothing to do with ticks, and waits for the pages.
func (b *benchPage) breach(ctx context.Context, pages *bench.Pages, s *pageStage, stdio *cli.Stdio) error {
	progress := stdio.Progress("breaches", b.now())
	quiet := 0
	for i := range b.samples {
		if err := pause(ctx, b.gap/2+rand.N(b.gap)); err != nil {
			return err
		}
		if err := pages.Breach(ctx, i, b.now()); err != nil {
			return cli.Unavailable(err)
		}
		for ; quiet < pageQuiet*(i+1)/b.samples; quiet++ {
			if err := pages.Speak(ctx, quiet, b.now()); err != nil {
				return cli.Unavailable(err)
			}
		}
		progress.Say(int64(i), float64(i)/float64(b.samples), b.now())
	}
	progress.Clear()
	for deadline := b.now().Add(pageWait); ; {
		missing := s.receiver.missing(s.ways, b.samples)
		if missing == "" {
			return nil
		}
		if b.now().After(deadline) {
			return fmt.Errorf("after %v: %s", pageWait, missing)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// pageStage is a site with those who are told.
type pageStage struct {
	*site
	receiver *pageReceiver
	am       *programs.Process // nil: it is not installed
	ways     []pageWay
}

// pageWay is one way on which a page comes.
type pageWay struct {
	name, path string
	goal       float64 // 1: the goal is one for it, 0: it has none
}

// tell has the engine tell a webhook, and an Alertmanager if there is one.
func (s *pageStage) tell(ctx context.Context, stdio *cli.Stdio) (err error) {
	if s.receiver, err = newPageReceiver(s.now); err != nil {
		return err
	}
	s.undo = append(s.undo, s.receiver.close)
	s.cfg.HTTPListen, s.cfg.Dispatch.Webhooks = "127.0.0.1:0", s.receiver.url+"/engine"
	s.ways = []pageWay{{"webhook", "/engine", 1}}
	s.am, err = s.alertmanager(ctx)
	switch {
	case errors.Is(err, programs.ErrMissing):
		fmt.Fprintf(stdio.Err, "not measured by way of an Alertmanager: %v\n", err)
		return nil
	case err != nil:
		return cli.Unavailable(err)
	}
	s.ways = append(s.ways, pageWay{"Alertmanager → webhook", "/am/freshet", 1})
	s.cfg.Dispatch.Alertmanagers = s.am.URL
	return nil
}

// scrape has Prometheus watch the engine, if there are Prometheus and an Alertmanager.
func (s *pageStage) scrape(ctx context.Context, engine string, stdio *cli.Stdio) error {
	if s.am == nil {
		return nil
	}
	err := s.prometheus(ctx, engine)
	if errors.Is(err, programs.ErrMissing) {
		fmt.Fprintf(stdio.Err, "not measured by way of Prometheus: %v\n", err)
		return nil
	}
	return cli.Unavailable(err)
}
