package slos

import (
	"fmt"
	"slices"
	"sync"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/slo/budget"
)

// Book holds the buckets of all objectives. It is safe for concurrent use.
type Book struct {
	mu      sync.Mutex
	ledgers map[string]*budget.Ledger
}

// NewBook returns an empty book.
func NewBook() *Book { return &Book{ledgers: map[string]*budget.Ledger{}} }

// change is one record of the topic.
type change struct {
	key   string
	value []byte // nil: a tombstone
}

// apply makes the records of one transaction what the book says, all together: of a bucket that is moved to a coarser one nobody sees
// half. Worse says that more uses are not fresh than before; bad is what could not be read.
func (b *Book) apply(changes []change) (worse bool, bad []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range changes {
		objective, partition, start, size, err := budget.ParseKey(c.key)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		ledger := b.ledgers[objective]
		if ledger == nil {
			ledger = &budget.Ledger{}
			b.ledgers[objective] = ledger
		}
		if c.value == nil {
			ledger.Drop(partition, start, size)
			continue
		}
		_, _, bucket, err := budget.ParseRecord(c.value)
		if err == nil && (bucket.Start != start || bucket.Size != size) {
			err = fmt.Errorf("bucket %q says it begins at %s", c.key, bucket.Start)
		}
		if err != nil {
			bad = append(bad, err)
			continue
		}
		worse = ledger.Set(partition, bucket) || worse
	}
	return worse, bad
}

// State says how an objective stands at an instant.
func (b *Book) State(s *slo.SLO, now event.Time) budget.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	ledger := b.ledgers[s.Name]
	if ledger == nil {
		ledger = &budget.Ledger{}
	}
	return budget.Evaluate(s, ledger, now)
}

// Buckets returns how many buckets there are, over all partitions and of each by itself.
func (b *Book) Buckets() (together, apart int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.ledgers {
		t, a := l.Buckets()
		together, apart = together+t, apart+a
	}
	return together, apart
}

// States says how the objectives of a contract stand at an instant, in the order of the file.
func (b *Book) States(f *slo.File, now event.Time) []budget.State {
	states := make([]budget.State, 0, len(f.SLOs))
	for i := range f.SLOs {
		states = append(states, b.State(&f.SLOs[i], now))
	}
	return slices.Clip(states)
}
