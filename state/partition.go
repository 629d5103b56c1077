package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/go-kit/log/level"
	"github.com/lovoo/goka/storage"
)

// Row is a decoded row. A partition's goroutine owns it; the barrier touches it only while that goroutine stands.
type Row interface {
	// Records hands every changelog record that the row's changes since the last call make to put; a nil value is a tombstone. The
	// value is appended to the buffer that put gives.
	Records(put func(key string, appendTo func([]byte) []byte))
	// Index stages the derived entries that changed since the last call.
	Index(w *IndexWriter)
	// Pinned rows stay decoded: something waits for them.
	Pinned() bool
	// Done rows need not stay decoded once they are committed: nothing more is expected of them.
	Done() bool
}

// Schema says how a table's rows are read.
type Schema interface {
	// Load decodes the row of a key from what the partition's Read returns; nil if there is none.
	Load(p *Partition, key string) (Row, error)
	// Recovered stages how the derived entries change with a record that recovery has read: was is what was known of its key, is what the
	// record says. nil: no row.
	Recovered(w *IndexWriter, key string, was, is []byte) error
}

// Partition is one partition of a table. Its methods belong to the partition's goroutine, but for Seal and Commit, which the committer calls
// (Seal inside the barrier), and the storage.Storage methods, which goka calls before and after.
type Partition struct {
	db     *DB
	table  Table
	id     int32
	schema Schema
	limit  int // clean decoded rows kept

	rows      map[string]*slot
	dirty     []*slot
	leaving   []*slot // done with the last transaction
	sealed    []Write
	batch     *pebble.Batch // the sealed rows and their derived entries: what Pebble gets. The writes' values lie in it
	scratch   []byte
	committed func([]Write, bool)                    // told of every transaction, if set
	staged    func(key []byte, set bool, txn uint64) // told of every derived entry, if set
	txn       uint64                                 // transactions sealed so far
	done      atomic.Uint64                          // of them, committed

	live     bool
	offset   int64
	asOf     time.Time     // the changelog has nothing older that is not in Pebble, deletions included
	recovery *pebble.Batch // rows that recovery has read and not written yet
	derived  *pebble.Batch // and how their derived entries change
	bare     bool          // the rows in Pebble have no derived entries yet: see restore.go
	resumed  bool          // and had none when the partition was opened

	onDerived func(rows int) // told how far derive has come, if set
	fullKey   []byte         // scratch of recoverBare

	rowKey []byte
}

type slot struct {
	key   string
	row   Row
	dirty bool
	txn   uint64 // the transaction that carries its last change
}

// Slab hands out memory for many small values in few allocations. What it has handed out is collected piece by piece, once all values
// of a piece are gone.
type Slab struct{ free []byte }

const slabSize = 256 << 10

// Copy returns a copy of b.
func (s *Slab) Copy(b []byte) []byte {
	if len(b) > slabSize/8 {
		return append([]byte(nil), b...)
	}
	if len(b) > len(s.free) {
		s.free = make([]byte, slabSize)
	}
	n := copy(s.free, b)
	value := s.free[:n:n]
	s.free = s.free[n:]
	return value
}

// Write is one changelog record of a sealed row.
type Write struct {
	Key   string
	Value []byte
}

// NewPartition returns a partition of a table; it is opened by goka.
func (d *DB) NewPartition(t Table, id int32, schema Schema, cached int) *Partition {
	return &Partition{db: d, table: t, id: id, schema: schema, limit: cached, rows: map[string]*slot{}, offset: -1, rowKey: prefix(spaceRow, t, id)}
}

// ID returns the partition's number.
func (p *Partition) ID() int32 { return p.id }

// Row returns the decoded row of a key, nil if there is none.
func (p *Partition) Row(key string) (Row, error) {
	if s := p.rows[key]; s != nil {
		return s.row, nil
	}
	key = strings.Clone(key) // the row has it as long as it is cached, and the key may be a piece of what was fetched with it
	row, err := p.schema.Load(p, key)
	if err != nil || row == nil {
		return nil, err
	}
	p.rows[key] = &slot{key: key, row: row}
	return row, nil
}

// Put makes row the key's row and its changes part of the next transaction.
func (p *Partition) Put(key string, row Row) {
	s := p.rows[key]
	if s == nil {
		s = &slot{key: key}
		p.rows[key] = s
	}
	s.row = row
	p.touch(s)
}

// Touch makes the changes of a key's row part of the next transaction.
func (p *Partition) Touch(key string) { p.touch(p.rows[key]) }

func (p *Partition) touch(s *slot) {
	if !s.dirty {
		s.dirty = true
		p.dirty = append(p.dirty, s)
	}
}

