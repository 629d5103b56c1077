package clock

import (
	"slices"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
)

func caughtUp(at event.Time) *Input {
	var c Input
	c.Committed(0)
	c.Observe(at, 0)
	return &c
}

func TestPartition(t *testing.T) {
	var none Input
	behind := caughtUp(500)
	behind.Observe(900, 4)
	slow := Part{Name: "contracts-0", Input: behind, Bounds: Bounds{Lateness: 10}}
	for _, c := range []struct {
		name              string
		parts             []Part
		applied, complete event.Time // -1: not known
		holds             string
		why               Reason
		records           int64
	}{
		{"no inputs", nil, -1, -1, "", Unknown, 0},
		{"one input", []Part{{Name: "a-0", Input: caughtUp(900), Bounds: Bounds{Lateness: 100}}}, 900, 800, "", Following, 0},
		{"the earliest counts", []Part{{Name: "a-0", Input: caughtUp(900), Bounds: Bounds{Lateness: 600}}, slow}, 500, 300, "contracts-0", Behind, 4},
		{"one is not known", []Part{slow, {Name: "b-0", Input: &none}}, -1, -1, "b-0", Unknown, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewPartition(c.parts...)
			applied, known := p.Applied()
			if known != (c.applied >= 0) || known && applied != c.applied {
				t.Errorf("Applied = %d, %v; want %d", applied, known, c.applied)
			}
			complete, known := p.Complete()
			if known != (c.complete >= 0) || known && complete != c.complete {
				t.Errorf("Complete = %d, %v; want %d", complete, known, c.complete)
			}
			if name, why := p.Why(); name != c.holds || why != c.why {
				t.Errorf("Why = %q, %s; want %q, %s", name, why, c.holds, c.why)
			}
			if n := p.Behind(); n != c.records {
				t.Errorf("Behind = %d; want %d", n, c.records)
			}
		})
	}
}

// TestPartitionNeverGoesBack gives a partition another lateness and an input that knows nothing.
func TestPartitionNeverGoesBack(t *testing.T) {
	a := caughtUp(900)
	p := NewPartition(Part{Name: "a-0", Input: a, Bounds: Bounds{Lateness: 100}})
	show := func(when string, applied, complete event.Time) {
		t.Helper()
		if x, known := p.Applied(); !known || x != applied {
			t.Errorf("%s: Applied = %d, %v; want %d", when, x, known, applied)
		}
		if x, known := p.Complete(); !known || x != complete {
			t.Errorf("%s: Complete = %d, %v; want %d", when, x, known, complete)
		}
	}
	show("at first", 900, 800)
	p.Set(Part{Name: "a-0", Input: a, Bounds: Bounds{Lateness: 400}})
	show("more lateness", 900, 800)
	a.Observe(1300, 0)
	show("passed", 1300, 900)
	var b Input
	p.Set(Part{Name: "a-0", Input: a, Bounds: Bounds{Lateness: 400}}, Part{Name: "b-0", Input: &b})
	a.Observe(2000, 0)
	show("an input that knows nothing", 1300, 900)
	b.Committed(0)
	b.Observe(1000, 0)
	show("an input that is earlier", 1300, 1000)
	b.Observe(2000, 0)
	show("all passed", 2000, 1600)
}

func TestReasonNames(t *testing.T) {
	want := []string{"unknown", "following", "records_waiting", "input_open_transaction", "position_unknown", "output_refused", "brokers_unreachable"}
	var got []string
	for _, r := range Reasons() {
		got = append(got, r.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("reasons are %q; want %q", got, want)
	}
	if s := Reason(200).String(); s != "unknown" {
		t.Errorf("a reason that does not exist is %q; want unknown", s)
	}
}

func TestMonotonic(t *testing.T) {
	base := time.UnixMilli(1_700_000_000_000)
	var passed time.Duration
	m := NewMonotonic(base, func() time.Duration { return passed })
	if m.Now() != event.Of(base) {
		t.Errorf("Now = %d at first; want %d", m.Now(), event.Of(base))
	}
	passed = 2*time.Second + 999*time.Microsecond
	if want := event.Of(base) + 2000; m.Now() != want {
		t.Errorf("Now = %d; want %d, fractions cut off", m.Now(), want)
	}
}

func TestSystemClock(t *testing.T) {
	m := System()
	before := m.Now()
	if d := time.Since(before.Go()).Abs(); d > 10*time.Second {
		t.Errorf("it shows %s, %v off", before.Go(), d)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); m.Now() < before+5; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it stands still")
		}
	}
}
