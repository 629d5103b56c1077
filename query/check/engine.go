package check

import (
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Clock is what the clock of a partition shows.
type Clock struct {
	Applied  event.Time // every record acknowledged before it has been applied and committed; valid if Live
	Complete event.Time // every event up to it has been applied; valid if Live
	Live     bool
}

// Owner says who answers for a partition of the workflows: this instance, another one at an address, or nobody now.
type Owner struct {
	Here bool
	Peer string // address of the instance that has it, "" if none is known
}

// Workflows is the committed state of workflows.
type Workflows interface {
	// Partition returns the partition of a workflow.
	Partition(workflow string) int32
	// Owner returns who answers for a partition.
	Owner(partition int32) Owner
	// Clock returns the clock of a partition that is here. Who reads it before a row sees everything in the row that it speaks of.
	Clock(partition int32) Clock
	// Workflow returns the committed row of a workflow, prepared and read-only, nil if there is none; an error if it cannot be read here.
	Workflow(partition int32, id string) (*freshness.Workflow, error)
	// Next returns what is closed when a partition moves.
	Next(partition int32) <-chan struct{}
	// Reach returns how to see whether a record has been applied as far as a workflow of a partition is concerned; false if no input of
	// the engine is named so, or has no such partition.
	Reach(partition int32, record freshness.Position) (reached func() bool, known bool)
}

// Sources is what is known of context items.
type Sources interface {
	freshness.Sources
	// Partition returns the source partition of an item.
	Partition(kind, key string) int32
	// Clocks appends the clocks of all source partitions, in order. Who reads them before an item sees everything that they speak of.
	Clocks(to []Clock) []Clock
}

// Contracts is which contract was in force when.
type Contracts interface {
	// At returns the contract in force at an instant, nil if there has never been one.
	At(t event.Time) *freshness.Contract
	// DecisionRetention returns for how long what a judgement needs is kept.
	DecisionRetention() freshness.Duration
}
