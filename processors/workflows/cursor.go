package workflows

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/state"
)

// cursor is the control row of a partition: how far each source partition's changes have been driven through its workflows, and how far
// its clock had come. A new owner starts from it.
type cursor struct {
	key      string
	driven   []int64 // per source partition: offset in the sources table through which every change has been driven
	complete event.Time
	swept    event.Time        // up to it, holders of what crossed a bound have been looked at
	open     map[string]int64  // open workflows by type
	stale    map[holding]int64 // stale items that they hold
	opened   bool              // open or stale has changed since the cursor was written
}

// holding is what stale items are counted by.
type holding struct{ workflow, kind string }

const cursorVersion = 2

func newCursor(key string) *cursor {
	return &cursor{key: key, complete: oldest, swept: oldest, open: map[string]int64{}, stale: map[holding]int64{}}
}

// Records puts the cursor.
func (c *cursor) Records(put func(string, func([]byte) []byte)) {
	put(c.key, func(b []byte) []byte {
		b = append(b, cursorVersion)
		b = binary.AppendVarint(b, int64(c.complete))
		b = binary.AppendVarint(b, int64(c.swept))
		b = binary.AppendUvarint(b, uint64(len(c.driven)))
		for _, o := range c.driven {
			b = binary.AppendVarint(b, o)
		}
		maps.DeleteFunc(c.open, func(_ string, n int64) bool { return n == 0 })
		b = binary.AppendUvarint(b, uint64(len(c.open)))
		for _, name := range slices.Sorted(maps.Keys(c.open)) {
			b = binary.AppendVarint(appendText(b, name), c.open[name])
		}
		for _, h := range slices.SortedFunc(maps.Keys(c.stale), func(a, b holding) int {
			return cmp.Or(strings.Compare(a.workflow, b.workflow), strings.Compare(a.kind, b.kind))
		}) {
			if n := c.stale[h]; n != 0 {
				b = binary.AppendVarint(appendText(appendText(b, h.workflow), h.kind), n)
			}
		}
		return b
	})
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Index has nothing to say.
func (c *cursor) Index(*state.IndexWriter) {}

// Pinned keeps the cursor in memory.
func (c *cursor) Pinned() bool { return true }

func decodeCursor(key string, b []byte) (*cursor, error) {
	if len(b) == 0 || b[0] != cursorVersion {
		return nil, fmt.Errorf("%w: cursor row of version %v", state.ErrRow, b[:min(1, len(b))])
	}
	r := cursorReader{b: b[1:]}
	c := newCursor(key)
	c.complete, c.swept = event.Time(r.int()), event.Time(r.int())
	for n := r.uint(); n > 0 && !r.bad; n-- {
		c.driven = append(c.driven, r.int())
	}
	for n := r.uint(); n > 0 && !r.bad; n-- {
		name := r.text()
		c.open[name] = r.int()
	}
	for len(r.b) > 0 && !r.bad {
		h := holding{r.text(), r.text()}
		c.stale[h] = r.int()
	}
	if r.bad {
		return nil, fmt.Errorf("%w: cursor row", state.ErrRow)
	}
	return c, nil
}

// cursorReader reads the parts of a cursor. What comes after the first thing that is wrong is zero.
type cursorReader struct {
	b   []byte
	bad bool
}

func (r *cursorReader) take(n int) []byte {
	if n <= 0 || n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *cursorReader) int() int64 {
	v, n := binary.Varint(r.b)
	r.take(n)
	return v
}

func (r *cursorReader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.take(n)
	return v
}

func (r *cursorReader) text() string {
	n := r.uint()
	if n == 0 || n > uint64(len(r.b)) {
		r.bad = r.bad || n > 0
		return ""
	}
	return string(r.take(int(n)))
}
