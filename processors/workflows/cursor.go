package workflows

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/state"
)

// cursor is the control row of a partition: how far each source partition's changes have been driven through its workflows, and how far
// its clock had come. A new owner starts from it.
type cursor struct {
	key      string
	driven   []int64 // per source partition: offset in the sources table through which every change has been driven
	complete event.Time
	open     map[string]int64 // open workflows by type
	opened   bool             // open has changed since the cursor was written
}

const cursorVersion = 1

// Records puts the cursor.
func (c *cursor) Records(put func(string, func([]byte) []byte)) {
	put(c.key, func(b []byte) []byte {
		b = append(b, cursorVersion)
		b = binary.AppendVarint(b, int64(c.complete))
		b = binary.AppendUvarint(b, uint64(len(c.driven)))
		for _, o := range c.driven {
			b = binary.AppendVarint(b, o)
		}
		for _, name := range slices.Sorted(maps.Keys(c.open)) {
			if n := c.open[name]; n != 0 {
				b = append(binary.AppendUvarint(b, uint64(len(name))), name...)
				b = binary.AppendVarint(b, n)
			}
		}
		return b
	})
}

// Index has nothing to say.
func (c *cursor) Index(*state.IndexWriter) {}

// Pinned keeps the cursor in memory.
func (c *cursor) Pinned() bool { return true }

func decodeCursor(key string, b []byte) (*cursor, error) {
	if len(b) == 0 || b[0] != cursorVersion {
		return nil, fmt.Errorf("%w: cursor row of version %v", state.ErrRow, b[:min(1, len(b))])
	}
	b = b[1:]
	complete, n := binary.Varint(b)
	count, m := binary.Uvarint(b[max(n, 0):])
	if n <= 0 || m <= 0 || count > uint64(len(b)) {
		return nil, fmt.Errorf("%w: cursor row", state.ErrRow)
	}
	c := &cursor{key: key, complete: event.Time(complete), open: map[string]int64{}}
	for b = b[n+m:]; len(c.driven) < int(count); {
		o, n := binary.Varint(b)
		if n <= 0 {
			return nil, fmt.Errorf("%w: cursor row", state.ErrRow)
		}
		c.driven = append(c.driven, o)
		b = b[n:]
	}
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, fmt.Errorf("%w: cursor row", state.ErrRow)
		}
		name := string(b[n : n+int(size)])
		b = b[n+int(size):]
		count, n := binary.Varint(b)
		if n <= 0 {
			return nil, fmt.Errorf("%w: cursor row", state.ErrRow)
		}
		c.open[name] = count
		b = b[n:]
	}
	return c, nil
}
