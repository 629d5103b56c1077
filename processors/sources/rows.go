package sources

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
)

// Keys of the table: an item's head lies under its context key, its versions in chunks of freshness.ChunkSize under control keys, a
// kind's life under "kind/", the partition's clock under its control key.
const (
	clockRow    = "clock"
	chunkPrefix = topology.ControlPrefix + "v"
)

func chunkKey(kind, key string, chunk uint32) string {
	b := make([]byte, 0, len(chunkPrefix)+4+len(kind)+1+len(key))
	b = append(b, chunkPrefix...)
	b = binary.BigEndian.AppendUint32(b, chunk)
	b = append(append(append(b, kind...), '/'), key...)
	return string(b)
}

// parseChunkKey returns the item and the number of a chunk's key.
func parseChunkKey(key string) (kind, item string, chunk uint32, ok bool) {
	rest, found := strings.CutPrefix(key, chunkPrefix)
	if !found || len(rest) < 4 {
		return "", "", 0, false
	}
	kind, item, ok = strings.Cut(rest[4:], "/")
	return kind, item, binary.BigEndian.Uint32([]byte(rest[:4])), ok
}

// itemRow is an item in the sources table.
type itemRow struct {
	item   *freshness.Item
	dirty  []uint32 // chunks that have changed
	head   bool     // the head has changed
	forget uint32   // chunks that a forgotten item had
	gone   bool
}

// Records puts what has changed: whole chunks, and the head after them.
func (r *itemRow) Records(put func(string, func([]byte) []byte)) {
	kind, key := r.item.Kind(), r.item.Key()
	for c := range r.forget {
		put(chunkKey(kind, key, c), nil)
	}
	r.forget = 0
	for _, c := range r.dirty {
		if versions := r.item.ChunkVersions(c); len(versions) > 0 {
			put(chunkKey(kind, key, c), func(b []byte) []byte { return state.AppendChunk(b, versions) })
		} else {
			put(chunkKey(kind, key, c), nil)
		}
	}
	r.dirty = r.dirty[:0]
	switch {
	case r.gone:
		put(kind+"/"+key, nil)
	case r.head:
		h := r.item.Head()
		put(kind+"/"+key, func(b []byte) []byte { return state.AppendHead(b, &h) })
	}
	r.head, r.gone = false, false
}

// Index has nothing to say.
func (r *itemRow) Index(*state.IndexWriter) {}

// Pinned rows do not exist here.
func (r *itemRow) Pinned() bool { return false }

// Done rows do not exist here.
func (r *itemRow) Done() bool { return false }

// kindRow is the life of a whole kind: the greatest min(through, time) of its kind-wide heartbeats.
type kindRow struct {
	kind string
	life event.Time
}

// Records puts the life.
func (r *kindRow) Records(put func(string, func([]byte) []byte)) {
	put(r.kind+"/", func(b []byte) []byte { return binary.AppendVarint(append(b, kindVersion), int64(r.life)) })
}

// Index has nothing to say.
func (r *kindRow) Index(*state.IndexWriter) {}

// Pinned rows do not exist here.
func (r *kindRow) Pinned() bool { return false }

// Done rows do not exist here.
func (r *kindRow) Done() bool { return false }

const kindVersion = 1

func decodeKind(b []byte) (event.Time, error) {
	if len(b) == 0 || b[0] != kindVersion {
		return 0, fmt.Errorf("%w: kind row of version %v", state.ErrRow, b[:min(1, len(b))])
	}
	v, n := binary.Varint(b[1:])
	if n <= 0 {
		return 0, fmt.Errorf("%w: kind row", state.ErrRow)
	}
	return event.Time(v), nil
}

// clockOf is the clock row of a partition: it lies behind all rows that it speaks of, in their transaction or a later one.
type clockOf struct {
	key      string
	applied  event.Time // everything acknowledged before it has been applied; valid if live
	complete event.Time // every event up to it has been applied
	live     bool
}

const clockVersion = 1

// Records puts the clock.
func (c *clockOf) Records(put func(string, func([]byte) []byte)) {
	put(c.key, func(b []byte) []byte {
		flag := byte(0)
		if c.live {
			flag = 1
		}
		b = append(b, clockVersion, flag)
		return binary.AppendVarint(binary.AppendVarint(b, int64(c.applied)), int64(c.complete))
	})
}

// Index has nothing to say.
func (c *clockOf) Index(*state.IndexWriter) {}

// Pinned keeps the clock in memory.
func (c *clockOf) Pinned() bool { return true }

// Done rows do not exist here.
func (c *clockOf) Done() bool { return false }

func decodeClock(key string, b []byte) (*clockOf, error) {
	if len(b) < 2 || b[0] != clockVersion {
		return nil, fmt.Errorf("%w: clock row of version %v", state.ErrRow, b[:min(1, len(b))])
	}
	applied, n := binary.Varint(b[2:])
	complete, m := binary.Varint(b[2+max(n, 0):])
	if n <= 0 || m <= 0 {
		return nil, fmt.Errorf("%w: clock row", state.ErrRow)
	}
	return &clockOf{key: key, applied: event.Time(applied), complete: event.Time(complete), live: b[1] == 1}, nil
}

// schema reads the rows of the sources table.
type schema struct{ intern func(string) string }

// Load puts an item together from its head and its chunks.
func (s schema) Load(p *state.Partition, key string) (state.Row, error) {
	b, err := p.Read(key)
	if err != nil || b == nil {
		return nil, err
	}
	if _, _, control := topology.ControlPartition(key); control {
		return decodeClock(key, b)
	}
	kind, name, _ := strings.Cut(key, "/")
	if name == "" {
		life, err := decodeKind(b)
		if err != nil {
			return nil, fmt.Errorf("kind %q: %w", kind, err)
		}
		return &kindRow{kind: kind, life: life}, nil
	}
	head, err := state.DecodeHead(b)
	if err != nil {
		return nil, fmt.Errorf("item %q: %w", key, err)
	}
	item := freshness.NewItem(kind, name)
	for c := uint32(0); ; c++ {
		b, err := p.Read(chunkKey(kind, name, c))
		if err != nil {
			return nil, err
		}
		if b == nil {
			if c*freshness.ChunkSize < head.Next { // a chunk that limits have emptied
				continue
			}
			break // the head is not written again for each new version
		}
		versions, err := state.DecodeChunk(b, c, s.intern)
		if err != nil {
			return nil, fmt.Errorf("item %q: %w", key, err)
		}
		for _, v := range versions {
			item = item.Put(v)
		}
	}
	return &itemRow{item: item.WithHead(head)}, nil
}

// Recovered has nothing to derive.
func (s schema) Recovered(*state.IndexWriter, string, []byte, []byte) error { return nil }
