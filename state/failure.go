package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// failure is why the store cannot go on: the disk is full, or has returned something else than what was written to it. The process ends
// then, and the next one has its rows again from the changelog: nothing may rest on a broken store.
type failure struct {
	dir  string
	done chan struct{}

	mu  sync.Mutex
	err error
}

func newFailure(dir string) *failure { return &failure{dir: dir, done: make(chan struct{})} }

// damagedFile marks a directory whose rows are damaged: the next start throws them away.
const damagedFile = "DAMAGED"

func (f *failure) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
		close(f.done)
	}
}

func (f *failure) error() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// write is called when a flush or a compaction has failed. Pebble keeps what it could not write in memory and tries again at once, for ever.
func (f *failure) write(err error) {
	if pebble.IsCorruptionError(err) {
		f.mark(err)
		return
	}
	f.set(fmt.Errorf("rows in %s cannot be written: %w", f.dir, err))
}

// damage is called when a checksum does not hold, by whoever reads.
func (f *failure) damage(info pebble.DataCorruptionInfo) { f.mark(info.Details) }

func (f *failure) mark(err error) {
	if f.dir != "" {
		if e := os.WriteFile(filepath.Join(f.dir, damagedFile), []byte(err.Error()+"\n"), 0o644); e != nil {
			f.set(fmt.Errorf("rows in %s are damaged; remove it, they come back from the changelog: %w", f.dir, errors.Join(err, e)))
			return
		}
	}
	f.set(fmt.Errorf("rows in %s are damaged; the next start throws them away, and they come back from the changelog: %w", f.dir, err))
}

// heal empties a directory that was found to be damaged.
func heal(dir string, logger log.Logger) error {
	if dir == "" {
		return nil
	}
	why, err := os.ReadFile(filepath.Join(dir, damagedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_ = level.Warn(logger).Log("msg", "rows were damaged: they are thrown away and come back from the changelog", "dir", dir, "err", string(why))
		err = os.RemoveAll(dir)
	}
	if err != nil {
		return fmt.Errorf("throw away the damaged rows in %s: %w", dir, err)
	}
	return nil
}
