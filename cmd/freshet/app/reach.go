package app

import (
	"context"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/sources"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/topology"
)

// reach says whether a record that somebody has written has been applied.
//
// A record of a workflow topic in the workflow's own partition has been, once the committed position is behind it. Any other may have been
// copied: one that is rekeyed, or lies in another partition than its key says. The copy lies below the end that the topic of copies has
// once the position of the original's group is behind it; so what is applied up to that end holds it. A source event is applied once the
// View has read the table up to the end that it has after that.
type reach struct {
	graph   *topology.Graph
	logs    *tail.Steady
	view    *sources.View
	rekeyed map[string]int32          // topics that are rekeyed: their partitions
	clocks  func(string) *clock.Group // of a group of this instance, nil if it does not run here
}

// askPace is how often a broker is asked on behalf of one caller at most.
const askPace = 20 * time.Millisecond

// Reach returns how to see whether a record has been applied as far as a workflow of a partition is concerned.
func (r *reach) Reach(partition int32, record freshness.Position) (reached func() bool, known bool) {
	t, ok := r.graph.Topic(record.Topic)
	if !ok || t.Role != topology.Input {
		return nil, false
	}
	w := &way{reach: r, record: record, partition: partition, group: r.graph.Workflows, source: t.Category == event.Source}
	partitions := r.graph.Workflows.Partitions
	if w.source {
		w.group, partitions = r.graph.Sources, r.graph.Sources.Partitions
	}
	w.origin = w.group.Name
	if t.Rekey {
		w.origin, partitions = r.graph.Name(topology.RekeyGroup)+"."+t.Declared, r.rekeyed[t.Name]
	}
	return w.done, record.Partition >= 0 && record.Partition < partitions
}

// way is the way of one record, as far as it has been followed.
type way struct {
	*reach
	record    freshness.Position
	partition int32
	group     topology.Group // that folds it
	origin    string         // the group that reads it first
	source    bool
	passed    bool            // origin's position is behind it
	copies    map[int32]int64 // ends of the copies then, by partition; those that have been applied are gone
	table     []int64         // ends of the sources table after that
	asked     time.Time       // a broker
}

// done follows the way on, and says whether its end has been reached.
func (w *way) done() bool {
	if !w.passed {
		at, known := w.position(w.origin, w.record.Topic, w.record.Partition)
		if !known || at <= w.record.Offset {
			return false
		}
		w.passed = true
	}
	if !w.source && w.origin == w.group.Name && w.record.Partition == w.partition {
		return true
	}
	if w.copies == nil && !w.look(w.endsOfCopies) {
		return false
	}
	for p, end := range w.copies {
		if at, known := w.position(w.group.Name, w.copiesTopic(), p); !known || at < end {
			return false
		}
		delete(w.copies, p)
	}
	if !w.source {
		return true
	}
	if w.table == nil && !w.look(w.endsOfTable) {
		return false
	}
	for q, offset := range w.view.Offsets() {
		if offset < w.table[q]-1 {
			return false
		}
	}
	return true
}

func (w *way) copiesTopic() string {
	if w.source {
		return w.graph.RekeyedSources
	}
	return w.graph.RekeyedWorkflows
}

// position returns the committed position of a group: its own on this instance, else the broker's.
func (w *way) position(group, topic string, partition int32) (at int64, known bool) {
	if c := w.clocks(group); c != nil {
		if at, known = c.Position(topic, partition); known {
			return at, true
		}
	}
	w.ask(func(ctx context.Context) error {
		all, err := w.logs.Committed(ctx, group, map[string]int32{topic: partition + 1})
		c, ok := all[tail.TopicPartition{Topic: topic, Partition: partition}]
		at, known = c.Next, err == nil && ok
		return err
	})
	return at, known
}

// ask asks a broker, unless it has been asked just now; false if there is no answer.
func (w *way) ask(question func(ctx context.Context) error) bool {
	if time.Since(w.asked) < askPace {
		return false
	}
	w.asked = time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return question(ctx) == nil
}

// look asks a broker a question that has to be answered once.
func (w *way) look(question func(ctx context.Context) error) bool {
	ok := w.ask(question)
	if ok {
		w.asked = time.Time{} // the next question is another one
	}
	return ok
}

func (w *way) endsOfCopies(ctx context.Context) error {
	partitions := []int32{w.partition}
	if w.source {
		partitions = partitions[:0]
		for q := range w.group.Partitions {
			partitions = append(partitions, q)
		}
	}
	ends := map[int32]int64{}
	for _, p := range partitions {
		end, err := w.logs.Usable(ctx, w.copiesTopic(), p)
		if err != nil {
			return err
		}
		if end > 0 {
			ends[p] = end
		}
	}
	w.copies = ends
	return nil
}

func (w *way) endsOfTable(ctx context.Context) error {
	ends := make([]int64, w.view.Partitions())
	for q := range ends {
		end, err := w.logs.Usable(ctx, w.graph.Sources.Table, int32(q))
		if err != nil {
			return err
		}
		ends[q] = end
	}
	w.table = ends
	return nil
}
