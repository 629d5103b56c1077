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

// OnCommitted has f called with the records of every transaction of the partition, once they are in Pebble and before anybody else is
// told. The slice is f's only while it runs. It belongs to the partition's goroutine, before the first transaction.
func (p *Partition) OnCommitted(f func([]Write)) { p.committed = f }
