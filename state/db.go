package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// Format is the version of the layout of the data directory. A directory of another format is refused: its rows come back from the
// changelog.
const Format = 1

// ErrFormat says that a data directory has been written by another release or belongs to another cluster.
var ErrFormat = errors.New("data directory does not fit")

// Config sizes the store.
type Config struct {
	Dir          string // "": in memory
	MemTableSize uint64
	CacheSize    int64

	// Rows of a partition that were last committed longer ago are thrown away when it is opened: the changelog no longer says which of
	// them have been deleted since. 0: never.
	MaxAge time.Duration
	Now    func() time.Time // nil: the wall clock
}

// DB is the instance's Pebble.
type DB struct {
	db     *pebble.DB
	cache  *pebble.Cache
	failed *failure
	maxAge time.Duration
	now    func() time.Time
	logger log.Logger

	mu     sync.Mutex
	closed bool
	scans  sync.WaitGroup // of the index, which goroutines do that no session waits for
}

// Open opens or creates the store. Identity names the cluster and the topics' prefix: a directory that was written for another one
// holds rows that this one never had, and is refused.
func Open(cfg Config, identity string, logger log.Logger) (*DB, error) {
	if cfg.MemTableSize == 0 {
		cfg.MemTableSize = 128 << 20
	}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = 64 << 20
	}
	if err := heal(cfg.Dir, logger); err != nil {
		return nil, err
	}
	cache := pebble.NewCache(cfg.CacheSize)
	failed := newFailure(cfg.Dir)
	opts := &pebble.Options{
		Cache:                       cache,
		DisableWAL:                  true, // the changelog is the log
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                cfg.MemTableSize,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       8,
		Logger:                      pebbleLogger{logger},
		EventListener:               &pebble.EventListener{BackgroundError: failed.write, DataCorruption: failed.damage},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		if i < len(opts.Levels)-2 { // what is young is soon written again
			opts.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
		}
	}
	if cfg.Dir == "" {
		opts.FS = vfs.NewMem()
	}
	db, err := pebble.Open(cfg.Dir, opts)
	if err != nil {
		cache.Unref()
		if pebble.IsCorruptionError(err) {
			failed.mark(err)
			return nil, failed.error()
		}
		return nil, fmt.Errorf("open rows in %s: %w", cfg.Dir, err)
	}
	d := &DB{db: db, cache: cache, failed: failed, maxAge: cfg.MaxAge, now: cfg.Now, logger: logger}
	if d.now == nil {
		d.now = time.Now
	}
	if err := d.check(cfg.Dir, identity); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// check compares the directory's identity and format, and writes them into a new one.
func (d *DB) check(dir, identity string) error {
	key := []byte{spaceMeta}
	want := append([]byte{Format}, identity...)
	got, closer, err := d.db.Get(key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		if err := d.db.Set(key, want, pebble.NoSync); err != nil {
			return fmt.Errorf("mark %s: %w", dir, err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("read the mark of %s: %w", dir, err)
	}
	defer closer.Close()
	switch {
	case len(got) == 0 || got[0] != Format:
		return fmt.Errorf("%w: %s has format %v, this release reads %d; remove it, its rows come back from the changelog", ErrFormat, dir, got[:min(1, len(got))], Format)
	case string(got[1:]) != identity:
		return fmt.Errorf("%w: %s holds the rows of another cluster or of other topics, %q instead of %q; use another -data.dir, or remove it", ErrFormat, dir, got[1:], identity)
	}
	return nil
}

// ErrClosed says that the store has been closed.
var ErrClosed = errors.New("store is closed")

// Failed is closed when the store cannot go on; Failure says why.
func (d *DB) Failed() <-chan struct{} { return d.failed.done }

// Failure returns why the store cannot go on, nil while it can.
func (d *DB) Failure() error { return d.failed.error() }

// Close flushes what is in memory and closes the store. What cannot be flushed comes back from the changelog.
func (d *DB) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.scans.Wait()
	flushed, err := d.db.AsyncFlush()
	if err == nil {
		select {
		case <-flushed:
		case <-d.failed.done: // Pebble would try again for as long as the disk is full
		}
	}
	if e := d.db.Close(); err == nil {
		err = e
	}
	d.cache.Unref()
	if err != nil {
		return fmt.Errorf("close rows: %w", err)
	}
	return nil
}

// scanning notes that a scan begins, unless the store has been closed: Pebble would end the process.
func (d *DB) scanning() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.scans.Add(1)
	return true
}

// Size returns the bytes on disk.
func (d *DB) Size() uint64 { return d.db.Metrics().DiskSpaceUsage() }

// The first byte of a key says what it is. All keys of a partition's table share a prefix, so that a partition is dropped by range.
const (
	spaceMeta   = 'm' // identity and format
	spaceRow    = 'r' // table, partition, key → encoded row
	spaceOffset = 'o' // table, partition → offset of the last changelog record in it, and as of when
	spaceIndex  = 'x' // table, partition, … → derived entries
)

// Table names a table within the store.
type Table byte

const (
	Sources   Table = 1
	Workflows Table = 2
	Alerts    Table = 3
)

func prefix(space byte, t Table, partition int32) []byte {
	return binary.BigEndian.AppendUint32([]byte{space, byte(t)}, uint32(partition))
}

type pebbleLogger struct{ log.Logger }

func (l pebbleLogger) Infof(string, ...any) {}
func (l pebbleLogger) Errorf(format string, args ...any) {
	_ = level.Error(l).Log("msg", "pebble", "err", fmt.Sprintf(format, args...))
}

// Fatalf is called by Pebble when it cannot go on: its state is not to be trusted, so the process ends and recovers from the changelog.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	_ = level.Error(l).Log("msg", "pebble cannot go on", "err", fmt.Sprintf(format, args...))
	panic(fmt.Sprintf(format, args...))
}
