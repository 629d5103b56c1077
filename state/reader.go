package state

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// ReadRow returns a copy of the committed bytes of a row, nil if there is none. Any goroutine may call it while the store is open.
func (d *DB) ReadRow(t Table, partition int32, key string) ([]byte, error) {
	var scratch [128]byte
	v, closer, err := d.db.Get(append(append(scratch[:0], prefix(spaceRow, t, partition)...), key...))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read row of partition %d: %w", partition, err)
	}
	v = append(make([]byte, 0, len(v)), v...)
	return v, closer.Close()
}

// OnCommitted has f called with the records of every transaction of the partition, twice: before they are written to Pebble, and, with
// done, once they are in it and before anybody else is told. The slice is f's only while it runs. It belongs to the partition's goroutine,
// before the first transaction.
func (p *Partition) OnCommitted(f func(rows []Write, done bool)) { p.committed = f }

// OnStaged has f called with every derived entry that a transaction sets or deletes, as it is sealed; transactions are numbered. The key is f's only
// while it runs. It belongs to the partition's goroutine, before the first transaction.
func (p *Partition) OnStaged(f func(key []byte, set bool, txn uint64)) { p.staged = f }

// Committed returns the number of the last transaction that is in Pebble, entries and all.
func (p *Partition) Committed() uint64 { return p.done.Load() }

// ScanRows calls f for the committed rows of a partition from a key on, in the order of their keys, until it returns false. Key and value
// are f's only while it runs.
func (d *DB) ScanRows(t Table, partition int32, from string, f func(key, value []byte) bool) error {
	pre := prefix(spaceRow, t, partition)
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: append(pre[:len(pre):len(pre)], from...), UpperBound: prefix(spaceRow, t, partition+1)})
	if err != nil {
		return fmt.Errorf("scan rows of partition %d: %w", partition, err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if !f(it.Key()[len(pre):], it.Value()) {
			break
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("scan rows of partition %d: %w", partition, err)
	}
	return nil
}
