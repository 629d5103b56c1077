package commands

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

// liveAge is how old decisions are said to be that go on beside something that is measured: older than the lateness of the contracts, so that each
// is judged as soon as it is read.
const liveAge = 10 * time.Second

// beside is decisions that go on while something is measured.
type beside struct {
	*bench.Pulse
	now  func() time.Time
	end  context.CancelFunc
	done chan error
}

// beside begins with decisions, so many a second and each so old, and returns once verdicts come.
func (m *measurement) beside(ctx context.Context, s *site, rate int, age time.Duration) (*beside, error) {
	pulse, err := bench.NewPulse(s.cluster, s.graph, age, m.now)
	if err != nil {
		return nil, cli.Unavailable(err)
	}
	l := &beside{Pulse: pulse, now: m.now, done: make(chan error, 1)}
	ctx, l.end = context.WithCancel(ctx)
	go func() { l.done <- pulse.Run(ctx, rate) }()
	for {
		began := m.now()
		if err := pause(ctx, 2*time.Second); err != nil {
			return nil, errors.Join(err, l.stop())
		}
		if _, missing := bench.Delays(pulse.Sent(began, began.Add(time.Second))); missing == 0 {
			return l, nil
		}
	}
}

// stop ends them.
func (l *beside) stop() error {
	l.end()
	defer l.Close()
	return <-l.done
}

// spell is what happened in some time: how much was committed, and how long the decisions beside took until their verdicts could be read.
type spell struct {
	Records float64 `json:"records"`
	P50     float64 `json:"live_p50_s"`
	P99     float64 `json:"live_p99_s"`
	Longest float64 `json:"live_longest_s"`
}

// during says what happens while f runs.
func (l *beside) during(ctx context.Context, engine *running, f func() error) (s spell, err error) {
	was, err := total(engine.Registry(), "freshet_commit_records_total")
	if err != nil {
		return s, err
	}
	began := l.now()
	if err := f(); err != nil {
		return s, err
	}
	ended := l.now()
	is, err := total(engine.Registry(), "freshet_commit_records_total")
	if err != nil {
		return s, err
	}
	delays, err := l.delays(ctx, began, ended)
	if err != nil {
		return s, err
	}
	s = spell{Records: is - was, P50: bench.Share(delays, 0.5).Seconds(), P99: bench.Share(delays, 0.99).Seconds(), Longest: bench.Share(delays, 1).Seconds()}
	return s, nil
}

// delays returns how long decisions took that were sent between two instants. It waits for all of their verdicts.
func (l *beside) delays(ctx context.Context, from, to time.Time) ([]time.Duration, error) {
	const patience = 60 // seconds
	for range patience {
		delays, missing := bench.Delays(l.Sent(from, to))
		if missing == 0 {
			return delays, nil
		}
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("decisions have no verdict after a minute")
}

// hold has workflows hold items and waits until the engine has applied that.
func (m *measurement) hold(ctx context.Context, engine *running, w *bench.Writer, h bench.Held, stdio *cli.Stdio) error {
	progress := stdio.Progress("workflows", m.now())
	err := w.Hold(ctx, h, func(i int64) { progress.Say(i, float64(i)/float64(h.Workflows), m.now()) })
	progress.Clear()
	if err != nil {
		return cli.Unavailable(err)
	}
	if err := engine.untilGauge(ctx, stdio, "freshet_open_workflows", float64(h.Workflows)); err != nil {
		return fmt.Errorf("wait for %d open workflows: %w", h.Workflows, err)
	}
	return nil
}
