package tail

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ConsumerBuilder returns what goka reads tables with: sarama's interface on franz-go. Sarama's own consumer does not know that the offsets behind
// a batch's last record belong to the batch when compaction has taken the records there: it asks for the next offset and is given the whole batch
// again, once for each offset that is missing. Of a batch with tens of thousands of rows, as a backlog's transaction writes it, that never ends.
func (l *Logs) ConsumerBuilder() goka.SaramaConsumerBuilder {
	return func(_ []string, clientID string) (sarama.Consumer, error) {
		opts := append(l.opts[:len(l.opts):len(l.opts)],
			kgo.ClientID(clientID),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.FetchMaxWait(tableWait),
			kgo.RetryBackoffFn(tablePause),
			kgo.FetchMaxPartitionBytes(tableBytes),
			// The whole answer is not limited: see fetchRequest.
			kgo.FetchMaxBytes(1<<30), kgo.BrokerMaxReadBytes(1<<30),
			kgo.ConsumeResetOffset(kgo.NoResetOffset()))
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			return nil, fmt.Errorf("make a client that reads tables: %w", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		c := &consumer{cl: cl, cancel: cancel, parts: map[TopicPartition]*partitionConsumer{}}
		c.polling.Go(func() { c.poll(ctx) })
		return c, nil
	}
}

const (
	tableBytes = 2 << 20                // of one partition in an answer, or its first batch
	tableWait  = 100 * time.Millisecond // of a broker, with an answer that would be empty
)

// tablePause is how long it takes until brokers that are gone are asked again: whoever owns workflows waits for the tables once they are back.
func tablePause(failures int) time.Duration {
	return min(100*time.Millisecond<<min(failures, 5), time.Second)
}

// consumer is a sarama.Consumer.
type consumer struct {
	cl      *kgo.Client
	cancel  context.CancelFunc
	polling sync.WaitGroup

	mu    sync.Mutex
	parts map[TopicPartition]*partitionConsumer
}

var _ sarama.Consumer = (*consumer)(nil)

// partitionConsumer is a sarama.PartitionConsumer.
type partitionConsumer struct {
	c        *consumer
	tp       TopicPartition
	fetched  chan kgo.FetchPartition
	messages chan *sarama.ConsumerMessage
	errors   chan *sarama.ConsumerError
	closing  chan struct{}
	close    sync.Once
	end      atomic.Int64 // high watermark
}

const (
	waitingFetches  = 2 // of a partition whose reader is slow; the others of the client wait behind them
	waitingMessages = 1024
)

// ConsumePartition begins to read a partition. A partition that cannot be read on ends with an error.
func (c *consumer) ConsumePartition(topic string, partition int32, offset int64) (sarama.PartitionConsumer, error) {
	at := kgo.NewOffset()
	switch {
	case offset == sarama.OffsetOldest:
		at = at.AtStart()
	case offset == sarama.OffsetNewest:
		at = at.AtEnd()
	case offset >= 0:
		at = at.At(offset)
	default:
		return nil, sarama.ErrOffsetOutOfRange
	}
	p := &partitionConsumer{
		c: c, tp: TopicPartition{Topic: topic, Partition: partition},
		fetched:  make(chan kgo.FetchPartition, waitingFetches),
		messages: make(chan *sarama.ConsumerMessage, waitingMessages),
		errors:   make(chan *sarama.ConsumerError),
		closing:  make(chan struct{}),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parts[p.tp] != nil {
		return nil, sarama.ConfigurationError(p.tp.String() + " is being read already")
	}
	c.parts[p.tp] = p
	go p.feed()
	c.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: at}})
	return p, nil
}

// poll hands out what has been fetched until the consumer is closed.
func (c *consumer) poll(ctx context.Context) {
	for {
		fetches := c.cl.PollFetches(ctx)
		if fetches.IsClientClosed() || ctx.Err() != nil {
			return
		}
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			for _, p := range c.of(f.Topic, f.Partition) {
				select {
				case p.fetched <- f.FetchPartition:
				case <-p.closing:
				}
			}
		})
	}
}

