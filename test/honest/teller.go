package honest

import (
	"context"
	"fmt"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/topology"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Kafka writes events into the topics of a graph.
type Kafka struct {
	Brokers []string
	Graph   *topology.Graph
	TxnID   string // for what is aborted

	client, aborter *kgo.Client
}

// attempt is how long one attempt to write may take: brokers come and go.
const attempt = 5 * time.Second

func (k *Kafka) record(line []byte, at time.Time) (*kgo.Record, error) {
	var e event.Event
	r, reason := event.NewDecoder(event.Config{}).ToBinary(line, &e)
	if reason != event.OK {
		return nil, fmt.Errorf("%s: %s", reason, line)
	}
	for i := range k.Graph.Inputs {
		t := &k.Graph.Inputs[i]
		if t.Category != r.Category {
			continue
		}
		out := &kgo.Record{Topic: t.Name, Partition: k.Graph.Partitioner.Partition(r.Key, t.Partitions), Key: r.Key, Value: r.Value, Timestamp: at}
		for _, h := range r.Headers {
			out.Headers = append(out.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
		}
		return out, nil
	}
	return nil, fmt.Errorf("no topic takes %s", line)
}

func (k *Kafka) open(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(more, kgo.SeedBrokers(k.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))...)
}

// Tell writes an event until it is acknowledged.
func (k *Kafka) Tell(ctx context.Context, line []byte, at time.Time) (Position, error) {
	for {
		r, err := k.record(line, at)
		if err != nil {
			return Position{}, err
		}
		if k.client == nil {
			if k.client, err = k.open(); err != nil {
				return Position{}, err
			}
		}
		if err = within(ctx, k.client, func(ctx context.Context) error { return k.client.ProduceSync(ctx, r).FirstErr() }); err == nil {
			return Position{r.Topic, r.Partition, r.Offset}, nil
		}
		k.client = nil
		if ctx.Err() != nil {
			return Position{}, fmt.Errorf("write %s: %w", line, err)
		}
	}
}

// within gives an attempt its time. A record that may have been sent is not given up otherwise than by closing the client, which is done if
// the attempt fails.
func within(ctx context.Context, c *kgo.Client, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	stop := context.AfterFunc(ctx, c.Close)
	err := f(ctx)
	if stop() && err != nil {
		c.Close()
	}
	return err
}

// Abort writes an event in a transaction that is aborted. One that cannot be aborted now ends with its time.
func (k *Kafka) Abort(ctx context.Context, line []byte, at time.Time) error {
	r, err := k.record(line, at)
	if err != nil {
		return err
	}
	if k.aborter == nil {
		if k.aborter, err = k.open(kgo.TransactionalID(k.TxnID), kgo.TransactionTimeout(10*time.Second)); err != nil {
			return err
		}
	}
	if within(ctx, k.aborter, func(ctx context.Context) error {
		if err := k.aborter.BeginTransaction(); err != nil {
			return err
		}
		err := k.aborter.ProduceSync(ctx, r).FirstErr()
		if err == nil {
			err = k.aborter.EndTransaction(ctx, kgo.TryAbort)
		}
		return err
	}) != nil {
		k.aborter = nil
	}
	return nil
}

// Close disconnects.
func (k *Kafka) Close() {
	for _, c := range []*kgo.Client{k.client, k.aborter} {
		if c != nil {
			c.Close()
		}
	}
}