// Read returns a copy of the committed bytes of a record, nil if there is none.
func (p *Partition) Read(key string) ([]byte, error) {
	var scratch [128]byte
	v, closer, err := p.db.db.Get(append(append(scratch[:0], p.rowKey...), key...))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read row of partition %d: %w", p.id, err)
	}
	v = append([]byte(nil), v...)
	return v, closer.Close()
}

// Dirty returns the number of rows that the next transaction carries.
func (p *Partition) Dirty() int { return len(p.dirty) }

// Seal encodes what has changed since the last Seal and returns it. It is called inside the barrier; the bytes stay untouched until Commit
// has returned.
func (p *Partition) Seal() ([]Write, error) {
	if p.batch != nil {
		return nil, fmt.Errorf("seal partition %d: a transaction is still being committed", p.id)
	}
	p.txn++
	p.letGo()
	if len(p.dirty) == 0 {
		return nil, nil
	}
	p.batch = p.db.db.NewBatch(pebble.WithMaxRetainedSizeBytes(batchRetained))
	p.sealed = make([]Write, 0, len(p.dirty)+len(p.dirty)/8)
	w := IndexWriter{batch: p.batch, prefix: prefix(spaceIndex, p.table, p.id)}
	if p.staged != nil {
		w.staged = func(key []byte, set bool) { p.staged(key, set, p.txn) }
	}
	put := func(key string, appendTo func([]byte) []byte) {
		if err := p.put(key, appendTo); err != nil && w.err == nil {
			w.err = fmt.Errorf("stage row of partition %d: %w", p.id, err)
		}
	}
	for i, s := range p.dirty {
		s.dirty, s.txn = false, p.txn
		s.row.Records(put)
		s.row.Index(&w)
		p.dirty[i] = nil
		if s.row.Done() {
			p.leaving = append(p.leaving, s)
		}
	}
	p.dirty = p.dirty[:0]
	return p.sealed, w.err
}

// letGo forgets the rows that were done with the last transaction, which is committed, but for those that have changed since. What lives
// long is what collecting garbage costs, and most workflows are over.
func (p *Partition) letGo() {
	for i, s := range p.leaving {
		if !s.dirty && p.rows[s.key] == s && s.row.Done() {
			delete(p.rows, s.key)
		}
		p.leaving[i] = nil
	}
	p.leaving = p.leaving[:0]
}

// batchRetained is how large a transaction's batch may be for its memory to be used again by the next one. (Pebble keeps such memory where
// the garbage collector takes it from if nobody does.)
const batchRetained = 16 << 20

// put makes a record part of the batch and of what is sealed.
func (p *Partition) put(key string, appendTo func([]byte) []byte) error {
	if appendTo == nil {
		p.sealed = append(p.sealed, Write{Key: key})
		op := p.batch.DeleteDeferred(len(p.rowKey) + len(key))
		copy(op.Key[copy(op.Key, p.rowKey):], key)
		return op.Finish()
	}
	p.scratch = appendTo(p.scratch[:0])
	n := len(p.scratch)
	op := p.batch.SetDeferred(len(p.rowKey)+len(key), n)
	copy(op.Key[copy(op.Key, p.rowKey):], key)
	copy(op.Value, p.scratch)
	p.sealed = append(p.sealed, Write{Key: key, Value: op.Value[:n:n]})
	return op.Finish()
}

// Commit writes the sealed rows, their derived entries and the changelog offset (negative: unchanged) to Pebble, all or nothing.
func (p *Partition) Commit(offset int64) error {
	told := p.committed != nil && len(p.sealed) > 0
	if told {
		p.committed(p.sealed, false)
	}
	if err := p.write(offset); err != nil {
		return err
	}
	if told {
		p.committed(p.sealed, true)
	}
	p.sealed = nil
	if p.batch != nil {
		_ = p.batch.Close()
		p.batch = nil
	}
	p.done.Add(1)
	return nil
}

func (p *Partition) write(offset int64) error {
	if offset > p.offset {
		if p.batch == nil {
			p.batch = p.db.db.NewBatch()
		}
		p.offset, p.asOf = offset, p.db.now()
		if err := p.stageOffset(p.batch); err != nil {
			return err
		}
	}
	if p.batch == nil {
		return nil
	}
	if err := p.batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("write rows of partition %d: %w", p.id, err)
	}
	return nil
}

func (p *Partition) stageOffset(b *pebble.Batch) error {
	mark := binary.BigEndian.AppendUint64(nil, uint64(p.offset))
	mark = binary.BigEndian.AppendUint64(mark, uint64(p.asOf.UnixMilli()))
	if p.bare {
		mark = append(mark, bareMark)
	}
	if err := b.Set(prefix(spaceOffset, p.table, p.id), mark, nil); err != nil {
		return fmt.Errorf("stage offset of partition %d: %w", p.id, err)
	}
	return nil
}

