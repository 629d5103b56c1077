package clock

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/processors/tail"
)

var errGone = errors.New("no brokers")

// fakeLogs is the logs of a cluster in memory.
type fakeLogs struct {
	mu    sync.Mutex
	logs  map[tail.TopicPartition]*fakeLog
	err   error
	now   func() event.Time
	calls []event.Time // instants at which ends were asked for
	looks int
}

// fakeLog is one log. What lies at an offset is a record a reader is given, or not.
type fakeLog struct {
	start, stable int64
	given         []bool
	err           error
}

func (f *fakeLogs) Ends(_ context.Context, tps []tail.TopicPartition, committed bool) (map[tail.TopicPartition]int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !committed {
		f.calls = append(f.calls, f.now())
	}
	return f.list(tps, func(l *fakeLog) int64 {
		if committed {
			return l.stable
		}
		return int64(len(l.given))
	})
}

func (f *fakeLogs) Starts(_ context.Context, tps []tail.TopicPartition) (map[tail.TopicPartition]int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list(tps, func(l *fakeLog) int64 { return l.start })
}

func (f *fakeLogs) list(tps []tail.TopicPartition, of func(*fakeLog) int64) (map[tail.TopicPartition]int64, error) {
	if f.err != nil {
		return nil, f.err
	}
	m := make(map[tail.TopicPartition]int64)
	var errs []error
	for _, tp := range tps {
		l := f.logs[tp]
		if l.err != nil {
			errs = append(errs, l.err)
			continue
		}
		m[tp] = of(l)
	}
	return m, errors.Join(errs...)
}

func (f *fakeLogs) Next(_ context.Context, topic string, partition int32, from int64) (int64, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	l := f.logs[tail.TopicPartition{Topic: topic, Partition: partition}]
	if l.err != nil {
		return from, false, l.err
	}
	for o := max(from, l.start); o < l.stable; o++ {
		if l.given[o] {
			return o, true, nil
		}
	}
	return max(from, l.stable), false, nil
}

// bench is a poller over logs in memory, with a clock that a test moves.
type bench struct {
	t      *testing.T
	logs   *fakeLogs
	poller *Poller
	now    event.Time
	ticks  int
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, now: 1000, logs: &fakeLogs{logs: map[tail.TopicPartition]*fakeLog{}}}
	b.logs.now = func() event.Time { return b.now }
	b.poller = NewPoller(b.logs, b.logs.now, 250*time.Millisecond, func(context.Context) { b.ticks++ }, log.NewNopLogger())
	return b
}

func (b *bench) log(topic string, given ...bool) (tail.TopicPartition, *fakeLog) {
	tp := tail.TopicPartition{Topic: topic}
	l := &fakeLog{given: given, stable: int64(len(given))}
	b.logs.logs[tp] = l
	return tp, l
}

// round moves the time by 250 ms and polls.
func (b *bench) round() event.Time {
	b.now += 250
	b.poller.Round(b.t.Context())
	return b.now
}

func TestPollerEmptyAndIdle(t *testing.T) {
	b := newBench(t)
	tp, l := b.log("t")
	var c Input
	b.poller.Register(tp, &c)
	check(t, "registered", &c, want{-1, 0, Unknown})
	now := b.round()
	check(t, "the first round resolves it", &c, want{now, 0, Following})
	now = b.round()
	check(t, "idle", &c, want{now, 0, Following})

	// A topic whose records have all been deleted is as empty.
	l.start, l.stable, l.given = 3, 3, make([]bool, 3)
	var d Input
	b.poller.Register(tp, &d)
	now = b.round()
	check(t, "deleted below", &d, want{now, 0, Following})
	if p, known := d.Position(); !known || p != 3 {
		t.Errorf("Position = %d, %v; want 3, the log's start", p, known)
	}
}

func TestPollerLooksThroughMarkers(t *testing.T) {
	b := newBench(t)
	tp, l := b.log("t", true, true, false)
	var c Input
	c.Committed(0)
	b.poller.Register(tp, &c)
	b.round()
	b.round()
	b.round()
	check(t, "records wait", &c, want{-1, 3, Behind})
	if b.logs.looks != 1 {
		t.Errorf("looked %d times at a log whose next record waits; want once", b.logs.looks)
	}
	c.Committed(2)
	b.round()
	check(t, "applied, the marker is ahead", &c, want{-1, 1, Behind})
	now := b.round()
	check(t, "looked through", &c, want{now, 0, Following})
	if p, _ := c.Position(); p != 3 {
		t.Errorf("Position = %d; want 3, behind the marker", p)
	}
	l.given, l.stable = append(l.given, false, false, true, false), 7
	b.round()
	now = b.round()
	if p, _ := c.Position(); p != 5 {
		t.Errorf("Position = %d; want 5, the next record", p)
	}
	if a, _ := c.Applied(); a >= now-250 {
		t.Errorf("Applied = %d, though a record waits since %d", a, now-250)
	}
	c.Committed(6)
	b.round()
	now = b.round()
	check(t, "the end", &c, want{now, 0, Following})
}

