package workflows

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
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
	groups   []*wideGroup      // of more than have records of their own
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
		b = binary.AppendUvarint(b, uint64(len(c.groups)))
		for _, w := range c.groups {
			b = w.appendRow(b)
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

func (w *wideGroup) appendRow(b []byte) []byte {
	b = w.append(b)
	var flags byte
	for i, on := range []bool{w.on, w.said.open} {
		if on {
			flags |= 1 << i
		}
	}
	b = append(b, flags, byte(w.bound))
	for _, n := range []int64{int64(w.said.revision), int64(w.said.since), int64(w.said.detectedAt), w.said.count, int64(w.said.examples)} {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func (r *cursorReader) group() *wideGroup {
	w := &wideGroup{}
	w.workflow, w.kind, w.key, w.version = r.text(), r.text(), r.text(), r.text()
	w.seq, w.hasSeq, w.traffic = r.int(), r.byte() == 1, event.TrafficClass(r.byte())
	flags := r.byte()
	w.on, w.said.open = flags&1 != 0, flags&2 != 0
	w.bound = freshness.Reason(r.byte())
	w.said.revision, w.said.since, w.said.detectedAt = int32(r.int()), event.Time(r.int()), event.Time(r.int())
	w.said.count, w.said.examples = r.int(), uint64(r.int())
	return w
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Index has nothing to say.
func (c *cursor) Index(*state.IndexWriter) {}

// Pinned keeps the cursor in memory.
func (c *cursor) Pinned() bool { return true }

// Done rows do not exist here.
func (c *cursor) Done() bool { return false }

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
	for n := r.uint(); n > 0 && !r.bad; n-- {
		c.groups = append(c.groups, r.group())
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

func (r *cursorReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
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
