package clock

import (
	"context"
	"testing"

	"github.com/go-kit/log"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/processors/tail"
)

// offsets is what groups have committed, in memory.
type offsets map[tail.TopicPartition]tail.Committed

func (o offsets) Committed(_ context.Context, _ string, topics map[string]int32) (map[tail.TopicPartition]tail.Committed, error) {
	all := map[tail.TopicPartition]tail.Committed{}
	for tp, c := range o {
		if _, asked := topics[tp.Topic]; asked {
			all[tp] = c
		}
	}
	return all, nil
}

func (o offsets) Ends(context.Context, []tail.TopicPartition, bool) (map[tail.TopicPartition]int64, error) {
	return nil, nil
}

// originsOf returns the origins of two partitions of a topic with a lateness of 10 and a skew of 5, and their inputs.
func originsOf(t *testing.T, logs offsets) (*Origins, [2]*Input) {
	t.Helper()
	poller := NewPoller(nil, func() event.Time { return 5000 }, 0, nil, log.NewNopLogger())
	o := NewOrigins(logs, poller, []Origin{{Topic: "tool", Partitions: 2, Group: "g"}}, func(string) Bounds { return Bounds{Lateness: 10, Skew: 5} })
	return o, [2]*Input{o.inputs[tail.TopicPartition{Topic: "tool", Partition: 0}], o.inputs[tail.TopicPartition{Topic: "tool", Partition: 1}]}
}

// TestOriginsAreAsFarAsTheLastOfThem moves two partitions on, by what their owners have committed.
func TestOriginsAreAsFarAsTheLastOfThem(t *testing.T) {
	logs := offsets{}
	o, in := originsOf(t, logs)
	ask := func() {
		t.Helper()
		if err := o.ask(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	in[0].Observe(1000, 3)
	in[1].Observe(1000, 7)
	if ask(); o.promise().hasApplied {
		t.Error("applied before anything has been committed")
	}
	logs[tail.TopicPartition{Topic: "tool", Partition: 0}] = tail.Committed{Next: 3, Newest: 900}
	if ask(); o.promise() != (promise{}) {
		t.Errorf("%+v while one partition has committed nothing", o.promise())
	}
	if name, why := o.clock.Why(); name != "tool/1" || why != NoPosition {
		t.Errorf("held by %s: %s", name, why)
	}
	logs[tail.TopicPartition{Topic: "tool", Partition: 1}] = tail.Committed{Next: 5, Newest: 700}
	if ask(); o.promise() != (promise{complete: 700 - 5 - 10, hasComplete: true}) {
		t.Errorf("%+v; want the records' times of the last partition, less skew and lateness", o.promise())
	}
	logs[tail.TopicPartition{Topic: "tool", Partition: 1}] = tail.Committed{Next: 7, Newest: 800}
	if ask(); o.promise() != (promise{applied: 1000, complete: 990, hasApplied: true, hasComplete: true}) {
		t.Errorf("%+v; want all applied", o.promise())
	}
	in[0].Observe(1250, 3)
	in[1].Observe(1250, 8) // one more record, not copied yet
	if ask(); o.promise().applied != 1000 {
		t.Errorf("%+v; a record of another partition is not applied", o.promise())
	}
	if name, why := o.clock.Why(); name != "tool/1" || why != Behind {
		t.Errorf("held by %s: %s", name, why)
	}
}

// TestOriginsDoNotWaitForWhatIsHeldBack holds a partition back for a while: the other counts alone until then.
func TestOriginsDoNotWaitForWhatIsHeldBack(t *testing.T) {
	one := tail.TopicPartition{Topic: "tool", Partition: 1}
	logs := offsets{{Topic: "tool", Partition: 0}: {Next: 3}, one: {Next: 5, HeldUntil: 5001}}
	o, in := originsOf(t, logs)
	in[0].Observe(1000, 3)
	in[1].Observe(1000, 7)
	for _, c := range []struct {
		until   event.Time
		applied event.Time // 0: not known
	}{{0, 0}, {5001, 1000}, {5000, 1000}, {0, 1000}} { // clocks never go back
		logs[one] = tail.Committed{Next: 5, HeldUntil: c.until}
		if err := o.ask(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p := o.promise(); p.applied != c.applied || p.hasApplied != (c.applied != 0) {
			t.Errorf("held until %d: %+v; want %d", c.until, p, c.applied)
		}
	}
	in[0].Observe(1250, 3)
	if o.promise().applied != 1000 {
		t.Error("a partition that is held back no longer is passed over all the same")
	}
}

// TestArrivalsKeepPromisesInOrder lets the copies be applied bit by bit.
func TestArrivalsKeepPromisesInOrder(t *testing.T) {
	o, _ := originsOf(t, offsets{})
	a := &arrivals{input: &Input{}, origins: o}
	at := func(n event.Time) promise {
		return promise{applied: n, complete: n - 1, hasApplied: true, hasComplete: true}
	}
	shows := func(when string, want event.Time) {
		t.Helper()
		applied, known := a.Applied()
		complete, _ := a.complete(freshness.Duration(77), 0)
		if want == 0 {
			if known {
				t.Errorf("%s: applied through %d", when, applied)
			}
			return
		}
		if !known || applied != want || complete != want-1 {
			t.Errorf("%s: applied through %d, complete through %d; want %d", when, applied, complete, want)
		}
	}
	a.expect(promise{}, 0)
	a.expect(at(100), 4)
	a.expect(at(200), 4) // says more than the one before, at the same end
	a.expect(at(300), 9)
	shows("before the position is known", 0)
	a.input.Committed(3)
	shows("before the first copy of a promise is applied", 0)
	a.input.Committed(4)
	shows("with the copies of two promises", 200)
	a.input.Committed(8)
	shows("before the last copy", 200)
	a.input.Committed(9)
	shows("with all copies", 300)
	a.expect(at(400), 9)
	shows("with a promise that needs no copy", 400)
}

// TestArrivalsForgetWhatTheyNeedNot never lets the copies be applied: what waits stays bounded, and the latest is among it.
func TestArrivalsForgetWhatTheyNeedNot(t *testing.T) {
	o, _ := originsOf(t, offsets{})
	a := &arrivals{input: &Input{}, origins: o}
	const last = 10 * boundLimit
	for n := event.Time(1); n <= last; n++ {
		a.expect(promise{applied: n, hasApplied: true}, int64(n))
	}
	if n := len(a.waiting); n > boundLimit {
		t.Errorf("%d promises wait", n)
	}
	a.input.Committed(last)
	if applied, _ := a.Applied(); applied != last {
		t.Errorf("applied through %d; want the latest", applied)
	}
}
