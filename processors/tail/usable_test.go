package tail

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// shape is a log, and what is said of it.
type shape struct {
	name   string
	make   func(t *testing.T, r *rig, topic string)
	rows   int   // keys a reader of committed records sees
	usable int64 // the offset after the last record
	next   int64 // from offset 0: the first record
	record bool  // from offset 0: there is a record
	after  int64 // from usable: how far the position may move
}

func shapes() []shape {
	return []shape{
		{name: "empty", make: func(*testing.T, *rig, string) {}},
		{name: "plain", make: func(t *testing.T, r *rig, topic string) { r.plain(t, topic, 0, 3) }, rows: 3, usable: 3, record: true, after: 3},
		{name: "1 marker", make: func(t *testing.T, r *rig, topic string) {
			r.writer(t, name("w")).commit(t, topic, 0, 3)
		}, rows: 3, usable: 3, record: true, after: 4},
		{name: "40 markers", make: func(t *testing.T, r *rig, topic string) {
			w := r.writer(t, name("w"))
			w.commit(t, topic, 0, 3)
			for range 39 {
				w.abort(t, topic, 0, 1)
			}
		}, rows: 3, usable: 3, record: true, after: 82},
		{name: "only aborted", make: func(t *testing.T, r *rig, topic string) {
			r.writer(t, name("w")).abort(t, topic, 0, 3)
		}, after: 4},
		{name: "aborted, then committed", make: func(t *testing.T, r *rig, topic string) {
			w := r.writer(t, name("w"))
			w.abort(t, topic, 0, 20)
			w.commit(t, topic, 0, 1)
		}, rows: 1, usable: 22, next: 21, record: true, after: 23},
		{name: "plain behind aborted", make: func(t *testing.T, r *rig, topic string) {
			r.writer(t, name("w")).abort(t, topic, 0, 2)
			r.awaitEnd(t, topic, 0, 3) // the marker comes before the record
			r.plain(t, topic, 0, 1)
		}, rows: 1, usable: 4, next: 3, record: true, after: 4},
		{name: "deleted below", make: func(t *testing.T, r *rig, topic string) {
			r.plain(t, topic, 0, 5)
			r.writer(t, name("w")).abort(t, topic, 0, 2)
			r.deleteBelow(t, topic, 0, 3)
		}, rows: 2, usable: 5, next: 3, record: true, after: 8},
		{name: "all deleted", make: func(t *testing.T, r *rig, topic string) {
			r.writer(t, name("w")).commit(t, topic, 0, 3)
			r.deleteBelow(t, topic, 0, 4)
		}, usable: 4, next: 4, after: 4},
		{name: "deleted down to a marker", make: func(t *testing.T, r *rig, topic string) {
			r.writer(t, name("w")).commit(t, topic, 0, 3)
			r.deleteBelow(t, topic, 0, 3)
		}, usable: 3, next: 4, after: 4},
	}
}

func TestEnds(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		l := r.logs(t)
		for _, s := range shapes() {
			t.Run(s.name, func(t *testing.T) {
				topic := r.topic(t, 1)
				s.make(t, r, topic)
				r.awaitStable(t, topic, 0, s.after)
				usable, err := l.Usable(within(t), topic, 0)
				if err != nil || usable != s.usable {
					t.Errorf("Usable = %d, %v; want %d", usable, err, s.usable)
				}
				next, record, err := l.Next(within(t), topic, 0, 0)
				if want := s.next; err != nil || record != s.record || s.record && next != want {
					t.Errorf("Next from 0 = %d, %v, %v; want %d, %v", next, record, err, want, s.record)
				}
				next, record, err = l.Next(within(t), topic, 0, s.usable)
				if err != nil || record || next != s.after {
					t.Errorf("Next from %d = %d, %v, %v; want %d, false", s.usable, next, record, err, s.after)
				}
			})
		}
	})
}

func TestUsableEnds(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		topic := r.topic(t, 3)
		r.plain(t, topic, 0, 2)
		r.writer(t, name("w")).commit(t, topic, 2, 3)
		r.awaitStable(t, topic, 2, 4)
		if ends, err := r.logs(t).UsableEnds(within(t), topic, 3); err != nil || !slices.Equal(ends, []int64{2, 0, 3}) {
			t.Errorf("UsableEnds = %v, %v; want 2, 0, 3", ends, err)
		}
		short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		r.writer(t, name("open")).begin(t, topic, 1, 1)
		if ends, err := r.logs(t).UsableEnds(short, topic, 3); !errors.Is(err, context.DeadlineExceeded) || ends != nil {
			t.Errorf("UsableEnds while a transaction is open = %v, %v; want that one has waited too long", ends, err)
		}
	})
}

