package state

import (
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Most of what a workflow's row holds are parts of events that the timeline has a line of. So lines come first in a row, with the id of
// their event if any part needs it, and a part names its line instead of saying time, id, type and position once more. Where there is no
// such line, since a limit has left it out or two events have changed places, a part says it all itself.

// How many lines and parts a row may have for its bookkeeping to need no memory of its own.
const (
	fewLines = 32
	fewParts = 64
)

// lineWriter finds the lines of parts. The same parts are asked for twice in the same order: to learn which lines need ids, then to write.
type lineWriter struct {
	lines []freshness.Line
	ids   []string // of the lines' events, "" where no part needs it
	found []uint32 // for each part: its line + 1, 0 if there is none
	next  int
}

// rewind goes back to the first part.
func (l *lineWriter) rewind() { l.next = 0 }

// find notes the line of a part. Of a part that has no position, at is nil; of one that has no type, typ is 0.
func (l *lineWriter) find(t event.Time, id string, typ event.Type, at *freshness.At) {
	lo, hi := 0, len(l.lines)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if l.lines[mid].Time < t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for ; id != "" && lo < len(l.lines) && l.lines[lo].Time == t; lo++ {
		x := &l.lines[lo]
		if (at == nil || *at == x.At) && (typ == 0 || typ == x.Type) && (l.ids[lo] == "" || l.ids[lo] == id) {
			l.ids[lo] = id
			l.found[l.next] = uint32(lo) + 1
			break
		}
	}
	l.next++
}

// part appends where a part's event is found, and reports whether that says everything.
func (w *writer) part(l *lineWriter) bool {
	n := l.found[l.next]
	l.next++
	w.uint(uint64(n))
	return n > 0
}

// topicOffsets are the offsets that came last, by topic: those of one workflow lie close together.
type topicOffsets [8]int64

func (o *topicOffsets) of(topic uint16) *int64 { return &o[topic%uint16(len(o))] }

func (w *writer) lines(l *lineWriter) {
	w.uint(uint64(len(l.lines)))
	var offsets topicOffsets
	partition, id := int32(0), ""
	for i := range l.lines {
		x := &l.lines[i]
		v := uint64(x.At.Topic) << 2
		if l.ids[i] != "" {
			v |= 1
		}
		if x.At.Partition != partition {
			v |= 2
		}
		w.byte(byte(x.Type))
		w.uint(v)
		w.time(x.Time)
		w.fixed(x.Ident)
		w.fixed32(x.Digest)
		if x.At.Partition != partition {
			partition = x.At.Partition
			w.uint(uint64(partition))
		}
		last := offsets.of(x.At.Topic)
		w.int(x.At.Offset - *last)
		*last = x.At.Offset
		if l.ids[i] != "" {
			n := sharedPrefix(id, l.ids[i])
			id = l.ids[i]
			w.uint(uint64(n))
			w.string(id[n:])
		}
	}
}

// lineReader gives parts what their lines say.
type lineReader struct {
	lines []freshness.Line
	few   [fewLines]string // ids of the lines' events
	many  []string         // the same if there are more lines
}

func (l *lineReader) id(i int) *string {
	if l.many != nil {
		return &l.many[i]
	}
	return &l.few[i]
}

func (r *reader) lines(l *lineReader) []freshness.Line {
	n := r.count()
	if n == 0 {
		return nil
	}
	l.lines = make([]freshness.Line, n)
	if n > fewLines {
		l.many = make([]string, n)
	}
	var offsets topicOffsets
	partition, id := int32(0), ""
	for i := range l.lines {
		x := &l.lines[i]
		x.Type = event.Type(r.byte())
		v := r.uint()
		x.Time, x.Ident, x.Digest = r.time(), r.fixed(), r.fixed32()
		if v&2 != 0 {
			partition = int32(r.uint())
		}
		x.At = freshness.At{Topic: uint16(v >> 2), Partition: partition}
		last := offsets.of(x.At.Topic)
		*last += r.int()
		x.At.Offset = *last
		if v&1 != 0 {
			id = r.joined(id[:r.within(len(id))], "")
			*l.id(i) = id
		}
	}
	return l.lines
}

// part returns the line of a part and its event's id, nil if the part says it all itself.
func (r *reader) part(l *lineReader) (*freshness.Line, string) {
	n := r.uint()
	if n == 0 {
		return nil, ""
	}
	if n > uint64(len(l.lines)) {
		r.fail("line")
		return nil, ""
	}
	return &l.lines[n-1], *l.id(int(n - 1))
}

// within reads a number that may not be larger than limit.
func (r *reader) within(limit int) int {
	n := r.uint()
	if n > uint64(limit) {
		r.fail("length")
		return 0
	}
	return int(n)
}

// joined reads what stands between a beginning and an end that are known.
func (r *reader) joined(begin, end string) string {
	s := r.string()
	if len(begin)+len(end) == 0 {
		return s
	}
	n := len(begin) + len(s) + len(end)
	if n > cap(r.slab)-len(r.slab) {
		r.slab = make([]byte, 0, max(n, slabOfRow))
	}
	start := len(r.slab)
	r.slab = append(append(append(r.slab, begin...), s...), end...)
	return text(r.slab[start:])
}

// slabOfRow is how much memory is taken at once for the strings that a row does not hold in one piece.
const slabOfRow = 320

func sharedPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func sharedSuffix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}
