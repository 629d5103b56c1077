package committed_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/cmd/freshet/committed"
	"github.com/freshet-io/freshet/internal/access"
)

// The topic's end is a transaction's marker, of a commit or of an abort, and one partition is empty: reading to the end must end, with
// what was committed and nothing else.
func TestReadingEndsBehindTransactionMarkers(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	const topic = "freshet.verdicts"
	producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if _, err := kadm.NewClient(producer).CreateTopic(ctx, 3, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	write := func(commit kgo.TransactionEndTry, partition int32, values ...string) {
		t.Helper()
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if err := producer.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: []byte(v)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := producer.EndTransaction(ctx, commit); err != nil {
			t.Fatal(err)
		}
	}
	write(kgo.TryCommit, 0, "a", "b")
	write(kgo.TryCommit, 1, "c")
	write(kgo.TryAbort, 1, "x", "y")

	r, err := committed.NewReader(ctx, access.Open(cluster.ListenAddrs()...), topic)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []string
	each := func(k *kgo.Record) error { got = append(got, string(k.Value)); return nil }
	for range 2 { // nothing is new the second time
		if err := r.ToEnd(ctx, each); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 3 || !has(got, "a", "b", "c") {
		t.Fatalf("read %q, want a, b, c", got)
	}

	write(kgo.TryCommit, 2, "d")
	stop := fmt.Errorf("enough")
	if err := r.Follow(ctx, func(k *kgo.Record) error { got = append(got, string(k.Value)); return stop }); err != stop {
		t.Fatalf("Follow: %v", err)
	}
	if !has(got, "d") {
		t.Errorf("followed %q, want d", got)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if err := r.Follow(ended, each); err != nil {
		t.Errorf("Follow until it ends: %v", err)
	}
}

func TestATopicThatIsNotThere(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	if r, err := committed.NewReader(ctx, access.Open(cluster.ListenAddrs()...), "nothing"); err == nil {
		r.Close()
		t.Error("a reader of a topic that does not exist was made")
	}
}

func has(got []string, want ...string) bool {
	for _, w := range want {
		found := false
		for _, g := range got {
			found = found || g == w
		}
		if !found {
			return false
		}
	}
	return true
}