func TestOpenTransactionHoldsTheUsableEnd(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		l := r.logs(t)
		topic := r.topic(t, 1)
		w := r.writer(t, name("owner"))
		w.commit(t, topic, 0, 3)
		w.begin(t, topic, 0, 2)
		tp := TopicPartition{topic, 0}

		if next, record, err := l.Next(within(t), topic, 0, 3); err != nil || record || next != 4 {
			t.Errorf("Next = %d, %v, %v; want 4: behind the marker, up to the open transaction", next, record, err)
		}
		open, err := l.OpenTransactions(within(t), tp)
		if err != nil || len(open) != 1 {
			t.Fatalf("OpenTransactions = %v, %v; want one", open, err)
		}
		if o := open[0]; o.ID != w.id || o.FirstOffset != 4 || o.On != tp || time.Since(o.Start).Abs() > time.Minute {
			t.Errorf("OpenTransactions = %+v; want %q from 4, begun just now", o, w.id)
		}

		// On a slow machine a short wait may be over before it has seen who holds it up.
		for wait := 300 * time.Millisecond; wait < patience && (err == nil || !strings.Contains(err.Error(), w.id)); wait *= 2 {
			short, cancel := context.WithTimeout(t.Context(), wait)
			_, err = l.Fencing(Fence{May: func(string) bool { return false }}).Usable(short, topic, 0)
			cancel()
		}
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), w.id) || !strings.Contains(err.Error(), "stable up to 4, end 6") {
			t.Errorf("Usable with a live owner = %v; want it to wait, and to name %q", err, w.id)
		}

		asked := ""
		usable, err := l.Fencing(Fence{Grace: 50 * time.Millisecond, May: func(id string) bool { asked = id; return true }}).Usable(within(t), topic, 0)
		if err != nil || usable != 3 {
			t.Errorf("Usable = %d, %v; want 3 once the dead owner's transaction is ended", usable, err)
		}
		if asked != w.id {
			t.Errorf("asked whether %q may be ended; want %q", asked, w.id)
		}
		if err := w.cl.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
			t.Error("the fenced owner could commit")
		}
		if open, err := l.OpenTransactions(within(t), tp); err != nil || len(open) != 0 {
			t.Errorf("OpenTransactions = %v, %v; want none", open, err)
		}
	})
}

// A transaction that is older than the grace is not waited for: whoever has left it is dead for longer.
func TestUsableDoesNotWaitForWhatIsOld(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		l := r.logs(t)
		topic := r.topic(t, 1)
		r.writer(t, name("owner")).begin(t, topic, 0, 2)
		l.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
		asked := false
		fencing := l.Fencing(Fence{Grace: time.Hour, May: func(string) bool { asked = true; return true }})
		if usable, err := fencing.Usable(within(t), topic, 0); err != nil || usable != 0 || !asked {
			t.Errorf("Usable = %d, %v, asked whether the owner is dead: %v; want 0 once a transaction of two hours is ended", usable, err, asked)
		}
	})
}

func TestUsableWaitsForALiveOwner(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		l := r.logs(t)
		topic := r.topic(t, 1)
		w := r.writer(t, name("owner"))
		w.begin(t, topic, 0, 2)
		type answer struct {
			usable int64
			err    error
		}
		got := make(chan answer, 1)
		asked := make(chan struct{}, 1000)
		fencing := l.Fencing(Fence{May: func(string) bool {
			asked <- struct{}{}
			return false
		}})
		go func() {
			usable, err := fencing.Usable(within(t), topic, 0)
			got <- answer{usable, err}
		}()
		select {
		case <-asked: // it waits
		case a := <-got:
			t.Fatalf("Usable = %d, %v; want it to wait for the owner", a.usable, a.err)
		}
		w.end(t, kgo.TryCommit)
		if a := <-got; a.err != nil || a.usable != 2 {
			t.Errorf("Usable = %d, %v; want 2 once the owner has committed", a.usable, a.err)
		}
	})
}

func TestNextAboveTheEnd(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		topic := r.topic(t, 1)
		r.plain(t, topic, 0, 3)
		if _, record, err := r.logs(t).Next(within(t), topic, 0, 9); record || !errors.Is(err, kerr.OffsetOutOfRange) {
			t.Errorf("Next above the end = %v, %v; want OFFSET_OUT_OF_RANGE", record, err)
		}
	})
}

