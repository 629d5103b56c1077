package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What the engine needs of a broker beyond producing and consuming. doc.go says the same in words.

// TestFencing lists an open transaction, finds its producer on the partition, and ends it by taking its id.
func TestFencing(t *testing.T) {
	b := start(t, "")
	create(t, b, "t", 1)
	adm := kadm.NewClient(client(t, b))
	cl := client(t, b, kgo.TransactionalID("pre/x"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, &kgo.Record{Topic: "t", Value: []byte("open")})
	producer, _, err := cl.ProducerID(within(t))
	if err != nil {
		t.Fatal(err)
	}

	open, err := adm.ListTransactions(within(t), nil, []string{"Ongoing"})
	if err != nil {
		t.Fatal(err)
	}
	if x, ok := open["pre/x"]; !ok || x.ProducerID != producer || x.State != "Ongoing" {
		t.Errorf("open transactions: %+v", open)
	}
	set := make(kadm.TopicsSet)
	set.Add("t", 0)
	described, err := adm.DescribeProducers(within(t), set)
	if err != nil {
		t.Fatal(err)
	}
	if p := described["t"].Partitions[0].ActiveProducers[producer]; p.ProducerID != producer || p.CurrentTxnStartOffset != 0 {
		t.Errorf("producers of the partition: %+v", described)
	}
	stable, err := adm.ListCommittedOffsets(within(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	end, err := adm.ListEndOffsets(within(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	if s, e := stable["t"][0].Offset, end["t"][0].Offset; s != 0 || e != 1 {
		t.Errorf("with an open transaction the stable end is %d, the end %d", s, e)
	}

	successor := client(t, b, kgo.TransactionalID("pre/x"))
	if _, _, err := successor.ProducerID(within(t)); err != nil {
		t.Fatal(err)
	}
	if got := contentsOf(t, b, "t", 0); len(got) != 0 {
		t.Errorf("after the fence: %q", got)
	}
	// Kafka says PRODUCER_FENCED; kfake takes an epoch that is one behind for a repetition, and refuses it as one.
	if err := cl.EndTransaction(within(t), kgo.TryCommit); !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidTxnState) {
		t.Errorf("a fenced producer commits, or is told: %v", err)
	}
}

// member is a sarama consumer group member that says what it is assigned.
type member struct{ claims chan []int32 }

func (m *member) Setup(s sarama.ConsumerGroupSession) error {
	parts := slices.Clone(s.Claims()["t"])
	slices.Sort(parts)
	m.claims <- parts
	return nil
}
func (*member) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (*member) ConsumeClaim(s sarama.ConsumerGroupSession, _ sarama.ConsumerGroupClaim) error {
	<-s.Context().Done()
	return nil
}

// join runs a member of a group with a static id until the test or leave ends it.
func join(t *testing.T, b *Broker, group, instance string) (m *member, leave func()) {
	t.Helper()
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_6_0_0
	cfg.Consumer.Group.InstanceId = instance
	cfg.Consumer.Group.Rebalance.Timeout = 20 * time.Second // who does not come back in time would be taken for gone
	cfg.Consumer.Group.Session.Timeout = 20 * time.Second
	cfg.Consumer.Group.Heartbeat.Interval = 100 * time.Millisecond
	members, err := sarama.NewConsumerGroup([]string{b.Addr()}, group, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m = &member{claims: make(chan []int32, 16)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := members.Consume(ctx, []string{"t"}, m); err != nil && ctx.Err() == nil {
				t.Errorf("%s: consume: %v", instance, err)
				return
			}
		}
	}()
	left := false
	leave = func() {
		if left {
			return
		}
		left = true
		cancel()
		<-done
		if err := members.Close(); err != nil {
			t.Errorf("%s: close: %v", instance, err)
		}
	}
	t.Cleanup(leave)
	return m, leave
}

// awaitPartitions waits until a member is assigned n partitions.
func awaitPartitions(t *testing.T, m *member, n int) []int32 {
	t.Helper()
	for {
		select {
		case parts := <-m.claims:
			if len(parts) == n {
				return parts
			}
		case <-within(t).Done():
			t.Fatalf("no assignment of %d partitions", n)
		}
	}
}

// TestStaticMembers: a member that comes back under its instance id has its partitions again without a rebalance of the others, and one
// that is removed through the admin API gives them to the others.
func TestStaticMembers(t *testing.T) {
	b := start(t, "")
	create(t, b, "t", 4)
	for try := range 5 { // a machine that is slow may need more than one
		began := time.Now()
		alone, leave := join(t, b, fmt.Sprint("alone-", try), "one")
		awaitPartitions(t, alone, 4)
		took := time.Since(began)
		leave()
		if took < 2*time.Second {
			break
		} else if try == 4 {
			t.Errorf("the first member waits %s for its partitions", took)
		}
	}
	first, _ := join(t, b, "g", "one")
	awaitPartitions(t, first, 4)
	second, leave := join(t, b, "g", "two")
	had := awaitPartitions(t, second, 2)
	awaitPartitions(t, first, 2)
	leave()
	second, leave = join(t, b, "g", "two")
	if again := awaitPartitions(t, second, 2); !slices.Equal(again, had) {
		t.Errorf("came back to %v, had %v", again, had)
	}
	select {
	case parts := <-first.claims:
		t.Errorf("the other was assigned %v meanwhile", parts)
	default:
	}
	leave()
	if _, err := kadm.NewClient(client(t, b)).LeaveGroup(within(t), kadm.LeaveGroup("g").InstanceIDs("two")); err != nil {
		t.Fatal(err)
	}
	awaitPartitions(t, first, 4)
}

// TestNextGenerationGroups: the group protocol of KIP-848.
func TestNextGenerationGroups(t *testing.T) {
	b := start(t, "")
	create(t, b, "t", 1)
	produce(t, client(t, b, kgo.DefaultProduceTopic("t")), kgo.KeyStringRecord("k", "v"))
	cl := client(t, b, kgo.ConsumerGroup("g"), kgo.ServerSideBalancer(), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	fetches := cl.PollFetches(within(t))
	if err := fetches.Err0(); err != nil {
		t.Fatal(err)
	}
	if fetches.NumRecords() != 1 {
		t.Errorf("%d records", fetches.NumRecords())
	}
}

// TestGroupsAfterRestart: members that were there when the broker stopped do not hold up those that come.
func TestGroupsAfterRestart(t *testing.T) {
	for _, how := range []struct {
		name string
		end  func(*testing.T, *Broker)
	}{{"stopped", stop}, {"killed", kill}} {
		t.Run(how.name, func(t *testing.T) {
			dir := t.TempDir() + "/data"
			b := start(t, dir)
			create(t, b, "t", 4)
			cl := client(t, b, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.SessionTimeout(30*time.Second), kgo.RebalanceTimeout(30*time.Second))
			produce(t, client(t, b, kgo.DefaultProduceTopic("t")), kgo.KeyStringRecord("k", "v"))
			if err := cl.PollFetches(within(t)).Err0(); err != nil {
				t.Fatal(err)
			}
			how.end(t, b)
			b = start(t, dir)
			began := time.Now()
			m, _ := join(t, b, "g", "new")
			awaitPartitions(t, m, 4)
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("a new member waits %s for one that is gone", took)
			}
		})
	}
}
