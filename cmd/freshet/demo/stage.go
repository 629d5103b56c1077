package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/cmd/freshet/committed"
	"github.com/freshet-io/freshet/cmd/freshet/loader"
	"github.com/freshet-io/freshet/cmd/freshet/verdict"
	"github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/recorded"
	"github.com/freshet-io/freshet/topology"
)

// stage is what the demo runs: broker, engine, player, and a reader of the verdicts.
type stage struct {
	dir, contracts string
	length         time.Duration
	now            func() time.Time
	logger         log.Logger

	engine *app.App
	script *Script
	loader *loader.Loader
}

// Times within the demo.
const (
	tail      = 4 * time.Second // between the last event and the end, so that its verdict is seen
	shortest  = 3 * time.Second
	statusGap = 250 * time.Millisecond
	readyGap  = 50 * time.Millisecond
)

// errOver ends the demo when its time is over.
var errOver = errors.New("the demo is over")

// run puts the demo on, and tells send what happens.
func (s *stage) run(ctx context.Context, send func(any)) error {
	ends := s.now().Add(s.length)
	ctx, cancel := context.WithDeadlineCause(ctx, ends, errOver)
	defer cancel()
	send(phase("Starting the broker"))
	broker, err := s.broker(ctx)
	if err != nil {
		return over(ctx, err)
	}
	err = s.perform(ctx, broker, ends, send)
	stop, cancelStop := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancelStop()
	return errors.Join(over(ctx, err), services.StopAndAwaitTerminated(stop, broker))
}

// over makes the end of the demo, by its time or by who watches it, no error.
func over(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errOver)) {
		return nil
	}
	return err
}

func (s *stage) broker(ctx context.Context) (*embedded.Broker, error) {
	var cfg embedded.Config
	cfg.RegisterFlags(flag.NewFlagSet("demo", flag.ContinueOnError))
	cfg.Listen, cfg.Dir = "127.0.0.1:0", filepath.Join(s.dir, "broker")
	b, err := embedded.New(cfg, s.logger)
	if err != nil {
		return nil, err
	}
	if err := services.StartAndAwaitRunning(ctx, b); err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	return b, nil
}

// perform loads the history, starts the engine and plays the live stretch.
func (s *stage) perform(ctx context.Context, broker *embedded.Broker, ends time.Time, send func(any)) error {
	if err := s.wire(broker.Addr()); err != nil {
		return err
	}
	history := event.Of(s.now())
	if err := s.load(ctx, broker.Addr(), history, send); err != nil {
		return err
	}
	defer s.loader.Close()
	send(phase("Starting the engine on what has happened so far"))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.engine.Run(ctx) })
	group.Go(func() error { return s.watch(ctx, broker.Addr(), send) })
	group.Go(func() error { return s.report(ctx, ends, send) })
	group.Go(func() error {
		if err := s.ready(ctx); err != nil {
			return err
		}
		send(where{broker.Addr(), s.engine.HTTPAddr()})
		begin := s.now()
		send(began{event.Of(begin)})
		send(phase("Playing recorded sessions"))
		return s.play(ctx, history, begin, max(shortest, ends.Sub(begin)-tail))
	})
	return group.Wait()
}

// wire makes the engine, which reads the contract and says what topics there have to be.
func (s *stage) wire(broker string) error {
	if err := os.WriteFile(s.contracts, recorded.Contract(), 0o600); err != nil {
		return fmt.Errorf("write the contract: %w", err)
	}
	var cfg app.Config
	cfg.RegisterFlags(flag.NewFlagSet("demo", flag.ContinueOnError))
	cfg.ContractsFile, cfg.Brokers, cfg.DataDir, cfg.HTTPListen = s.contracts, broker, s.dir, "127.0.0.1:0"
	cfg.Topics.Partitions = 4
	var err error
	s.engine, err = app.New(cfg, s.logger)
	return err
}

