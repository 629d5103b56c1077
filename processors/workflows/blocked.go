package workflows

import (
	"sync/atomic"

	"github.com/freshet-io/freshet/event"
)

// blocked is what waits for the clocks of source partitions, by partition. It belongs to the partition's goroutine, but for passed.
type blocked struct {
	waits []deadlines
	first []atomic.Int64 // the earliest of each
}

func newBlocked(partitions int32) blocked {
	b := blocked{waits: make([]deadlines, partitions), first: make([]atomic.Int64, partitions)}
	for q := range b.first {
		b.first[q].Store(int64(never))
	}
	return b
}

func (b *blocked) push(q int, d deadline) {
	b.waits[q].push(d)
	b.note(q)
}

// pop removes the earliest that waits for a partition that is complete through an instant.
func (b *blocked) pop(q int, through event.Time) (deadline, bool) {
	d, ok := b.waits[q].pop(through)
	if ok {
		b.note(q)
	}
	return d, ok
}

func (b *blocked) note(q int) {
	first := never
	if d := &b.waits[q]; d.len() > 0 {
		first = d.h[0].at
	}
	b.first[q].Store(int64(first))
}

// passed says whether a partition's clock has come to what waits for it. It may be called on any goroutine. What is pushed while the clock
// moves may be missed here, and is found by the next round of the poller.
func (b *blocked) passed(q int32, complete event.Time) bool {
	return complete >= event.Time(b.first[q].Load())
}
