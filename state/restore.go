package state

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// A partition that is restored from nothing gets its rows first, and the entries that are derived from them in one pass at the end. A changelog
// has a row many times: so each is decoded once and not at each record, nothing is looked up, and no entry is written to be taken away again. Until
// then the partition's mark says that its rows are bare: a restore that is given up goes on with them as they are.

// bareMark ends the mark of a partition whose rows have no derived entries.
const bareMark = 'b'

// OnDerived has f called with the number of rows whose entries have been derived since the last call, while a restore is brought to its end. It
// belongs before Open.
func (p *Partition) OnDerived(f func(rows int)) { p.onDerived = f }

// recoverBare takes a changelog record without looking at what was known of its key.
func (p *Partition) recoverBare(key string, value []byte) error {
	if p.recovery == nil {
		p.recovery, p.derived = p.db.db.NewBatch(), p.db.db.NewBatch()
	}
	p.fullKey = append(append(p.fullKey[:0], p.rowKey...), key...)
	var err error
	if value == nil {
		err = p.recovery.Delete(p.fullKey, nil)
	} else {
		err = p.recovery.Set(p.fullKey, value, nil)
	}
	if err != nil {
		return fmt.Errorf("recover row of partition %d: %w", p.id, err)
	}
	return nil
}

// deriveEvery is after how many rows OnDerived's function is told.
const deriveEvery = 1000

// derive gives bare rows their entries.
func (p *Partition) derive() error {
	if !p.bare {
		return nil
	}
	b := p.db.db.NewBatch()
	defer func() { _ = b.Close() }()
	if p.resumed { // an earlier attempt may have come this far
		if err := b.DeleteRange(prefix(spaceIndex, p.table, p.id), prefix(spaceIndex, p.table, p.id+1), nil); err != nil {
			return fmt.Errorf("derive the entries of partition %d: %w", p.id, err)
		}
	}
	w := IndexWriter{batch: b, prefix: prefix(spaceIndex, p.table, p.id)}
	n, failed := 0, error(nil)
	scanned := p.db.ScanRows(p.table, p.id, "", func(key, value []byte) bool {
		if failed = p.schema.Recovered(&w, string(key), nil, value); failed == nil {
			failed = w.err
		}
		if n++; n%deriveEvery == 0 && p.onDerived != nil {
			p.onDerived(deriveEvery)
		}
		if failed == nil && b.Len() > recoveryBatch {
			failed = b.Commit(pebble.NoSync)
			b.Reset()
		}
		return failed == nil
	})
	if failed == nil {
		failed = scanned
	}
	if failed != nil {
		return fmt.Errorf("derive the entries of partition %d: %w", p.id, failed)
	}
	p.bare, p.resumed = false, false
	if p.offset >= 0 {
		if err := p.stageOffset(b); err != nil {
			return err
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("derive the entries of partition %d: %w", p.id, err)
	}
	return nil
}
