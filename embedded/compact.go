package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/freshet-io/freshet/internal/await"
)

// compact keeps the latest record of every key of a partition, and of keys without a value (tombstones) only those younger than keep.
// The last batch stays as it is: the partition's next offset rests on it. What is kept of finished transactions becomes plain batches,
// so that no marker has to be kept for it; what was aborted goes. The partition has no open transactions.
func (u *upkeep) compact(p *partition, keep time.Duration) error {
	c, err := p.scan(nil)
	if err != nil {
		return err
	}
	if len(c.open) > 0 {
		return nil // a transaction is open: what it has written neither counts nor can it go
	}
	latest, err := u.latest(p, c)
	if err != nil {
		return err
	}
	w := rewriter{p: p}
	tombstones := u.now.Add(-keep).UnixMilli()
	err = p.batches(func(b batch) error {
		if b.first() == c.last.first {
			return w.write(b)
		}
		if b.control() || c.isAborted(b) {
			return nil
		}
		var kept []byte
		n, total := 0, 0
		if err := b.records(func(r record) {
			total++
			if r.key != nil && (latest[string(r.key)] > r.offset || r.value == nil && r.time < tombstones) {
				return
			}
			kept = append(kept, r.raw...)
			n++
		}); err != nil {
			return err
		}
		switch {
		case n == 0:
			return nil
		case n == total && !b.open():
			return w.write(b)
		}
		return w.write(b.plain(kept, n))
	})
	if err != nil {
		return err
	}
	after, err := w.finish()
	if err != nil {
		return err
	}
	await.Point(await.Compaction)
	u.did.compacted++
	u.did.freed += c.bytes - after
	u.sizes[filepath.Base(p.dir)] = after
	p.segments = w.bases
	if c, err = p.scan(nil); err != nil {
		return err
	}
	return p.writeSnapshot(c)
}

// latest returns the offset of the latest record of every key that counts.
func (u *upkeep) latest(p *partition, c *contents) (map[string]int64, error) {
	latest := make(map[string]int64)
	return latest, p.batches(func(b batch) error {
		if b.control() || c.isAborted(b) {
			return nil
		}
		return b.records(func(r record) {
			if r.key != nil {
				latest[string(r.key)] = r.offset
			}
		})
	})
}

// batches calls fn for every batch of a partition, in order.
func (p *partition) batches(fn func(batch) error) error {
	for _, base := range p.segments {
		raw, err := os.ReadFile(p.segment(base))
		if err != nil {
			return err
		}
		for b, rest := next(raw); b != nil; b, rest = next(rest) {
			if err := fn(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewriter writes a partition's new segments beside the old ones and puts them in their place at the end.
type rewriter struct {
	p      *partition
	base   int64
	data   []byte
	index  []byte
	bases  []int64
	total  int64
	staged []string
}

const stagedExt = ".new"

func (w *rewriter) write(b batch) error {
	if len(w.data) == 0 {
		w.base = b.first()
	}
	w.data = append(w.data, b...)
	w.index = append(w.index, b.indexEntry()...)
	if len(w.data) >= segmentBytes {
		return w.flush()
	}
	return nil
}

func (w *rewriter) flush() error {
	if len(w.data) == 0 {
		return nil
	}
	for path, data := range map[string][]byte{w.p.segment(w.base): w.data, w.p.index(w.base): w.index} {
		if err := writeFile(path+stagedExt, data); err != nil {
			return fmt.Errorf("write a compacted segment: %w", err)
		}
		w.staged = append(w.staged, path)
		await.Point(await.Compaction)
	}
	w.bases = append(w.bases, w.base)
	w.total += int64(len(w.data))
	w.data, w.index = w.data[:0], w.index[:0]
	return nil
}

func (w *rewriter) finish() (int64, error) {
	if err := w.flush(); err != nil {
		return 0, err
	}
	for _, base := range w.p.segments {
		if err := removeIfThere(w.p.segment(base)); err != nil {
			return 0, err
		}
		if err := removeIfThere(w.p.index(base)); err != nil {
			return 0, err
		}
	}
	for _, path := range w.staged {
		await.Point(await.Compaction)
		if err := os.Rename(path+stagedExt, path); err != nil {
			return 0, err
		}
	}
	return w.total, nil
}
