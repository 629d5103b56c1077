package tail

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestReap(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		l := r.logs(t)
		topic := r.topic(t, 3)
		prefix := name("group") + "/"
		dead, alive, other, ended := r.writer(t, prefix+"dead"), r.writer(t, prefix+"alive"), r.writer(t, name("other")), r.writer(t, prefix+"ended")
		dead.begin(t, topic, 0, 2)
		alive.begin(t, topic, 1, 2)
		other.begin(t, topic, 2, 2)
		ended.commit(t, topic, 2, 1)

		open, err := l.Ongoing(within(t), prefix)
		if err != nil || len(open) != 2 {
			t.Fatalf("Ongoing = %v, %v; want the two of %q that are open", open, err, prefix)
		}
		isAlive := func(id string) bool { return id == alive.id }
		if n, err := l.Reap(within(t), prefix, isAlive, time.Hour); n != 0 || err != nil {
			t.Errorf("Reap of what is open for an hour = %d, %v; want 0", n, err)
		}
		if n, err := l.Reap(within(t), prefix, isAlive, 0); n != 1 || err != nil {
			t.Errorf("Reap = %d, %v; want 1", n, err)
		}
		if err := dead.cl.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
			t.Error("the dead owner could commit")
		}
		alive.end(t, kgo.TryCommit)
		other.end(t, kgo.TryCommit)
		r.awaitStable(t, topic, 1, 3)
		for p, want := range map[int32]int64{0: 0, 1: 2} {
			if usable, err := l.Usable(within(t), topic, p); err != nil || usable != want {
				t.Errorf("Usable of partition %d = %d, %v; want %d", p, usable, err, want)
			}
		}
	})
}

// TestReapGoesOn has one transaction that cannot be ended; the other is ended all the same.
func TestReapGoesOn(t *testing.T) {
	r := fakeRig(t)
	topic := r.topic(t, 2)
	a, b := r.writer(t, "g/a"), r.writer(t, "g/b")
	a.begin(t, topic, 0, 1)
	b.begin(t, topic, 1, 1)
	r.fault(kerr.TransactionalIDAuthorizationFailed, kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TxnID: "g/a", Count: -1})
	n, err := r.logs(t).Reap(within(t), "g/", func(string) bool { return false }, 0)
	if n != 1 || !errors.Is(err, kerr.TransactionalIDAuthorizationFailed) || !strings.Contains(err.Error(), "g/a") {
		t.Errorf("Reap = %d, %v; want 1, and what kept g/a", n, err)
	}
}

// TestReapWhileAborting has the coordinator say that the abort is under way.
func TestReapWhileAborting(t *testing.T) {
	r := fakeRig(t)
	topic := r.topic(t, 1)
	r.writer(t, "g/a").begin(t, topic, 0, 1)
	h := r.fault(kerr.ConcurrentTransactions, kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Count: 3})
	if n, err := r.logs(t).Reap(within(t), "g/", func(string) bool { return false }, 0); n != 1 || err != nil {
		t.Errorf("Reap = %d, %v; want 1", n, err)
	}
	if h.Hits() != 3 {
		t.Errorf("the coordinator said %d times that it was aborting; want 3", h.Hits())
	}
	r.fault(kerr.ConcurrentTransactions, kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Count: -1})
	r.writer(t, "g/b")
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := r.logs(t).end(short, Transaction{ID: "g/a"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ending while the abort does not end = %v; want the deadline", err)
	}
}

func TestListOffsetsOfManyPartitions(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		l := r.logs(t)
		a, b := r.topic(t, 4), r.topic(t, 2)
		for p := range int32(4) {
			r.plain(t, a, p, int(p)+2)
		}
		r.deleteBelow(t, a, 3, 1)
		r.writer(t, name("w")).begin(t, b, 1, 3)
		tps := []TopicPartition{{a, 0}, {a, 1}, {a, 2}, {a, 3}, {b, 0}, {b, 1}, {a, 0}}
		check := func(what string, got map[TopicPartition]int64, err error, want ...int64) {
			t.Helper()
			if err != nil || len(got) != 6 {
				t.Errorf("%s = %v, %v; want six partitions", what, got, err)
			}
			for i, w := range want {
				if got[tps[i]] != w {
					t.Errorf("%s of %s = %d; want %d", what, tps[i], got[tps[i]], w)
				}
			}
		}
		ends, err := l.Ends(within(t), tps, false)
		check("high watermark", ends, err, 2, 3, 4, 5, 0, 3)
		stable, err := l.Ends(within(t), tps, true)
		check("last stable offset", stable, err, 2, 3, 4, 5, 0, 0)
		starts, err := l.Starts(within(t), tps)
		check("start", starts, err, 0, 0, 0, 1, 0, 0)

		if none, err := l.Ends(within(t), nil, false); err != nil || len(none) != 0 {
			t.Errorf("Ends of nothing = %v, %v", none, err)
		}
	})
}

// TestEndsOfWhatAnswers has one partition fail: the others are there all the same.
func TestEndsOfWhatAnswers(t *testing.T) {
	r := fakeRig(t)
	topic := r.topic(t, 3)
	r.plain(t, topic, 0, 1)
	r.fault(kerr.OffsetNotAvailable, kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: topic, Partitions: []int32{1}, Count: -1})
	ends, err := r.logs(t).Ends(within(t), []TopicPartition{{topic, 0}, {topic, 1}, {topic, 2}}, false)
	if !errors.Is(err, kerr.OffsetNotAvailable) || !strings.Contains(err.Error(), topic+"-1") {
		t.Errorf("err = %v; want OFFSET_NOT_AVAILABLE of partition 1", err)
	}
	if _, failed := ends[TopicPartition{topic, 1}]; failed || len(ends) != 2 || ends[TopicPartition{topic, 0}] != 1 {
		t.Errorf("ends = %v; want those of partitions 0 and 2", ends)
	}
}

func TestTopicInfo(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		l := r.logs(t)
		topic := r.topic(t, 3)
		infos, err := l.TopicInfo(within(t), topic, name("missing"))
		if err != nil || len(infos) != 1 {
			t.Fatalf("TopicInfo = %v, %v; want one topic", infos, err)
		}
		info := infos[topic]
		if info.Name != topic || info.ID == [16]byte{} || len(info.Partitions) != 3 {
			t.Errorf("TopicInfo = %+v; want its name, an id and three partitions", info)
		}
		for i, p := range info.Partitions {
			if p.Leader < 0 || p.LeaderEpoch < 0 {
				t.Errorf("partition %d: %+v; want a leader and an epoch", i, p)
			}
		}
		if r.fake != nil && info.ID != r.fake.TopicInfo(topic).TopicID {
			t.Error("the topic id is not the cluster's")
		}
	})
}
