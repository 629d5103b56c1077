package app

import (
	"context"
	"fmt"
	"time"

	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/query"
	"github.com/freshet-io/freshet/topology"
	"github.com/twmb/franz-go/pkg/kgo"
)

// feed reads what all instances say. Its partitions have an order: by topic as they are listed here, then by number.
type feed struct {
	logs    *tail.Logs
	cluster access.Cluster
	slots   []tail.TopicPartition
	index   map[tail.TopicPartition]int
	events  map[string]string // topic → name of its events
}

func newFeed(g *topology.Graph, logs *tail.Logs, cluster access.Cluster) *feed {
	f := &feed{logs: logs, cluster: cluster, index: map[tail.TopicPartition]int{}, events: map[string]string{}}
	for _, t := range []struct{ topic, event string }{{g.Verdicts, "verdict"}, {g.Detections, "detection"}, {g.Alerts, "alert"}} {
		topic, ok := g.Topic(t.topic)
		if !ok || !topic.Used {
			continue
		}
		f.events[t.topic] = t.event
		for p := range topic.Partitions {
			tp := tail.TopicPartition{Topic: t.topic, Partition: p}
			f.index[tp] = len(f.slots)
			f.slots = append(f.slots, tp)
		}
	}
	return f
}

// Range returns the positions of the first records that there are, and those behind the last.
func (f *feed) Range(ctx context.Context) (starts, ends query.Positions, err error) {
	first, err := f.logs.Starts(ctx, f.slots)
	if err != nil {
		return nil, nil, err
	}
	for _, tp := range f.slots {
		end, err := f.logs.Usable(ctx, tp.Topic, tp.Partition)
		if err != nil {
			return nil, nil, err
		}
		starts, ends = append(starts, min(first[tp], end)), append(ends, end)
	}
	return starts, ends, nil
}

// Follow hands over what there is from positions on, and what comes.
func (f *feed) Follow(ctx context.Context, from query.Positions, each func(query.Said)) error {
	at := map[string]map[int32]kgo.Offset{}
	for i, tp := range f.slots {
		if at[tp.Topic] == nil {
			at[tp.Topic] = map[int32]kgo.Offset{}
		}
		at[tp.Topic][tp.Partition] = kgo.NewOffset().At(from[i])
	}
	client, err := kgo.NewClient(f.cluster.Kgo(kgo.ConsumePartitions(at), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(250*time.Millisecond))...)
	if err != nil {
		return fmt.Errorf("follow what is said: %w", err)
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("follow %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			slot := f.index[tail.TopicPartition{Topic: r.Topic, Partition: r.Partition}]
			each(query.Said{Event: f.events[r.Topic], Slot: slot, Offset: r.Offset, Workflow: string(r.Key), Data: r.Value})
		})
	}
}
