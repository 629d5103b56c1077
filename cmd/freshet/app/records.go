package app

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/query"
	"github.com/freshet-io/freshet/topology"
	"github.com/twmb/franz-go/pkg/kgo"
)

// records reads back from Kafka what answers cite.
type records struct {
	graph *topology.Graph
	logs  *tail.Logs
}

// nearBy is how far apart two records may lie to be read in one go.
const nearBy = 500

// Fetch returns the records at positions, in the order of these; nil where there is none any more.
func (r *records) Fetch(ctx context.Context, at []freshness.Position) ([]*query.Record, error) {
	found := make([]*query.Record, len(at))
	order := make([]int, len(at))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(at[a].Topic, at[b].Topic), cmp.Compare(at[a].Partition, at[b].Partition), cmp.Compare(at[a].Offset, at[b].Offset))
	})
	for len(order) > 0 {
		first := at[order[0]]
		n := 1
		for n < len(order) && at[order[n]].Topic == first.Topic && at[order[n]].Partition == first.Partition && at[order[n]].Offset-at[order[n-1]].Offset < nearBy {
			n++
		}
		if t, known := r.graph.Topic(first.Topic); known {
			if err := r.run(ctx, t.Category, at, order[:n], found); err != nil {
				return nil, err
			}
		}
		order = order[n:]
	}
	return found, nil
}

// run reads records that lie near each other in one partition.
func (r *records) run(ctx context.Context, category event.Category, at []freshness.Position, order []int, found []*query.Record) error {
	first := at[order[0]]
	return r.logs.Records(ctx, first.Topic, first.Partition, first.Offset, func(rec *kgo.Record) bool {
		for len(order) > 0 && at[order[0]].Offset < rec.Offset {
			order = order[1:] // it is gone
		}
		for len(order) > 0 && at[order[0]].Offset == rec.Offset {
			found[order[0]] = recordOf(category, rec)
			order = order[1:]
		}
		return len(order) == 0
	})
}

func recordOf(category event.Category, rec *kgo.Record) *query.Record {
	r := &query.Record{Category: category, Time: event.Of(rec.Timestamp), Key: rec.Key, Value: rec.Value}
	for _, h := range rec.Headers {
		r.Headers = append(r.Headers, event.Header{Key: []byte(h.Key), Value: h.Value})
	}
	return r
}

// verdictsLimit bounds the records that are looked at for the revisions of one decision.
const verdictsLimit = 500_000

// Verdicts calls f with the data of the verdict records of a workflow that were written between two instants, oldest first.
func (r *records) Verdicts(ctx context.Context, workflow string, from, to event.Time, f func(data []byte)) (whole bool, err error) {
	partition := r.graph.Partitioner.PartitionString(workflow, r.graph.Workflows.Partitions)
	start, err := r.logs.Since(ctx, tail.TopicPartition{Topic: r.graph.Verdicts, Partition: partition}, int64(from))
	if err != nil {
		return false, err
	}
	whole = true
	n := 0
	end := to.Go().Add(time.Second)
	err = r.logs.Records(ctx, r.graph.Verdicts, partition, start, func(rec *kgo.Record) bool {
		if n++; n > verdictsLimit {
			whole = false
			return true
		}
		if string(rec.Key) == workflow {
			f(rec.Value)
		}
		return rec.Timestamp.After(end)
	})
	return whole, err
}

var _ query.Records = (*records)(nil)