// load creates the topics and writes the history into them.
func (s *stage) load(ctx context.Context, broker string, now event.Time, send func(any)) error {
	lines, err := recorded.Events()
	if err != nil {
		return err
	}
	if s.script, err = NewScript(lines, liveFrom, liveTo); err != nil {
		return err
	}
	n, _ := s.script.Events()
	send(phase(fmt.Sprintf("Loading %d recorded events", n)))
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", broker, err)
	}
	defer client.Close()
	changes, err := topology.Plan(ctx, kadm.NewClient(client), s.engine.Graph(), s.dir)
	if err != nil {
		return err
	}
	if err := topology.Apply(ctx, client, changes); err != nil {
		return err
	}
	if s.loader, err = loader.Open(ctx, access.Open(broker), s.engine.Graph()); err != nil {
		return err
	}
	if err := s.script.History(now, func(line []byte) error { return s.produce(ctx, line) }); err != nil {
		return err
	}
	return s.loader.Finish(ctx)
}

func (s *stage) produce(ctx context.Context, line []byte) error {
	r, reason := s.loader.Record(line)
	if reason != event.OK {
		return fmt.Errorf("a recorded event is refused: %v", reason)
	}
	return s.loader.Produce(ctx, r)
}

// ready waits until the engine has caught up with the history.
func (s *stage) ready(ctx context.Context) error {
	select {
	case <-s.engine.Running():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	t := time.NewTicker(readyGap)
	defer t.Stop()
	for s.engine.Ready() != nil {
		select {
		case <-t.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// play writes each event of the live stretch when its time has come.
func (s *stage) play(ctx context.Context, history event.Time, begin time.Time, length time.Duration) error {
	err := s.script.Live(history, event.Of(begin), freshness.Duration(length.Milliseconds()), func(at event.Time, line []byte) error {
		wait := time.NewTimer(at.Go().Sub(s.now()))
		defer wait.Stop()
		select {
		case <-wait.C:
			return s.produce(ctx, line)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err != nil {
		return err
	}
	return s.loader.Finish(ctx)
}

// watch reads freshet.verdicts as any client would.
func (s *stage) watch(ctx context.Context, broker string, send func(any)) error {
	r, err := committed.NewReader(ctx, access.Open(broker), s.engine.Graph().Verdicts)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Follow(ctx, func(k *kgo.Record) error {
		one, err := verdict.Parse(k.Value)
		if err != nil {
			return err
		}
		send(judged{verdict.Revision{Record: one}})
		return nil
	})
}

// report says how the engine stands, until the demo is over.
func (s *stage) report(ctx context.Context, ends time.Time, send func(any)) error {
	t := time.NewTicker(statusGap)
	defer t.Stop()
	was, wasAt := int64(0), s.now()
	rate := 0.0
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
		now := s.now()
		applied, err := s.applied()
		if err != nil {
			return err
		}
		if took := now.Sub(wasAt).Seconds(); took >= 1 {
			rate = float64(applied-was) / took
			was, wasAt = applied, now
		}
		st := status{applied: applied, rate: rate, left: ends.Sub(now)}
		if s.isRunning() {
			s.clocks(&st, event.Of(now))
		}
		send(st)
	}
}

func (s *stage) isRunning() bool {
	select {
	case <-s.engine.Running():
		return true
	default:
		return false
	}
}

// clocks reads the partitions: how many are live, and how far the one that is furthest behind is.
func (s *stage) clocks(st *status, now event.Time) {
	for _, p := range s.engine.Partitions() {
		st.parts++
		if p.Live {
			st.live++
		}
		st.behind = max(st.behind, time.Duration(now-p.CompleteThrough)*time.Millisecond)
	}
}

// applied returns how many events the engine has applied.
func (s *stage) applied() (int64, error) {
	families, err := s.engine.Registry().Gather()
	if err != nil {
		return 0, fmt.Errorf("read the metrics: %w", err)
	}
	n := 0.0
	for _, f := range families {
		if f.GetName() != "freshet_events_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "result" && l.GetValue() == "applied" {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return int64(n), nil
}