// Evict forgets clean, unpinned, committed rows above the cache's limit. It belongs to the partition's goroutine or the barrier.
func (p *Partition) Evict() {
	over := len(p.rows) - p.limit
	if over <= 0 {
		return
	}
	done := p.done.Load()
	for key, s := range p.rows {
		if !s.dirty && s.txn <= done && !s.row.Pinned() {
			delete(p.rows, key)
			if over--; over <= 0 {
				return
			}
		}
	}
}

// Cached returns the number of decoded rows.
func (p *Partition) Cached() int { return len(p.rows) }

// IndexWriter stages derived entries of one partition.
type IndexWriter struct {
	batch  *pebble.Batch
	prefix []byte
	key    []byte
	err    error
	staged func(key []byte, set bool) // told of every entry, if set
}

// Set stages an entry.
func (w *IndexWriter) Set(key, value []byte) {
	if w.staged != nil {
		w.staged(key, true)
	}
	w.key = append(append(w.key[:0], w.prefix...), key...)
	if err := w.batch.Set(w.key, value, nil); err != nil && w.err == nil {
		w.err = fmt.Errorf("stage index entry: %w", err)
	}
}

// Delete stages the removal of an entry.
func (w *IndexWriter) Delete(key []byte) {
	if w.staged != nil {
		w.staged(key, false)
	}
	w.key = append(append(w.key[:0], w.prefix...), key...)
	if err := w.batch.Delete(w.key, nil); err != nil && w.err == nil {
		w.err = fmt.Errorf("stage index entry: %w", err)
	}
}

