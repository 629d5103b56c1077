package app

import (
	"context"
	"errors"
	"fmt"
	"sync"

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

	rounds rounds
}

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
	table     map[int32]int64 // ends of the sources table after that
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
	if w.copies == nil && !w.look(&w.copies, w.copiesTopic(), w.copyPartitions()) {
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
	if w.table == nil && !w.look(&w.table, w.graph.Sources.Table, w.all()) {
		return false
	}
	for q, offset := range w.view.Offsets() {
		if offset < w.table[int32(q)]-1 {
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
	offsets, err := w.rounds.ask(fmt.Sprint(group, " ", topic, " ", partition), func(ctx context.Context) (map[int32]int64, error) {
		all, err := w.logs.Committed(ctx, group, map[string]int32{topic: partition + 1})
		at := map[int32]int64{}
		for tp, c := range all {
			at[tp.Partition] = c.Next
		}
		return at, err
	})
	at, known = offsets[partition]
	return at, known && err == nil
}

// copyPartitions are those in which the copy of the record may lie.
func (w *way) copyPartitions() []int32 {
	if w.source {
		return w.all()
	}
	return []int32{w.partition}
}

// all are the partitions of the group that folds the record.
func (w *way) all() []int32 {
	all := make([]int32, w.group.Partitions)
	for p := range all {
		all[p] = int32(p)
	}
	return all
}

// look takes the ends of a topic, in some of its partitions; false if there is no answer.
func (w *way) look(to *map[int32]int64, topic string, partitions []int32) bool {
	ends, err := w.rounds.ask(fmt.Sprint(topic, " ", partitions), func(ctx context.Context) (map[int32]int64, error) {
		return w.ends(ctx, topic, partitions)
	})
	if err != nil {
		return false
	}
	own := map[int32]int64{} // of this record: what has been reached is taken away
	for p, end := range ends {
		if end > 0 {
			own[p] = end
		}
	}
	*to = own
	return true
}

// ends asks for the ends of a topic, for readers of committed records.
func (w *way) ends(ctx context.Context, topic string, partitions []int32) (map[int32]int64, error) {
	var (
		mu    sync.Mutex
		all   sync.WaitGroup
		ends  = map[int32]int64{}
		wrong error
	)
	for _, p := range partitions {
		all.Go(func() {
			end, err := w.logs.Usable(ctx, topic, p)
			mu.Lock()
			defer mu.Unlock()
			ends[p], wrong = end, errors.Join(wrong, err)
		})
	}
	all.Wait()
	return ends, wrong
}
