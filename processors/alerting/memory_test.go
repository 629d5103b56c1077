package alerting

import (
	"testing"

	"github.com/go-kit/log"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/gateway"
)

// away is a gateway without a session, as when the brokers are gone; or with one that has not the partition.
type away struct{ running bool }

func (a away) Running() bool                      { return a.running }
func (a away) Partition(int32) *gateway.Partition { return nil }

// sink acknowledges everything at once.
type sink struct {
	now     func() event.Time
	got     []alerts.Notification
	acks    []alerts.Ack
	emptied bool
}

func (s *sink) Targets() []alerts.Target {
	return []alerts.Target{{ID: "am", Kind: alerts.Alertmanager}}
}
func (s *sink) Offer(due []alerts.Notification, whole bool) {
	s.emptied = s.emptied || whole && len(due) == 0
	for i := range due {
		s.got = append(s.got, due[i])
		s.acks = append(s.acks, alerts.AckOf(&due[i], s.now()))
	}
}
func (s *sink) Acks() []alerts.Ack     { a := s.acks; s.acks = nil; return a }
func (s *sink) Acked() <-chan struct{} { return nil }
func (s *sink) Alive()                 {}

func (s *sink) count(id string, p alerts.Purpose) int {
	n := 0
	for i := range s.got {
		if s.got[i].Row.ID == id && s.got[i].Purpose == p {
			n++
		}
	}
	return n
}

// A process is frozen for minutes, and another one evaluates meanwhile. When it goes on its clocks are where they were. That is not what the
// engine's are: it says nothing.
func TestAFrozenProcessIsNotBlind(t *testing.T) {
	now := event.Time(1_000_000)
	applied := now
	s := &sink{now: func() event.Time { return now }}
	var cfg Config
	rows, err := cfg.New()
	if err != nil {
		t.Fatal(err)
	}
	g := New(Deps{Alerts: rows, Dispatcher: s, Metrics: metrics.New(nil), Now: s.now, Logger: log.NewNopLogger(),
		Clocks: func() []alerts.Partition {
			return []alerts.Partition{{Name: "freshet-workflows/0", Live: true, Applied: applied}}
		}})
	g.was, g.sent = true, now
	for range 5 {
		now += 1000
		applied = now
		g.live()
		g.fromMemory(away{})
	}
	now += 130_000
	for range 15 { // it finds out that it is no member any more
		now += 1000
		g.live()
		g.fromMemory(away{})
	}
	for range 30 {
		now += 1000
		g.live()
		g.fromMemory(away{running: true})
	}
	if n := s.count(alerts.EngineBlind, alerts.Tell); n != 0 {
		t.Errorf("told %d times that the engine is blind", n)
	}
}

// What a process has from before it was frozen it does not say any more: not what waits to be sent, not what was stored and is due, and not
// that what fired still does. Another instance may have told that it is over.
func TestAFrozenProcessSaysNothingOld(t *testing.T) {
	now := event.Time(1_000_000)
	s := &sink{now: func() event.Time { return now }}
	var cfg Config
	rows, err := cfg.New()
	if err != nil {
		t.Fatal(err)
	}
	g := New(Deps{Alerts: rows, Dispatcher: s, Metrics: metrics.New(nil), Now: s.now, Logger: log.NewNopLogger(),
		Clocks: func() []alerts.Partition { // they stand
			return []alerts.Partition{{Name: "freshet-workflows/0", Live: true, Applied: 1_000_000}}
		}})
	g.was, g.sent = true, now
	for range 100 {
		now += 1000
		g.live()
		g.fromMemory(away{})
	}
	if n := s.count(alerts.EngineBlind, alerts.Tell); n != 1 {
		t.Fatalf("told %d times that the engine is blind", n)
	}
	due := []alerts.Notification{{To: s.Targets()[0], Purpose: alerts.Tell, Row: &alerts.Row{ID: "SourceSilent/policy"}}}
	commit := func() int {
		before := s.count("SourceSilent/policy", alerts.Tell)
		g.part = new(gateway.Partition)
		g.due, g.made, g.waiting = due, now, true
		return before
	}
	before := commit()
	g.Committed(g.part, 1, nil, nil)
	if n := s.count("SourceSilent/policy", alerts.Tell) - before; n != 1 {
		t.Fatalf("what is due was offered %d times once it was stored", n)
	}
	before = commit()
	old := len(s.got)
	s.emptied = false
	now += 130_000
	g.Committed(g.part, 1, nil, nil) // it hears that it was stored when it goes on
	g.part = nil
	if n := s.count("SourceSilent/policy", alerts.Tell) - before; n != 0 || !s.emptied {
		t.Errorf("what was due before is offered %d times; what waited is given up: %v", n, s.emptied)
	}
	for range 15 {
		now += 1000
		g.live()
		g.fromMemory(away{})
	}
	if len(s.got) != old {
		t.Errorf("it says %+v", s.got[old:])
	}
}

// The brokers are gone. The instance that evaluated last says so from memory, once, and that it is over; the one that did not says nothing.
func TestBlindnessIsSaidFromMemory(t *testing.T) {
	for _, evaluated := range []bool{true, false} {
		now := event.Time(1_000_000)
		applied := now
		var cfg Config
		rows, err := cfg.New()
		if err != nil {
			t.Fatal(err)
		}
		s := &sink{now: func() event.Time { return now }}
		g := New(Deps{Alerts: rows, Dispatcher: s, Metrics: metrics.New(nil), Now: s.now, Logger: log.NewNopLogger(),
			Clocks: func() []alerts.Partition {
				return []alerts.Partition{{Name: "freshet-workflows/0", Live: true, Applied: applied}}
			}})
		g.was, g.sent = evaluated, now
		for range 200 {
			now += 1000
			g.fromMemory(away{})
		}
		if n, want := s.count(alerts.EngineBlind, alerts.Tell), map[bool]int{true: 1}[evaluated]; n != want {
			t.Errorf("evaluated %v: told %d times", evaluated, n)
		}
		if n := s.count(alerts.EngineBlind, alerts.Repeat); evaluated && n < 2 {
			t.Errorf("repeated %d times", n)
		}
		for range 100 { // the brokers are back, and another instance has got the partition
			now += 1000
			applied = now
			g.fromMemory(away{running: true})
		}
		if n, want := s.count(alerts.EngineBlind, alerts.Resolve), map[bool]int{true: 1}[evaluated]; n != want {
			t.Errorf("evaluated %v: resolved %d times", evaluated, n)
		}
		if s.emptied != evaluated {
			t.Errorf("evaluated %v: what waited to be delivered was given up: %v", evaluated, s.emptied)
		}
		before := len(s.got)
		now += 100_000
		g.fromMemory(away{running: true})
		if len(s.got) != before {
			t.Errorf("evaluated %v: it goes on after another has taken over", evaluated)
		}
	}
}
