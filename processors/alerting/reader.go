package alerting

import (
	"context"
	"fmt"
	"time"

	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Reader follows the topic of detections.
type Reader struct {
	to     *Detections
	topic  string
	logger log.Logger
	client *kgo.Client
	ends   map[int32]int64 // partitions of which what there was at the start has not been read
}

// NewReader returns a reader of the topic.
func NewReader(to *Detections, topic string, logger log.Logger) *Reader {
	return &Reader{to: to, topic: topic, logger: logger, ends: map[int32]int64{}}
}

// Start connects and finds out how far the topic reaches now.
func (r *Reader) Start(ctx context.Context, logs *tail.Logs, cluster access.Cluster, partitions int32) error {
	from := map[int32]kgo.Offset{}
	for p := range partitions {
		end, err := logs.Usable(ctx, r.topic, p)
		if err != nil {
			return fmt.Errorf("end of %s/%d: %w", r.topic, p, err)
		}
		if end > 0 {
			r.ends[p] = end
		}
		from[p] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(cluster.Kgo(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(250*time.Millisecond))...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", r.topic, err)
	}
	r.client = client
	r.caught()
	return nil
}

// Stop disconnects.
func (r *Reader) Stop() {
	if r.client != nil {
		r.client.Close()
	}
}

// Run reads until ctx ends.
func (r *Reader) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		fetches := r.client.PollFetches(ctx)
		fetches.EachRecord(r.take)
		for _, e := range fetches.Errors() {
			if ctx.Err() != nil {
				break
			}
			_ = level.Warn(r.logger).Log("msg", "detections cannot be read", "topic", e.Topic, "partition", e.Partition, "err", e.Err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			break
		}
	}
	return nil
}

func (r *Reader) take(rec *kgo.Record) {
	if !rec.Attrs.IsControl() {
		if err := r.to.Apply(string(rec.Key), rec.Value); err != nil {
			_ = level.Error(r.logger).Log("msg", "detection cannot be read and is left out", "partition", rec.Partition, "offset", rec.Offset, "err", err)
		}
	}
	if end, behind := r.ends[rec.Partition]; behind && rec.Offset+1 >= end {
		delete(r.ends, rec.Partition)
		r.caught()
	}
}

func (r *Reader) caught() {
	if len(r.ends) == 0 {
		r.to.Caught()
	}
}
