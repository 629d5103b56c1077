package workflows

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
)

// deadline is an instant at which a workflow has something to do.
type deadline struct {
	at  event.Time
	key string
}

// before says whether a deadline stands before another one in the index.
func (d deadline) before(o deadline) bool { return d.at < o.at || d.at == o.at && d.key < o.key }

// deadlines is a heap of them, earliest first. What is no longer due when its time comes costs a look at the row.
type deadlines struct{ h deadlineHeap }

func (d *deadlines) push(x deadline) { heap.Push(&d.h, x) }

// pop removes the earliest one that is due at an instant.
func (d *deadlines) pop(now event.Time) (deadline, bool) {
	if len(d.h) == 0 || d.h[0].at > now {
		return deadline{}, false
	}
	return heap.Pop(&d.h).(deadline), true
}

func (d *deadlines) len() int { return len(d.h) }

// keep keeps the earliest n, in the order of the index, and returns the last of them.
func (d *deadlines) keep(n int) deadline {
	slices.SortFunc(d.h, func(a, b deadline) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.key, b.key)) })
	d.h = slices.Clone(d.h[:n])
	return d.h[n-1]
}

type deadlineHeap []deadline

func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h deadlineHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *deadlineHeap) Push(x any)        { *h = append(*h, x.(deadline)) }
func (h *deadlineHeap) Pop() any {
	old := *h
	n := len(old) - 1
	x := old[n]
	old[n] = deadline{}
	*h = old[:n]
	return x
}

// fromSortable reads an instant from the bytes of a key.
func fromSortable(b []byte) event.Time {
	return event.Time(binary.BigEndian.Uint64(b) ^ 1<<63)
}