// of returns the partition of a fetch; one whose number is not known is an error of all partitions of its topic.
func (c *consumer) of(topic string, partition int32) (parts []*partitionConsumer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.parts[TopicPartition{Topic: topic, Partition: partition}]; p != nil {
		return []*partitionConsumer{p}
	}
	for tp, p := range c.parts {
		if partition < 0 && tp.Topic == topic {
			parts = append(parts, p)
		}
	}
	return parts
}

// remove ends the reading of a partition.
func (c *consumer) remove(p *partitionConsumer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.parts, p.tp)
	c.cl.RemoveConsumePartitions(map[string][]int32{p.tp.Topic: {p.tp.Partition}})
}

// Close ends everything that is read.
func (c *consumer) Close() error {
	c.mu.Lock()
	for _, p := range c.parts {
		p.AsyncClose()
	}
	c.mu.Unlock()
	c.cancel()
	c.polling.Wait()
	c.cl.Close()
	return nil
}

// HighWaterMarks returns the end of each log as it was last seen.
func (c *consumer) HighWaterMarks() map[string]map[int32]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	ends := map[string]map[int32]int64{}
	for tp, p := range c.parts {
		if ends[tp.Topic] == nil {
			ends[tp.Topic] = map[int32]int64{}
		}
		ends[tp.Topic][tp.Partition] = p.end.Load()
	}
	return ends
}

// feed turns what has been fetched into messages until the partition is closed.
func (p *partitionConsumer) feed() {
	defer close(p.messages)
	defer close(p.errors)
	defer p.c.remove(p)
	for {
		select {
		case f := <-p.fetched:
			if !p.pass(&f) {
				return
			}
		case <-p.closing:
			return
		}
	}
}

// pass passes one answer on; false if the partition has been closed.
func (p *partitionConsumer) pass(f *kgo.FetchPartition) bool {
	if f.HighWatermark > 0 {
		p.end.Store(f.HighWatermark)
	}
	messages := make([]sarama.ConsumerMessage, len(f.Records))
	for i, r := range f.Records {
		m := &messages[i]
		*m = sarama.ConsumerMessage{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		select {
		case p.messages <- m:
		case <-p.closing:
			return false
		}
	}
	if f.Err == nil {
		return true
	}
	select {
	case p.errors <- &sarama.ConsumerError{Topic: p.tp.Topic, Partition: p.tp.Partition, Err: f.Err}:
		return true
	case <-p.closing:
		return false
	}
}

// AsyncClose ends the reading; both channels are closed once it has.
func (p *partitionConsumer) AsyncClose() { p.close.Do(func() { close(p.closing) }) }

// Close ends the reading and returns the errors that nobody has taken.
func (p *partitionConsumer) Close() (err error) {
	p.AsyncClose()
	for range p.messages {
	}
	for e := range p.errors {
		err = errors.Join(err, e)
	}
	return err
}

// Messages returns the records in the order of the log.
func (p *partitionConsumer) Messages() <-chan *sarama.ConsumerMessage { return p.messages }

// Errors returns why the partition cannot be read on.
func (p *partitionConsumer) Errors() <-chan *sarama.ConsumerError { return p.errors }

// HighWaterMarkOffset returns the end of the log as it was last seen.
func (p *partitionConsumer) HighWaterMarkOffset() int64 { return p.end.Load() }

// goka does not ask the following of a consumer of tables.
var errTables = errors.New("a consumer of tables reads partitions it is told, and does not pause")

// Topics is not of a consumer of tables.
func (c *consumer) Topics() ([]string, error) { return nil, errTables }

// Partitions is not of a consumer of tables.
func (c *consumer) Partitions(string) ([]int32, error) { return nil, errTables }

// Pause does nothing.
func (c *consumer) Pause(map[string][]int32) {}

// Resume does nothing.
func (c *consumer) Resume(map[string][]int32) {}

// PauseAll does nothing.
func (c *consumer) PauseAll() {}

// ResumeAll does nothing.
func (c *consumer) ResumeAll() {}

// Pause does nothing.
func (p *partitionConsumer) Pause() {}

// Resume does nothing.
func (p *partitionConsumer) Resume() {}

// IsPaused is never true.
func (p *partitionConsumer) IsPaused() bool { return false }
