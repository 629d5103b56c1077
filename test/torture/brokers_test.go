//go:build unix

package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/freshet-io/freshet/test/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
)

// The brokers are stopped, killed and frozen, one or all of them, while events are loaded: partitions lose their leaders, groups and
// transactions their coordinators.
func TestBrokersFail(t *testing.T) {
	notShort(t)
	onKafka(t)
	r := random(t)
	did := tally{}
	for _, brokers := range []int{1, 3} {
		if short() && brokers == 1 {
			continue
		}
		c := kafka.Start(t, kafka.Options{Brokers: brokers})
		rounds, n := 4, 10
		if short() {
			rounds, n = 1, 3
		}
		for k := range rounds {
			set, part := anySet(r), rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
			t.Run(fmt.Sprintf("brokers%d/%d/%s", brokers, k, set), func(t *testing.T) {
				w := newWorld(t, setup{at: cluster, cluster: c, set: set, partitions: 6})
				w.failing(part, n, did)
			})
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d failures:\n%s", did.sum(), did)
}

// failing loads the set in parts while brokers fail, one after the other.
func (w *world) failing(r *rand.Rand, n int, did tally) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Minute)
	defer cancel()
	w.shuffle(r)
	for k := range 2 {
		w.instance(fmt.Sprintf("i%d", k)).start("")
	}
	for _, i := range w.instances {
		i.awaitReady(ctx)
	}
	for k := range n {
		f := w.feed(ctx, w.part(k, n))
		pause(w.t, between(r, 0, time.Second))
		w.fail(ctx, r, did)
		f.await(w)
		for _, i := range w.instances {
			w.lives(i)
		}
	}
	w.settled(ctx)
}

// fail does something to a broker, and has the cluster whole again.
func (w *world) fail(ctx context.Context, r *rand.Rand, did tally) {
	w.t.Helper()
	n := r.IntN(w.cluster.Size())
	var err error
	kinds := 3
	if w.cluster.Size() > 1 {
		kinds = 4
	}
	switch r.IntN(kinds) {
	case 0:
		did["broker stopped and started"]++
		err = w.cluster.RestartBroker(ctx, n)
	case 1:
		did["broker killed and started"]++
		if err = w.cluster.KillBroker(n); err == nil {
			pause(w.t, between(r, 0, 8*time.Second))
			err = w.cluster.StartBroker(ctx, n)
		}
	case 2:
		did["broker frozen"]++
		if err = w.cluster.PauseBroker(n); err == nil {
			pause(w.t, between(r, time.Second, 15*time.Second))
			err = w.cluster.ResumeBroker(n)
		}
	case 3:
		did["all leaders and coordinators moved"]++
		err = w.moveLeaders(ctx, r)
	}
	if err == nil {
		err = w.cluster.Await(ctx)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// moveLeaders gives every partition another leader while all brokers are well: those of the inputs, of the tables, and of the topics on
// which the coordinators of groups and transactions rest.
func (w *world) moveLeaders(ctx context.Context, r *rand.Rand) error {
	admin := w.admin()
	topics, err := admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return err
	}
	moves, want, by := kadm.AlterPartitionAssignmentsReq{}, map[string]map[int32]int32{}, 1+r.IntN(w.cluster.Size()-1)
	for _, t := range topics {
		want[t.Topic] = map[int32]int32{}
		for _, p := range t.Partitions.Sorted() {
			at, turned := max(0, slices.Index(p.Replicas, p.Leader))+by, make([]int32, len(p.Replicas))
			for k := range turned {
				turned[k] = p.Replicas[(at+k)%len(turned)]
			}
			moves.Assign(t.Topic, p.Partition, turned)
			want[t.Topic][p.Partition] = turned[0]
		}
	}
	done, err := admin.AlterPartitionAssignments(ctx, moves)
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		return fmt.Errorf("name other leaders: %w", err)
	}
	w.until(ctx, func() string { return w.elect(ctx, admin, want) })
	return nil
}

// elect has the leaders elected that are wanted, and says which are not there yet.
func (w *world) elect(ctx context.Context, admin *kadm.Client, want map[string]map[int32]int32) string {
	w.t.Helper()
	topics, err := admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return err.Error()
	}
	missing, left := kadm.TopicsSet{}, 0
	for topic, parts := range want {
		for p, leader := range parts {
			if topics[topic].Partitions[p].Leader != leader {
				missing.Add(topic, p)
				left++
			}
		}
	}
	if left == 0 {
		return ""
	}
	_, err = admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, missing)
	return fmt.Sprintf("%d partitions are not led by the broker that is to lead them: %v", left, err)
}

// All brokers are gone for a long time while uses wait for the clocks: nothing becomes final meanwhile, for nobody knows what has been
// acknowledged, and everything does afterwards, as it was.
func TestBrokersUnreachable(t *testing.T) {
	notShort(t)
	onKafka(t)
	c := kafka.Start(t, kafka.Options{})
	r := random(t)
	gone := 10 * time.Minute
	if short() {
		gone = 15 * time.Second
	}
	w := newWorld(t, setup{at: cluster, cluster: c, set: anySet(r), partitions: 4})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	for k := range 2 {
		w.instance(fmt.Sprintf("i%d", k)).start("")
	}
	for _, i := range w.instances {
		i.awaitReady(ctx)
	}
	w.live(time.Now().Add(2*time.Second), gone/2)
	if err := w.load(ctx, w.lines); err != nil {
		t.Fatal(err)
	}
	pause(t, between(r, 2*time.Second, 4*time.Second))
	if err := c.KillBroker(0); err != nil {
		t.Fatal(err)
	}
	down := time.Now()
	pause(t, gone)
	for _, i := range w.instances {
		w.lives(i)
		for partition, through := range i.clocks(ctx) {
			if through > float64(down.UnixMilli())/1000 {
				t.Errorf("%s: %s has been applied through %.3f, the brokers were killed at %.3f", i.id, partition, through, float64(down.UnixMilli())/1000)
			}
		}
	}
	if err := c.StartBroker(ctx, 0); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	w.settled(ctx).neverTakenBack()
	t.Logf("brokers were gone for %v; everything was said %v after they were back", gone, time.Since(back).Round(time.Second))
}

// Brokers forget producers that have been silent, and transactional ids, while an instance runs that has had nothing to do.
func TestProducersExpire(t *testing.T) {
	notShort(t)
	onKafka(t)
	c := kafka.Start(t, kafka.Options{Properties: map[string]string{
		"producer.id.expiration.ms": "1000", "producer.id.expiration.check.interval.ms": "500",
		"transactional.id.expiration.ms": "4000", "transaction.remove.expired.transaction.cleanup.interval.ms": "500",
		"transaction.max.timeout.ms": "900000",
	}})
	r := random(t)
	w := newWorld(t, setup{at: cluster, cluster: c, set: anySet(r), partitions: 3})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	w.shuffle(r)
	w.instance("i0").start("")
	w.instances[0].awaitReady(ctx)
	n := 4
	if short() {
		n = 2
	}
	for k := range n {
		if err := w.load(ctx, w.part(k, n)); err != nil {
			t.Fatal(err)
		}
		pause(t, between(r, 5*time.Second, 10*time.Second))
		w.lives(w.instances[0])
	}
	w.settled(ctx)
}
