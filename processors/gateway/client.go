package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/go-kit/log/level"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ready makes the transactional client if there is none or the last one has failed.
func (g *Gateway) ready(ctx context.Context) error {
	if g.client.Load() != nil && !g.failed.Load() {
		return nil
	}
	if err := g.connect(ctx); err != nil {
		return err
	}
	g.failed.Store(false)
	return nil
}

// connect replaces the transactional client. InitProducerID ends whatever transaction the last one, or an earlier life of this instance,
// left open: before the group is joined.
func (g *Gateway) connect(ctx context.Context) error {
	g.closeClient()
	client, err := kgo.NewClient(g.cluster.Kgo(
		kgo.ClientID(g.spec.Instance),
		kgo.TransactionalID(g.spec.TxnID), kgo.TransactionTimeout(g.cfg.TxnTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()), kgo.ProducerBatchMaxBytes(g.spec.BatchBytes), kgo.MaxBufferedRecords(1<<20),
		kgo.BrokerMaxWriteBytes(g.spec.BatchBytes+1<<20), // a transaction goes out in pieces, whose buffers are used again
		kgo.MetadataMinAge(100*time.Millisecond))...)     // no delivery timeout: kgo counts it from the record's own time, and copies are old
	if err != nil {
		return fmt.Errorf("transactional client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, _, err = client.ProducerID(ctx); err != nil {
		client.Close()
		return fmt.Errorf("take over transactional id %s: %w", g.spec.TxnID, err)
	}
	topics, err := kadm.NewClient(client).ListTopics(ctx, append([]string(nil), g.spec.Inputs...)...)
	if err == nil {
		err = topics.Error()
	}
	if err != nil {
		client.Close()
		return fmt.Errorf("look up the inputs of %s: %w", g.spec.Name, err)
	}
	if err := g.know(topics); err != nil {
		client.Close()
		return err
	}
	g.client.Store(client)
	return nil
}

// know takes what the inputs are, once: for later clients they have to be the same.
func (g *Gateway) know(topics kadm.TopicDetails) error {
	ids, counts := map[string][16]byte{}, map[string]int32{}
	for _, t := range topics {
		if known, ok := g.ids[t.Topic]; ok && known != t.ID && !g.off.nameless {
			return tail.MadeAnew(t.Topic)
		}
		ids[t.Topic] = t.ID
		counts[t.Topic] = int32(len(t.Partitions))
	}
	g.ids, g.counts = ids, counts
	return nil
}

// disown makes a session read from its start what was made anew under the name of another topic: the offsets that the group has committed
// are the other one's. Kafka forgets them with that topic, but an instance that has not seen that it is gone may commit once more.
func (s *session) disown(ctx context.Context) error {
	if s.g.off.nameless {
		return nil
	}
	all, err := s.g.logs.Committed(ctx, s.g.spec.Name, s.g.counts)
	if err != nil {
		return err
	}
	for tp, c := range all {
		if !c.Of(s.g.ids[tp.Topic]) {
			s.ResetOffset(tp.Topic, tp.Partition, sarama.OffsetOldest, "")
			_ = level.Warn(s.g.logger).Log("msg", "reading from the start: the committed offset is that of a topic which had this name before",
				"topic", tp.Topic, "partition", tp.Partition, "offset", c.Next)
		}
	}
	return nil
}

func (g *Gateway) closeClient() {
	if c := g.client.Swap(nil); c != nil {
		c.Close()
	}
}

func (g *Gateway) partitionCount() int32 { return g.counts[g.spec.Inputs[0]] }

func (g *Gateway) input(topic string) int { return slices.Index(g.spec.Inputs, topic) }

// members returns the transactional ids of the instances that are in the group.
func (g *Gateway) members(ctx context.Context) (map[string]bool, error) {
	client := g.client.Load()
	if client == nil {
		return nil, errors.New("no client")
	}
	groups, err := kadm.NewClient(client).DescribeGroups(ctx, g.spec.Name)
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", g.spec.Name, err)
	}
	alive := map[string]bool{}
	for _, m := range groups[g.spec.Name].Members {
		if m.InstanceID != nil {
			alive[g.spec.Fence+*m.InstanceID] = true
		}
	}
	return alive, nil
}

// alive says whether a transactional id must be left alone: it is this life's own, or that of another instance that is in the group.
// Behind nonceMark stands what tells an instance's lives apart.
func (g *Gateway) alive(id string, members map[string]bool) bool {
	if id == g.spec.TxnID {
		return true
	}
	instance, _, _ := strings.Cut(id, nonceMark)
	own, _, _ := strings.Cut(g.spec.TxnID, nonceMark)
	return instance != own && members[instance]
}

// nonceMark separates an instance from a nonce in a transactional id.
const nonceMark = "~"