// TestPollerLooksAgain has retention delete the record that waits.
func TestPollerLooksAgain(t *testing.T) {
	b := newBench(t)
	tp, l := b.log("t", true, false)
	var c Input
	c.Committed(0)
	b.poller.Register(tp, &c)
	b.round()
	b.round()
	check(t, "waits", &c, want{-1, 2, Behind})
	l.start = 2
	for range lookAgain {
		b.round()
	}
	check(t, "deleted", &c, want{b.now, 0, Following})
}

func TestPollerOpenTransaction(t *testing.T) {
	b := newBench(t)
	tp, l := b.log("t", true, true)
	l.stable = 1
	var c Input
	c.Committed(0)
	b.poller.Register(tp, &c)
	b.round()
	b.round()
	check(t, "a record waits before the transaction", &c, want{-1, 2, Behind})
	c.Committed(1)
	b.round()
	b.round()
	check(t, "held", &c, want{-1, 1, OpenTransaction})
	b.round()
	check(t, "held on", &c, want{-1, 1, OpenTransaction})
	l.given, l.stable = append(l.given, false), 3
	b.round()
	check(t, "committed", &c, want{-1, 2, Behind})
	c.Committed(2)
	b.round()
	now := b.round()
	check(t, "applied", &c, want{now, 0, Following})
}

func TestPollerBrokersGone(t *testing.T) {
	b := newBench(t)
	tp, l := b.log("t")
	other, _ := b.log("u")
	var c, d Input
	b.poller.Register(tp, &c)
	b.poller.Register(other, &d)
	was := b.round()
	b.logs.err = errGone
	b.round()
	check(t, "gone", &c, want{was, 0, Unreachable})
	b.logs.err, l.err = nil, errGone
	now := b.round()
	check(t, "one partition does not answer", &c, want{was, 0, Unreachable})
	check(t, "the other does", &d, want{now, 0, Following})
	l.err = nil
	now = b.round()
	check(t, "back", &c, want{now, 0, Following})
	if b.ticks != 4 {
		t.Errorf("%d ticks; want one after each round, failed or not", b.ticks)
	}
}

func TestPollerUnregister(t *testing.T) {
	b := newBench(t)
	tp, _ := b.log("t")
	var c, d Input
	b.poller.Register(tp, &c)
	b.poller.Register(tp, &c)
	b.poller.Register(tp, &d)
	was := b.round()
	b.poller.Unregister(tp, &c)
	now := b.round()
	check(t, "unregistered", &c, want{was, 0, Following})
	check(t, "still registered", &d, want{now, 0, Following})
	b.poller.Unregister(tp)
	b.round()
	check(t, "unregistered with the partition", &d, want{now, 0, Following})
	if n := len(b.logs.calls); n != 2 {
		t.Errorf("ends were asked for %d times; want 2: without inputs there is nothing to ask", n)
	}
}

// TestPollerRun runs the poller in a bubble of fake time: rounds come at the interval.
func TestPollerRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		logs := &fakeLogs{logs: map[tail.TopicPartition]*fakeLog{{Topic: "t"}: {}}}
		logs.now = func() event.Time { return event.Time(time.Since(start).Milliseconds()) }
		p := NewPoller(logs, logs.now, 250*time.Millisecond, nil, log.NewNopLogger())
		var c Input
		p.Register(tail.TopicPartition{Topic: "t"}, &c)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		<-time.After(1100 * time.Millisecond)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		want := []event.Time{0, 250, 500, 750, 1000}
		if !slices.Equal(logs.calls, want) {
			t.Errorf("ends were asked for at %v; want %v", logs.calls, want)
		}
		check(t, "at the end", &c, wantFollowing(1000))
	})
}

// TestPollerWakes has an input come in the middle of an hour between two rounds: it is asked for soon, and once for all that come with it.
func TestPollerWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		logs := &fakeLogs{logs: map[tail.TopicPartition]*fakeLog{{Topic: "t"}: {}, {Topic: "u"}: {}}}
		logs.now = func() event.Time { return event.Time(time.Since(start).Milliseconds()) }
		p := NewPoller(logs, logs.now, time.Hour, nil, log.NewNopLogger())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		<-time.After(time.Minute)
		var c, d Input
		p.Register(tail.TopicPartition{Topic: "t"}, &c)
		<-time.After(wakePause / 2)
		p.Register(tail.TopicPartition{Topic: "u"}, &d)
		<-time.After(time.Second)
		p.Wake()
		<-time.After(time.Second)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		if want := []event.Time{60_010, 61_015}; !slices.Equal(logs.calls, want) {
			t.Errorf("ends were asked for at %v; want %v", logs.calls, want)
		}
		check(t, "the second", &d, wantFollowing(61_015))
	})
}

func wantFollowing(at event.Time) want { return want{at, 0, Following} }
