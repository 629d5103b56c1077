package gateway

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// refusedAlone has an output that is refused for want of permission.
func refusedAlone(t *testing.T, without bool) string {
	return forbidden(t, kversion.V4_0_0(), without)
}

// TestForbidden has brokers that say so when a partition is added to the transaction, and newer ones, that say so when it is written to.
func TestForbidden(t *testing.T) {
	for _, v := range []*kversion.Versions{kversion.V3_0_0(), kversion.V4_0_0()} {
		t.Run(v.VersionGuess(), func(t *testing.T) {
			if broken := forbidden(t, v, false); broken != "" {
				t.Error(broken)
			}
		})
	}
}

func forbidden(t *testing.T, v *kversion.Versions, without bool) string {
	t.Helper()
	c, addr := startCluster(t, kfake.MaxVersions(v))
	var forbidden atomic.Bool
	forbidden.Store(true)
	forbid(t, c, addr, output, 0, &forbidden)
	g, stop := run(t, addr, "a", memory(t), &counter{output}, func(g *Gateway) { g.off.unisolated = without })
	defer stop()
	defer forbidden.Store(false)
	produce(t, addr, partitions, 5) // one key in each partition
	others := func() bool {
		for p := int32(1); p < partitions; p++ {
			if committed(t, addr, output, p) < 5 {
				return false
			}
		}
		return true
	}
	wait := inTime
	if without {
		wait = hopeless
	}
	if !until(t, wait, others) {
		return "the partitions whose outputs are welcome do not go on"
	}
	var held Held
	if !until(t, inTime, func() bool { held, _ = g.Partition(0).Held(); return held.Tries > 1 }) {
		return "the partition is not held back"
	}
	if held.Topic != output || held.Reason != "no_permission" {
		return fmt.Sprintf("the partition is held back by %s (%s)", held.Topic, held.Reason)
	}
	if n := committed(t, addr, output, 0) + committed(t, addr, table, 0); n > 0 {
		return fmt.Sprintf("%d records are committed of what was refused", n)
	}
	forbidden.Store(false)
	awaitCounts(t, addr, partitions, 5)
	if !until(t, inTime, func() bool { _, still := g.Partition(0).Held(); return !still }) {
		return "the partition is still held back"
	}
	return ""
}

// forbid lets a cluster answer as one that does not let us write to a partition of a topic.
func forbid(t *testing.T, c *kfake.Cluster, addr, topic string, partition int32, on *atomic.Bool) {
	t.Helper()
	const refused, notTried = 29, 55 // TOPIC_AUTHORIZATION_FAILED, OPERATION_NOT_ATTEMPTED
	topics, err := kadm.NewClient(client(t, addr)).ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	id := [16]byte(topics[topic].ID)
	c.ControlKey(int16(kmsg.AddPartitionsToTxn), func(req kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the signature is kfake's
		c.KeepControl()
		r := req.(*kmsg.AddPartitionsToTxnRequest)
		resp := r.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
		hit := false
		for _, of := range r.Topics {
			a := kmsg.NewAddPartitionsToTxnResponseTopic()
			a.Topic = of.Topic
			for _, p := range of.Partitions {
				b := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
				b.Partition, b.ErrorCode = p, notTried
				if of.Topic == topic && p == partition {
					b.ErrorCode, hit = refused, true
				}
				a.Partitions = append(a.Partitions, b)
			}
			resp.Topics = append(resp.Topics, a)
		}
		return resp, nil, hit && on.Load()
	})
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the signature is kfake's
		c.KeepControl()
		r := req.(*kmsg.ProduceRequest)
		resp := r.ResponseKind().(*kmsg.ProduceResponse)
		hit := false
		for _, of := range r.Topics {
			a := kmsg.NewProduceResponseTopic()
			a.Topic, a.TopicID = of.Topic, of.TopicID
			for _, p := range of.Partitions {
				b := kmsg.NewProduceResponseTopicPartition()
				b.Partition = p.Partition
				if (of.Topic == topic || of.TopicID == id) && p.Partition == partition {
					b.ErrorCode, hit = refused, true
				}
				a.Partitions = append(a.Partitions, b)
			}
			resp.Topics = append(resp.Topics, a)
		}
		return resp, nil, hit && on.Load()
	})
}