// ScanIndex calls f for the committed derived entries of a partition with from ≤ key < to, until it returns false.
func (d *DB) ScanIndex(t Table, partition int32, from, to []byte, f func(key, value []byte) bool) error {
	if !d.scanning() {
		return fmt.Errorf("scan index of partition %d: %w", partition, ErrClosed)
	}
	defer d.scans.Done()
	pre := prefix(spaceIndex, t, partition)
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: append(pre[:len(pre):len(pre)], from...), UpperBound: append(pre[:len(pre):len(pre)], to...)})
	if err != nil {
		return fmt.Errorf("scan index of partition %d: %w", partition, err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if !f(it.Key()[len(pre):], it.Value()) {
			break
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("scan index of partition %d: %w", partition, err)
	}
	return nil
}

// ---- goka's storage.Storage: recovery writes through it, and reads see committed rows only.

var _ storage.Storage = (*Partition)(nil)

const recoveryBatch = 4 << 20 // bytes staged before they go to Pebble

const markLen = 8 + 8 // offset, and as of when in milliseconds; behind that bareMark, if the rows have no derived entries yet

// Open reads the offset up to which Pebble holds the changelog. Rows that are too old begin anew.
func (p *Partition) Open() error {
	p.asOf = p.db.now()
	v, closer, err := p.db.db.Get(prefix(spaceOffset, p.table, p.id))
	if errors.Is(err, pebble.ErrNotFound) {
		p.bare = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("open partition %d: %w", p.id, err)
	}
	mark := append([]byte(nil), v...)
	if err := closer.Close(); err != nil {
		return fmt.Errorf("open partition %d: %w", p.id, err)
	}
	if len(mark) == markLen+1 && mark[markLen] == bareMark {
		p.bare, p.resumed, mark = true, true, mark[:markLen]
	}
	if len(mark) != markLen {
		_ = level.Warn(p.db.logger).Log("msg", "rows of unknown age are thrown away and come back from the changelog", "table", p.table, "partition", p.id)
		return p.wipe()
	}
	asOf := time.UnixMilli(int64(binary.BigEndian.Uint64(mark[8:])))
	if age := p.asOf.Sub(asOf); p.db.maxAge > 0 && age > p.db.maxAge {
		_ = level.Warn(p.db.logger).Log("msg", "rows are too old to be caught up: they are thrown away and come back from the changelog", "table", p.table, "partition", p.id, "age", age)
		return p.wipe()
	}
	p.offset, p.asOf = int64(binary.BigEndian.Uint64(mark)), asOf
	return nil
}

// wipe removes all that Pebble has of the partition.
func (p *Partition) wipe() error {
	b := p.db.db.NewBatch()
	defer b.Close()
	for _, space := range []byte{spaceRow, spaceIndex, spaceOffset} {
		if err := b.DeleteRange(prefix(space, p.table, p.id), prefix(space, p.table, p.id+1), nil); err != nil {
			return fmt.Errorf("throw away the rows of partition %d: %w", p.id, err)
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("throw away the rows of partition %d: %w", p.id, err)
	}
	p.bare, p.resumed = true, false
	return nil
}

// Close gives up what recovery had staged and not written; the gateway has committed or dropped the rest.
func (p *Partition) Close() error {
	if p.recovery != nil {
		rows, derived := p.recovery, p.derived
		p.recovery, p.derived = nil, nil
		return errors.Join(rows.Close(), derived.Close())
	}
	return nil
}

// Get returns committed bytes.
func (p *Partition) Get(key string) ([]byte, error) { return p.Read(key) }

// Has says whether there is a committed record.
func (p *Partition) Has(key string) (bool, error) {
	v, err := p.Read(key)
	return v != nil, err
}

// Set takes a changelog record during recovery.
func (p *Partition) Set(key string, value []byte) error { return p.recover(key, value) }

// Delete takes a tombstone during recovery.
func (p *Partition) Delete(key string) error { return p.recover(key, nil) }

func (p *Partition) recover(key string, value []byte) error {
	if p.live {
		return fmt.Errorf("partition %d is live: its rows are written by transactions only", p.id)
	}
	if p.bare {
		return p.recoverBare(key, value)
	}
	if p.recovery == nil {
		p.recovery, p.derived = p.db.db.NewIndexedBatch(), p.db.db.NewBatch()
	}
	full := append(p.rowKey[:len(p.rowKey):len(p.rowKey)], key...)
	// The entries of an older record of the row must go, or they would name for ever a row that is gone.
	w := IndexWriter{batch: p.derived, prefix: prefix(spaceIndex, p.table, p.id)}
	was, known, err := p.recovery.Get(full)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		err = p.schema.Recovered(&w, key, nil, value)
	case err == nil:
		err = errors.Join(p.schema.Recovered(&w, key, was, value), known.Close())
	}
	if err := errors.Join(err, w.err); err != nil {
		return fmt.Errorf("recover row of partition %d: %w", p.id, err)
	}
	if value == nil {
		err = p.recovery.Delete(full, nil)
	} else {
		err = p.recovery.Set(full, value, nil)
	}
	if err != nil {
		return fmt.Errorf("recover row of partition %d: %w", p.id, err)
	}
	return nil
}

// GetOffset returns the offset of the last changelog record in Pebble.
func (p *Partition) GetOffset(def int64) (int64, error) {
	if p.offset < 0 {
		return def, nil
	}
	return p.offset, nil
}

// SetOffset is called after each record of recovery.
func (p *Partition) SetOffset(offset int64) error {
	p.offset = offset
	if p.recovery != nil && p.recovery.Len()+p.derived.Len() > recoveryBatch {
		return p.flushRecovery()
	}
	return nil
}

// flushRecovery does not renew asOf: what recovery has not reached yet may hold deletions as old as the rows were.
func (p *Partition) flushRecovery() error {
	if p.recovery == nil {
		return nil
	}
	rows, b := p.recovery, p.derived
	p.recovery, p.derived = nil, nil
	if err := p.stageOffset(b); err != nil {
		return err
	}
	if err := b.Apply(rows, nil); err != nil {
		return fmt.Errorf("recover partition %d: %w", p.id, err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("recover partition %d: %w", p.id, err)
	}
	return errors.Join(rows.Close(), b.Close())
}

// MarkRecovered writes what is staged; from here on only transactions write.
func (p *Partition) MarkRecovered() error {
	if err := p.flushRecovery(); err != nil {
		return err
	}
	if err := p.derive(); err != nil {
		return err
	}
	p.live = true
	return nil
}

// Iterator goes over committed rows.
func (p *Partition) Iterator() (storage.Iterator, error) { return p.IteratorWithRange(nil, nil) }

// IteratorWithRange goes over committed rows with start ≤ key < limit.
func (p *Partition) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	lower := append(p.rowKey[:len(p.rowKey):len(p.rowKey)], start...)
	upper := prefix(spaceRow, p.table, p.id+1)
	if limit != nil {
		upper = append(p.rowKey[:len(p.rowKey):len(p.rowKey)], limit...)
	}
	it, err := p.db.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("iterate partition %d: %w", p.id, err)
	}
	return &iterator{it: it, prefix: p.rowKey}, nil
}

// iterator is goka's: it stands before the first key until Next is called.
type iterator struct {
	it      *pebble.Iterator
	prefix  []byte
	started bool
	sought  bool
}

func (i *iterator) Next() bool {
	switch {
	case i.sought:
		i.sought = false
		return i.it.Valid()
	case !i.started:
		i.started = true
		return i.it.First()
	}
	return i.it.Next()
}
func (i *iterator) Err() error             { return i.it.Error() }
func (i *iterator) Key() []byte            { return i.it.Key()[len(i.prefix):] }
func (i *iterator) Value() ([]byte, error) { return append([]byte(nil), i.it.Value()...), i.it.Error() }
func (i *iterator) Release()               { _ = i.it.Close() }
func (i *iterator) Seek(key []byte) bool {
	i.started, i.sought = true, true
	return i.it.SeekGE(append(i.prefix[:len(i.prefix):len(i.prefix)], key...))
}
