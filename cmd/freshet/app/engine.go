package app

import (
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/sources"
	"github.com/freshet-io/freshet/processors/workflows"
	"github.com/freshet-io/freshet/processors/workflows/read"
	"github.com/freshet-io/freshet/query"
	"github.com/freshet-io/freshet/query/check"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
)

// rows is the workflows table as the query server asks for it.
type rows struct {
	*read.Reader
	*reach
	clock       *clock.Group
	partitioner topology.Partitioner
	partitions  int32
	lateness    event.Time // greatest of the inputs
}

// Partition returns the partition of a workflow.
func (r *rows) Partition(workflow string) int32 {
	return r.partitioner.PartitionString(workflow, r.partitions)
}

// Owner returns who answers for a partition.
func (r *rows) Owner(partition int32) check.Owner { return check.Owner{Here: r.Here(partition)} }

// Clock returns the clock of a partition. While catching up the group's own complete clock moves with the records' times; no answer rests
// on that.
func (r *rows) Clock(partition int32) check.Clock {
	applied, complete, live := r.clock.Read(partition)
	return check.Clock{Applied: applied, Complete: min(complete, applied-r.lateness), Live: live}
}

// Partitions returns how many partitions there are.
func (r *rows) Partitions() int32 { return r.partitions }

// Holders calls f for the workflows of a partition that hold an item or have used it.
func (r *rows) Holders(partition int32, kind, key string, after []byte, f func(workflow string, place []byte) bool) error {
	return r.Store(partition, func(db *state.DB) error { return workflows.Holders(db, partition, kind, key, after, f) })
}

// items is the View as the query server asks for it.
type items struct {
	*sources.View
	partitioner topology.Partitioner
	lateness    event.Time
}

// Partition returns the source partition of an item.
func (i *items) Partition(kind, key string) int32 {
	if i.Partitions() == 1 {
		return 0
	}
	var scratch [128]byte
	b := append(append(append(scratch[:0], kind...), '/'), key...)
	return i.partitioner.Partition(b, i.Partitions())
}

// Clocks appends the clocks of all source partitions.
func (i *items) Clocks(to []check.Clock) []check.Clock {
	for q := range i.Partitions() {
		applied, complete, live := i.Clock(q)
		to = append(to, check.Clock{Applied: applied, Complete: min(complete, applied-i.lateness), Live: live})
	}
	return to
}

var (
	_ query.Rows        = (*rows)(nil)
	_ check.Sources     = (*items)(nil)
	_ freshness.Sources = (*items)(nil)
)