func TestSince(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		topic, now := r.topic(t, 2), time.Now()
		for n := range 3 {
			rec := &kgo.Record{Topic: topic, Partition: 1, Value: []byte("v"), Timestamp: now.Add(time.Duration(n) * time.Second)}
			if err := r.cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		for after, want := range map[time.Duration]int64{-time.Hour: 0, 0: 0, 1500 * time.Millisecond: 2, time.Minute: 3, -time.Duration(1 << 62): 0} {
			at := now.Add(after)
			if got, err := r.logs(t).Since(within(t), TopicPartition{topic, 1}, at.UnixMilli()); err != nil || got != want {
				t.Errorf("since %v after the first: %d, %v; want %d", after, got, err, want)
			}
		}
		if got, err := r.logs(t).Since(within(t), TopicPartition{topic, 0}, now.UnixMilli()); err != nil || got != 0 {
			t.Errorf("of an empty partition: %d, %v; want 0", got, err)
		}
	})
}

// TestPassingErrors has the brokers answer as they do while leaders move.
func TestPassingErrors(t *testing.T) {
	for _, passing := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.OffsetNotAvailable, kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition} {
		for _, key := range []kmsg.Key{kmsg.ListOffsets, kmsg.Fetch} {
			t.Run(key.Name()+" "+passing.Message, func(t *testing.T) {
				r := fakeRig(t)
				topic := r.topic(t, 1)
				r.writer(t, name("w")).commit(t, topic, 0, 3)
				h := r.fault(passing, kfake.Fault{Keys: []kmsg.Key{key}, Count: 2})
				if usable, err := r.logs(t).Usable(within(t), topic, 0); err != nil || usable != 3 {
					t.Errorf("Usable = %d, %v; want 3", usable, err)
				}
				if h.Hits() == 0 {
					t.Error("the fault was never met")
				}
			})
		}
	}
}

func TestLastingErrorsSayWhat(t *testing.T) {
	r := fakeRig(t)
	topic := r.topic(t, 1)
	r.plain(t, topic, 0, 1)
	r.fault(kerr.TopicAuthorizationFailed, kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Count: -1})
	_, err := r.logs(t).Usable(within(t), topic, 0)
	if !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), topic+"-0") {
		t.Errorf("Usable = %v; want the missing permission and the partition", err)
	}
}

// TestThrottledFetch has the broker answer as it does when a quota is used up: without naming the partition.
func TestThrottledFetch(t *testing.T) {
	r := fakeRig(t)
	topic := r.topic(t, 1)
	r.writer(t, name("w")).commit(t, topic, 0, 3)
	throttled := 0
	r.fake.ControlKey(kmsg.Fetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if throttled++; throttled > 2 {
			return nil, nil, false
		}
		r.fake.KeepControl()
		return req.ResponseKind(), nil, true
	})
	if usable, err := r.logs(t).Usable(within(t), topic, 0); err != nil || usable != 3 {
		t.Errorf("Usable = %d, %v; want 3", usable, err)
	}
	if throttled < 3 {
		t.Errorf("%d fetches; want two throttled and one answered", throttled)
	}
}

// TestHoleAtTheEnd has the broker answer as it does where compaction has left nothing: no records, and a stable offset further on. One
// such answer alone is not believed.
func TestHoleAtTheEnd(t *testing.T) {
	for _, c := range []struct {
		empty  int // answers without records, then the truth
		next   int64
		record bool
	}{{1, 0, true}, {emptyAnswers - 1, 0, true}, {1000, 3, false}} {
		r := fakeRig(t)
		topic := r.topic(t, 1)
		r.plain(t, topic, 0, 3)
		answers := 0
		r.fake.ControlKey(kmsg.Fetch.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
			r.fake.KeepControl()
			req := kreq.(*kmsg.FetchRequest)
			if answers++; answers > c.empty || req.Topics[0].Partitions[0].FetchOffset >= 3 {
				return nil, nil, false
			}
			resp := kreq.ResponseKind().(*kmsg.FetchResponse)
			rt, rp := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
			rt.Topic, rp.HighWatermark, rp.LastStableOffset, rp.RecordBatches = topic, 3, 3, []byte{}
			rt.Partitions = append(rt.Partitions, rp)
			resp.Topics = append(resp.Topics, rt)
			return resp, nil, true
		})
		next, record, err := r.logs(t).Next(within(t), topic, 0, 0)
		if err != nil || next != c.next || record != c.record {
			t.Errorf("%d empty answers: Next = %d, %v, %v; want %d, %v", c.empty, next, record, err, c.next, c.record)
		}
	}
}
