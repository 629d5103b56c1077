package tail

import (
	"context"
	"fmt"
	"io"
	"log"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kgo"
)

func saramaConfig() *sarama.Config {
	cfg := goka.DefaultConfig()
	cfg.Version = sarama.V3_0_0_0
	cfg.Consumer.IsolationLevel = sarama.ReadCommitted
	return cfg
}

func gokaManager(t *testing.T, r *rig) goka.TopicManager {
	t.Helper()
	cfg := goka.NewTopicManagerConfig()
	cfg.Table.Replication, cfg.Stream.Replication = 1, 1
	tm, err := goka.NewTopicManager(r.seeds, saramaConfig(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

// recovered runs a goka View of a table whose topic manager is decorated, and returns how many rows it holds once it has recovered.
func recovered(t *testing.T, r *rig, l *Logs, topic string) int {
	t.Helper()
	builder := func([]string) (goka.TopicManager, error) { return l.TopicManager(gokaManager(t, r), nil), nil }
	v, err := goka.NewView(r.seeds, goka.Table(topic), new(codec.String),
		goka.WithViewTopicManagerBuilder(builder),
		goka.WithViewStorageBuilder(storage.MemoryBuilder()),
		goka.WithViewConsumerSaramaBuilder(l.ConsumerBuilder()),
		goka.WithViewLogger(log.New(io.Discard, "", 0)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the view ended with %v", err)
		}
	}()
	// Not by ObserveStateChanges: goka tells observers under the lock that Recovered takes, and both would wait for each other.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !v.Recovered(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("the view of %s has not recovered", topic)
		}
	}
	it, err := v.Iterator()
	if err != nil {
		t.Fatal(err)
	}
	defer it.Release()
	rows := 0
	for it.Next() {
		rows++
	}
	return rows
}

// TestViewRecovers is what this package is for: goka's recovery ends on logs that end in what no reader is given.
func TestViewRecovers(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		l := r.logs(t).Fencing(Fence{Grace: 50 * time.Millisecond, May: func(string) bool { return true }})
		all := append(shapes(), shape{name: "open transaction", rows: 3, make: func(t *testing.T, r *rig, topic string) {
			w := r.writer(t, name("dead"))
			w.commit(t, topic, 0, 3)
			w.begin(t, topic, 0, 5)
		}}, shape{name: "open transaction alone", make: func(t *testing.T, r *rig, topic string) {
			r.writer(t, name("dead")).begin(t, topic, 0, 5)
		}})
		for _, s := range all {
			t.Run(s.name, func(t *testing.T) {
				topic := r.topic(t, 1)
				s.make(t, r, topic)
				if rows := recovered(t, r, l, topic); rows != s.rows {
					t.Errorf("%d rows; want %d", rows, s.rows)
				}
			})
		}
	})
}

// TestViewRecoversOnManyPartitions has partitions on all brokers, each ending in another way.
func TestViewRecoversOnManyPartitions(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		topic := r.topic(t, 6)
		w := r.writer(t, name("w"))
		if err := w.cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		var rs []*kgo.Record
		for p := range int32(4) {
			rs = append(rs, &kgo.Record{Topic: topic, Partition: p, Key: fmt.Appendf(nil, "p%d", p), Value: []byte("v")})
		}
		if err := w.cl.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		w.end(t, kgo.TryCommit)
		w.abort(t, topic, 4, 3)
		if rows := recovered(t, r, r.logs(t), topic); rows != 4 {
			t.Errorf("%d rows; want 4", rows)
		}
	})
}

func TestVirtualTopics(t *testing.T) {
	r := fakeRig(t)
	topic := r.topic(t, 2)
	tm := r.logs(t).TopicManager(gokaManager(t, r), map[string]int32{"~timer": 3})
	if ps, err := tm.Partitions("~timer"); err != nil || fmt.Sprint(ps) != "[0 1 2]" {
		t.Errorf("Partitions of a virtual topic = %v, %v; want [0 1 2]", ps, err)
	}
	if ps, err := tm.Partitions(topic); err != nil || len(ps) != 2 {
		t.Errorf("Partitions = %v, %v; want two", ps, err)
	}
	for name, ensure := range map[string]func(string, int) error{
		"EnsureTableExists":  tm.EnsureTableExists,
		"EnsureStreamExists": tm.EnsureStreamExists,
		"EnsureTopicExists":  func(topic string, n int) error { return tm.EnsureTopicExists(topic, n, 1, nil) },
	} {
		if err := ensure("~timer", 3); err != nil {
			t.Errorf("%s of a virtual topic = %v", name, err)
		}
		if err := ensure("~timer", 4); err == nil {
			t.Errorf("%s of a virtual topic with other partitions succeeded", name)
		}
		if err := ensure(topic, 2); err != nil {
			t.Errorf("%s = %v", name, err)
		}
		if info := r.fake.TopicInfo("~timer"); info != nil {
			t.Errorf("%s made a virtual topic in Kafka", name)
		}
	}
	for _, at := range []int64{sarama.OffsetNewest, sarama.OffsetOldest} {
		if o, err := tm.GetOffset("~timer", 2, at); err != nil || o != 0 {
			t.Errorf("GetOffset(%d) of a virtual topic = %d, %v; want 0", at, o, err)
		}
		if _, err := tm.GetOffset("~timer", 3, at); err == nil {
			t.Errorf("GetOffset(%d) of a partition that a virtual topic lacks succeeded", at)
		}
	}
	r.plain(t, topic, 1, 2)
	r.deleteBelow(t, topic, 1, 1)
	if o, err := tm.GetOffset(topic, 1, sarama.OffsetOldest); err != nil || o != 1 {
		t.Errorf("GetOffset(oldest) = %d, %v; want 1, from goka's own", o, err)
	}
	if err := tm.Close(); err != nil {
		t.Error(err)
	}
}

// TestCloseEndsTheWait closes the topic manager, and what Until was given, while recovery waits for an open transaction.
func TestCloseEndsTheWait(t *testing.T) {
	r := fakeRig(t)
	topic := r.topic(t, 1)
	r.writer(t, name("slow")).begin(t, topic, 0, 1)
	for _, how := range []string{"Close", "Until"} {
		ctx, cancel := context.WithCancel(t.Context())
		asked := make(chan struct{}, 1000)
		l := r.logs(t).Until(ctx).Fencing(Fence{May: func(string) bool {
			asked <- struct{}{}
			return false
		}})
		tm := l.TopicManager(gokaManager(t, r), nil)
		got := make(chan error, 1)
		go func() {
			_, err := tm.GetOffset(topic, 0, sarama.OffsetNewest)
			got <- err
		}()
		select {
		case <-asked: // it waits
		case <-time.After(patience):
			t.Fatal("nobody is asked whether the transaction may be ended")
		}
		if how == "Until" {
			cancel()
		} else if err := tm.Close(); err != nil {
			t.Error(err)
		}
		select {
		case err := <-got:
			if err == nil {
				t.Errorf("%s: GetOffset succeeded on an open transaction", how)
			}
		case <-time.After(patience):
			t.Errorf("%s did not end the wait", how)
		}
		cancel()
	}
}
