package tail

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// realBrokers names the environment variable with the brokers (host:port, comma separated) of a real Kafka to run these tests against.
const realBrokers = "FRESHET_TEST_BROKERS"

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

// rig is a cluster to test against, with one client for set-up.
type rig struct {
	seeds []string
	cl    *kgo.Client
	fake  *kfake.Cluster // nil for a real Kafka
}

var names atomic.Int64 // makes topic names and transactional ids unique on a Kafka that outlives the test

func name(prefix string) string {
	return fmt.Sprintf("%s-%d-%d", prefix, time.Now().UnixNano(), names.Add(1))
}

// onBrokers runs a test on an in-process cluster of three brokers, and on a real Kafka if there is one.
func onBrokers(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	t.Run("fake", func(t *testing.T) { f(t, fakeRig(t)) })
	t.Run("kafka", func(t *testing.T) {
		seeds := os.Getenv(realBrokers)
		if seeds == "" {
			t.Skipf("NOT RUN AGAINST A REAL KAFKA: %s is not set (host:port,…)", realBrokers)
		}
		f(t, newRig(t, strings.Split(seeds, ","), nil))
	})
}

func fakeRig(t *testing.T) *rig {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return newRig(t, c.ListenAddrs(), c)
}

func newRig(t *testing.T, seeds []string, fake *kfake.Cluster) *rig {
	t.Helper()
	r := &rig{seeds: seeds, fake: fake}
	r.cl = r.client(t)
	return r
}

func (r *rig) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	all := append([]kgo.Opt{kgo.SeedBrokers(r.seeds...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0)}, opts...)
	cl, err := kgo.NewClient(all...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func (r *rig) logs(t *testing.T) *Logs {
	t.Helper()
	l, err := New(r.seeds, log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// topic makes a topic and returns when every partition of it has a leader.
func (r *rig) topic(t *testing.T, partitions int32) string {
	t.Helper()
	topic := name("tail")
	adm := kadm.NewClient(r.cl)
	resp, err := adm.CreateTopic(t.Context(), partitions, 1, nil, topic)
	if err != nil || resp.Err != nil {
		t.Fatal(err, resp.Err)
	}
	t.Cleanup(func() { _, _ = adm.DeleteTopics(context.Background(), topic) })
	for p := range partitions {
		r.awaitStable(t, topic, p, 0)
	}
	return topic
}

// awaitStable returns when a partition's last stable offset has reached an offset. Kafka says that a transaction has ended before it has
// written its markers.
func (r *rig) awaitStable(t *testing.T, topic string, partition int32, offset int64) {
	t.Helper()
	r.await(t, kadm.NewClient(r.cl).ListCommittedOffsets, topic, partition, offset)
}

// awaitEnd returns when a partition's high watermark has reached an offset.
func (r *rig) awaitEnd(t *testing.T, topic string, partition int32, offset int64) {
	t.Helper()
	r.await(t, kadm.NewClient(r.cl).ListEndOffsets, topic, partition, offset)
}

func (r *rig) await(t *testing.T, list func(context.Context, ...string) (kadm.ListedOffsets, error), topic string, partition int32, offset int64) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		ends, err := list(t.Context(), topic)
		if err == nil {
			if o, ok := ends.Lookup(topic, partition); ok && o.Err == nil && o.Offset >= offset {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s-%d has not reached %d: %v %v", topic, partition, offset, ends, err)
		}
	}
}

// plain writes n records outside of any transaction.
func (r *rig) plain(t *testing.T, topic string, partition int32, n int) {
	t.Helper()
	put(t, r.cl, topic, partition, n)
}

func put(t *testing.T, cl *kgo.Client, topic string, partition int32, n int) {
	t.Helper()
	rs := make([]*kgo.Record, n)
	for i := range rs {
		rs[i] = &kgo.Record{Topic: topic, Partition: partition, Key: fmt.Appendf(nil, "k%d", i), Value: []byte("v")}
	}
	if err := cl.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// writer is a transactional producer.
type writer struct {
	id string
	cl *kgo.Client
}

func (r *rig) writer(t *testing.T, id string) *writer {
	t.Helper()
	return &writer{id: id, cl: r.client(t, kgo.TransactionalID(id), kgo.TransactionTimeout(time.Minute))}
}

func (w *writer) begin(t *testing.T, topic string, partition int32, n int) {
	t.Helper()
	if err := w.cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	put(t, w.cl, topic, partition, n)
}

func (w *writer) end(t *testing.T, how kgo.TransactionEndTry) {
	t.Helper()
	if err := w.cl.EndTransaction(t.Context(), how); err != nil {
		t.Fatal(err)
	}
}

func (w *writer) commit(t *testing.T, topic string, partition int32, n int) {
	t.Helper()
	w.begin(t, topic, partition, n)
	w.end(t, kgo.TryCommit)
}

func (w *writer) abort(t *testing.T, topic string, partition int32, n int) {
	t.Helper()
	w.begin(t, topic, partition, n)
	w.end(t, kgo.TryAbort)
}

// deleteBelow deletes the records of a partition below an offset.
func (r *rig) deleteBelow(t *testing.T, topic string, partition int32, offset int64) {
	t.Helper()
	r.awaitStable(t, topic, partition, offset)
	var os kadm.Offsets
	os.AddOffset(topic, partition, offset, -1)
	resp, err := kadm.NewClient(r.cl).DeleteRecords(t.Context(), os)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// fault installs a fault on the in-process cluster for the rest of the test.
func (r *rig) fault(err *kerr.Error, f kfake.Fault) *kfake.FaultHandle {
	f.Err = err
	return r.fake.Fault(f)
}
