package read

import (
	"errors"
	"fmt"
	"sync"

	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/await"
	"github.com/freshet-io/freshet/state"
)

// ErrNotHere says that this instance does not have a partition, or not yet: its rows are being restored.
var ErrNotHere = errors.New("this instance does not have the partition")

// Reader reads the workflows of this instance's partitions.
//
// A row that has been decoded is kept, and dropped by the transaction that changes it, before the row is in Pebble
// (state.Partition.OnCommitted). From then until it is, nothing is kept, and afterwards nothing that was read before: the partition's
// generation has moved. So no row is older than one that anybody has seen before, and all this is done before the clocks move.
type Reader struct {
	db    *state.DB
	parts []part

	mu     sync.RWMutex // held to read Pebble; Close takes it whole, for Pebble panics once it is closed
	closed bool
}

// part is one partition.
type part struct {
	budget int // bytes of encoded rows whose decoded form is kept

	mu         sync.RWMutex
	owned      bool
	writing    bool   // a transaction is on its way into Pebble
	generation uint64 // transactions, and changes of hands
	rows       map[string]kept
	size       int
	moved      chan struct{} // closed by the next transaction, nil if nobody waits
}

type kept struct {
	w    *freshness.Workflow
	size int
}

// New returns a reader of so many partitions, of which it has none yet. It keeps decoded rows that take about so many bytes encoded.
func New(db *state.DB, partitions int32, budget int) *Reader {
	r := &Reader{db: db, parts: make([]part, partitions)}
	for i := range r.parts {
		r.parts[i].budget = budget / int(partitions)
		r.parts[i].rows = map[string]kept{}
	}
	return r
}

// Assigned tells that a partition's rows are restored and may be read.
func (r *Reader) Assigned(partition int32) { r.parts[partition].own(true) }

// Revoked tells that a partition is gone.
func (r *Reader) Revoked(partition int32) { r.parts[partition].own(false) }

// Reset tells that every partition is.
func (r *Reader) Reset() {
	for i := range r.parts {
		r.parts[i].own(false)
	}
}

func (p *part) own(owned bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owned, p.writing = owned, false
	p.generation++
	p.rows, p.size = map[string]kept{}, 0
	p.wake()
}

// Committed drops the rows that a transaction changes: before they are written to Pebble, and once that is done.
func (r *Reader) Committed(partition int32, writes []state.Write, done bool) {
	p := &r.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing = !done
	p.generation++
	if len(p.rows) == 0 || await.Off(await.RowsRule) {
		return
	}
	for i := range writes {
		if k, ok := p.rows[writes[i].Key]; ok {
			p.size -= k.size
			delete(p.rows, writes[i].Key)
		}
	}
}

// Moved tells that a partition's positions and clocks have moved: who waits looks again.
func (r *Reader) Moved(partition int32) {
	p := &r.parts[partition]
	p.mu.RLock()
	waiting := p.moved != nil
	p.mu.RUnlock()
	if !waiting {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake()
}

func (p *part) wake() {
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}

// Next returns what is closed when a partition moves or changes hands. Who waits for something asks for it before looking.
func (r *Reader) Next(partition int32) <-chan struct{} {
	p := &r.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moved == nil {
		p.moved = make(chan struct{})
	}
	return p.moved
}

// Here says whether this instance has a partition and its rows are restored.
func (r *Reader) Here(partition int32) bool {
	if partition < 0 || int(partition) >= len(r.parts) {
		return false
	}
	p := &r.parts[partition]
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.owned
}

// Workflow returns what is committed of a workflow, nil if nothing is. It is read-only and prepared: any number of goroutines may judge it.
func (r *Reader) Workflow(partition int32, id string) (*freshness.Workflow, error) {
	if partition < 0 || int(partition) >= len(r.parts) {
		return nil, fmt.Errorf("%w %d", ErrNotHere, partition)
	}
	p := &r.parts[partition]
	p.mu.RLock()
	k, hit := p.rows[id]
	owned, generation := p.owned, p.generation
	p.mu.RUnlock()
	switch {
	case !owned:
		return nil, fmt.Errorf("%w %d", ErrNotHere, partition)
	case hit:
		return k.w, nil
	}
	b, err := r.row(partition, id)
	if err != nil || b == nil {
		return nil, err
	}
	w, err := state.DecodeWorkflow(id, b, nil)
	if err != nil {
		return nil, fmt.Errorf("partition %d: %w", partition, err)
	}
	w.Prepare()
	p.keep(id, kept{w: w, size: len(b)}, generation)
	return w, nil
}

// row reads a row's bytes from Pebble.
func (r *Reader) row(partition int32, id string) ([]byte, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return nil, fmt.Errorf("%w %d: the store is closed", ErrNotHere, partition)
	}
	return r.db.ReadRow(state.Workflows, partition, id)
}

// keep keeps a decoded row, unless a transaction has come since it was read.
func (p *part) keep(id string, k kept, generation uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if generation != p.generation || p.writing || !p.owned || k.size > p.budget {
		return
	}
	if old, ok := p.rows[id]; ok {
		p.size -= old.size
	}
	p.rows[id] = k
	for p.size += k.size; p.size > p.budget; {
		for other, o := range p.rows { // in no order: which row goes costs a decoding at most
			if other != id {
				p.size -= o.size
				delete(p.rows, other)
				break
			}
		}
	}
}

// Close ends reading: from here on every row is not here. It returns once nobody reads any more.
func (r *Reader) Close() {
	r.Reset()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// Scan calls f for the workflows of a partition, from an id on, in the order of ids, until it returns false. What f gets is its to keep.
func (r *Reader) Scan(partition int32, from string, f func(w *freshness.Workflow) bool) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed || !r.Here(partition) {
		return fmt.Errorf("%w %d", ErrNotHere, partition)
	}
	var bad error
	err := r.db.ScanRows(state.Workflows, partition, max(from, firstID), func(key, value []byte) bool {
		w, err := state.DecodeWorkflow(string(key), append([]byte(nil), value...), nil)
		if err != nil {
			bad = fmt.Errorf("partition %d: %w", partition, err)
			return false
		}
		w.Prepare()
		return f(w)
	})
	return errors.Join(bad, err)
}

// firstID is behind all control rows: their keys begin with byte 0.
const firstID = "\x01"

// Store calls f with the store, which stays open while it runs.
func (r *Reader) Store(partition int32, f func(db *state.DB) error) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed || !r.Here(partition) {
		return fmt.Errorf("%w %d", ErrNotHere, partition)
	}
	return f(r.db)
}
