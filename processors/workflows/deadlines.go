package workflows

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"slices"

	"github.com/freshet-io/freshet/event"
)

// deadline is an instant at which a workflow has something to do.
type deadline struct {
	at  event.Time
	key string
}

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

// keep keeps the earliest ones: about so many, and all of an instant of which one is kept. It returns the last instant that is kept.
func (d *deadlines) keep(n int) event.Time {
	slices.SortFunc(d.h, func(a, b deadline) int { return cmp.Compare(a.at, b.at) })
	last := d.h[n-1].at
	for n < len(d.h) && d.h[n].at == last {
		n++
	}
	d.h = slices.Clone(d.h[:n])
	return last
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
