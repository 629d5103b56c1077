package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/topology"
)

// Loader writes events. Its methods belong to one goroutine; records are acknowledged in the background.
type Loader struct {
	client  *kgo.Client
	place   topology.Partitioner
	targets map[event.Category]*target
	decoder *event.Decoder
	event   event.Event

	mu     sync.Mutex
	failed error
}

type target struct {
	topic      string
	partitions int32
	acked      atomic.Int64
}

const (
	connectTimeout = 10 * time.Second
	deliverRetries = 240 // brokers that are gone for longer are reported instead of waited for; a time out would count from the record's own time
	maxBuffered    = 50_000
	batchBytes     = 1_000_000
	linger         = 5 * time.Millisecond
)

// Open connects to the brokers and finds the topics of the graph's inputs. Extra options are for tests.
func Open(ctx context.Context, cluster access.Cluster, g *topology.Graph, extra ...kgo.Opt) (*Loader, error) {
	client, err := kgo.NewClient(append(cluster.Kgo(
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(linger),
		kgo.ProducerBatchMaxBytes(batchBytes),
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.RecordRetries(deliverRetries),
	), extra...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cluster, err)
	}
	l := &Loader{client: client, place: g.Partitioner, targets: map[event.Category]*target{}, decoder: event.NewDecoder(event.Config{})}
	if err := l.find(ctx, cluster, g); err != nil {
		client.Close()
		return nil, err
	}
	return l, nil
}

// find picks the topic of each category: the first that is not rekeyed, else the first. Types nobody knows go with the control topic.
func (l *Loader) find(ctx context.Context, cluster access.Cluster, g *topology.Graph) error {
	var names []string
	for i := range g.Inputs {
		t := &g.Inputs[i]
		if at := l.targets[t.Category]; at == nil {
			l.targets[t.Category] = &target{topic: t.Name}
			names = append(names, t.Name)
		} else if first, _ := g.Topic(at.topic); first.Rekey && !t.Rekey {
			names[slices.Index(names, at.topic)] = t.Name
			at.topic = t.Name
		}
	}
	l.targets[event.Unknown] = l.targets[event.Control]
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	details, err := kadm.NewClient(l.client).ListTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("list the topics of %s: %w", cluster, err)
	}
	for _, t := range l.targets {
		d := details[t.topic]
		if d.Err == nil && len(d.Partitions) == 0 {
			d.Err = kerr.UnknownTopicOrPartition
		}
		if errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("topic %s does not exist: freshet topics apply creates what is missing", t.topic)
		}
		if d.Err != nil {
			return fmt.Errorf("describe topic %s: %w", t.topic, d.Err)
		}
		t.partitions = int32(len(d.Partitions))
	}
	return nil
}

// Record returns the record of a structured event, or why it is none.
func (l *Loader) Record(line []byte) (*kgo.Record, event.Reason) {
	r, reason := l.decoder.ToBinary(line, &l.event)
	if reason != event.OK {
		return nil, reason
	}
	t := l.targets[r.Category]
	out := &kgo.Record{
		Topic: t.topic, Partition: l.place.Partition(r.Key, t.partitions),
		Key: r.Key, Value: r.Value, Timestamp: r.Time.Go(), Headers: make([]kgo.RecordHeader, len(r.Headers)),
	}
	for i, h := range r.Headers {
		out.Headers[i] = kgo.RecordHeader{Key: string(h.Key), Value: h.Value}
	}
	return out, event.OK
}

// Produce sends a record; it waits while too many are on their way. The error is the first that any record met.
func (l *Loader) Produce(ctx context.Context, r *kgo.Record) error {
	if err := l.err(); err != nil {
		return err
	}
	l.client.Produce(ctx, r, l.acknowledged)
	return nil
}

func (l *Loader) acknowledged(r *kgo.Record, err error) {
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.failed == nil {
			l.failed = fmt.Errorf("write to partition %d of %s: %w", r.Partition, r.Topic, err)
		}
		return
	}
	for _, t := range l.targets {
		if t.topic == r.Topic {
			t.acked.Add(1)
			return
		}
	}
}

func (l *Loader) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// Finish waits until every record is acknowledged.
func (l *Loader) Finish(ctx context.Context) error {
	if err := l.client.Flush(ctx); err != nil {
		return fmt.Errorf("wait for acknowledgements: %w", err)
	}
	return l.err()
}

// Count is how many records of a topic are acknowledged.
type Count struct {
	Topic   string `json:"topic"`
	Records int64  `json:"records"`
}

// Counts returns what is acknowledged, by topic in the order of categories.
func (l *Loader) Counts() []Count {
	var counts []Count
	for c := event.Control; c <= event.Source; c++ {
		counts = append(counts, Count{l.targets[c].topic, l.targets[c].acked.Load()})
	}
	return counts
}

// Acknowledged returns the number of records acknowledged.
func (l *Loader) Acknowledged() int64 {
	var n int64
	for c := event.Control; c <= event.Source; c++ {
		n += l.targets[c].acked.Load()
	}
	return n
}

// Close gives up what is not acknowledged.
func (l *Loader) Close() { l.client.Close() }
