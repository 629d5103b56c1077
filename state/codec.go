package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/freshet-io/freshet/event"
)

// ErrRow says that the bytes of a row cannot be decoded.
var ErrRow = errors.New("row cannot be decoded")

// writer appends the parts of a row. Integers are varints, strings are length and bytes, instants are differences to the one before:
// neighbours in a row lie close together in time. A name is a string that is likely to come again soon: then it is one byte.
type writer struct {
	b     []byte
	last  event.Time
	names recent
}

// recent are the names that a row had last. Rows that speak of the topics that Freshet creates need not spell out their names. It is part of
// the format of rows.
type recent struct {
	ring [recentNames]string
	next uint8
}

const recentNames = 8

func newRecent() recent {
	return recent{ring: [recentNames]string{"workflow.control", "workflow.context", "workflow.tool", "workflow.decision"}, next: 4}
}

func (r *recent) add(s string) {
	r.ring[r.next] = s
	r.next = (r.next + 1) % recentNames
}

// find returns the place of a name, -1 if it is not there.
func (r *recent) find(s string) int {
	for i := range r.ring {
		if r.ring[i] == s {
			return i
		}
	}
	return -1
}

func (w *writer) byte(v byte)      { w.b = append(w.b, v) }
func (w *writer) uint(v uint64)    { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) int(v int64)      { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) fixed(v uint64)   { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *writer) fixed32(v uint32) { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *writer) string(s string) {
	w.uint(uint64(len(s)))
	w.b = append(w.b, s...)
}

// name appends a name: 0 and the string if it is new, 1 if it is empty, else two more than its place among those that came last.
func (w *writer) name(s string) {
	if s == "" {
		w.byte(1)
		return
	}
	if i := w.names.find(s); i >= 0 {
		w.byte(byte(i + 2))
		return
	}
	w.byte(0)
	w.string(s)
	w.names.add(s)
}

func (w *writer) time(t event.Time) {
	w.int(int64(t) - int64(w.last))
	w.last = t
}

// flags packs up to eight booleans.
func (w *writer) flags(set ...bool) {
	var v byte
	for i, on := range set {
		if on {
			v |= 1 << i
		}
	}
	w.byte(v)
}

// reader reads what writer wrote. The first thing that is wrong is kept; what follows reads as zero.
type reader struct {
	b      []byte
	last   event.Time
	names  recent
	err    error
	slab   []byte // strings that were joined
	intern func(string) string
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrRow, what)
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("short")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("varint")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("varint")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) fixed() uint64 {
	if len(r.b) < 8 {
		r.fail("short")
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *reader) fixed32() uint32 {
	if len(r.b) < 4 {
		r.fail("short")
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail("string")
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// text returns a string that aliases bytes, which nobody changes any more. An empty one aliases nothing: it would keep them all the same.
func text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// string returns a string that aliases the row: its bytes belong to what is decoded from them.
func (r *reader) string() string { return text(r.bytes()) }

// shared reads a string of which many rows have the same.
func (r *reader) shared() string {
	s := r.string()
	if r.intern != nil && s != "" {
		return r.intern(s)
	}
	return s
}

// name reads what writer's name wrote. Kept, it is one copy for all rows, if the reader was given a way to get one.
func (r *reader) name() string {
	switch v := r.byte(); {
	case v == 0:
		s := r.shared()
		if s == "" {
			r.fail("name")
		}
		r.names.add(s)
		return s
	case v == 1:
		return ""
	case v < recentNames+2 && r.names.ring[v-2] != "":
		return r.names.ring[v-2]
	}
	r.fail("name")
	return ""
}

func (r *reader) time() event.Time {
	r.last += event.Time(r.int())
	return r.last
}

func (r *reader) flag(v byte, i int) bool { return v>>i&1 == 1 }

// count reads the length of a list whose elements take at least one byte each.
func (r *reader) count() int {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail("count")
		return 0
	}
	return int(n)
}

func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("trailing bytes")
	}
	return r.err
}
