package gateway

import (
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/freshet-io/freshet/state"
	"github.com/twmb/franz-go/pkg/kgo"
)

// In is one input record.
type In struct {
	Topic int // index in the group's inputs
	Msg   *sarama.ConsumerMessage
}

// Unit is what a group's callback gets: the records of one key in a batch, or one virtual message.
type Unit struct {
	Key     string
	Records []In
	Virtual string // topic of a virtual message, "" for records
	Payload any
	Last    bool // the last one before the transaction may be cut
	batch   *batch
}

// batch is what the last unit of a batch marks.
type batch struct {
	records int
	next    []int64 // per input: offset after its last record, -1 if it has none
	newest  []int64 // per input: greatest record time in ms
}

// Partition is one assigned partition of a group within a session.
type Partition struct {
	ID   int32
	Rows *state.Partition // nil for a group without a table
	User any              // the group's own

	s     *session
	queue *queue
	end   atomic.Int64 // of the changelog, while it is being restored
	left  atomic.Int64 // records of it still to be read, about

	outstanding atomic.Int64         // records and virtual messages delivered and not marked
	held        atomic.Pointer[hold] // its records are refused; nil: they are not

	mu     gate // held from the start of a unit to its MarkOffset; the barrier takes all of them
	inUnit bool // written by the partition's goroutine, and by Cleanup once that has ended
	over   bool // the session has ended before a unit could begin: none begins any more
	broken bool // ended inside a unit: nothing since the last barrier may be committed
	unit   *Unit

	barriers uint64 // taken so far
	recs     []*kgo.Record
	bytes    int
	next     []int64 // per input: position whose effects are in memory
	newest   []int64 // per input: greatest record time applied
	marked   []bool  // per input: next has moved since the last barrier
	units    chan *Unit
	counted  int    // records since it was taken last
	sized    int    // of them, in session.size
	weighed  int    // bytes of it that are in session.bytes
	paced    string // topic of a virtual message that waits for the next barrier, "" for none

	committed []atomic.Int64 // per input: position that is committed, -1 before it is claimed
}

// Emit makes a record part of the transaction of the unit that runs. The slices are the transaction's from then on.
func (p *Partition) Emit(r *kgo.Record) {
	p.recs = append(p.recs, r)
	p.bytes += len(r.Key) + len(r.Value)
}

// Barriers returns how many barriers there have been: what a unit does now is committed with a later one.
func (p *Partition) Barriers() uint64 { return p.barriers }

// claimed notes where an input begins. Claims come one by one, after the session's start.
func (p *Partition) claimed(input int, initial int64) {
	p.committed[input].CompareAndSwap(-1, max(0, initial))
	if initial < 0 {
		return
	}
	if !p.mu.LockUnless(p.s.Context().Done()) {
		return
	}
	defer p.mu.Unlock()
	if p.next[input] < 0 {
		p.next[input] = initial
	}
}

// Position returns the position of an input whose effects are in memory (not all committed).
func (p *Partition) Position(input int) int64 { return p.next[input] }

// Send queues a virtual message: it will run as a unit of this partition. A message whose topic and key are queued already is not
// queued again if once is set.
func (p *Partition) Send(topic string, payload any, once bool) { p.queue.send(topic, payload, once) }

// SendPaced queues a virtual message without payload, unless it is queued already: at once while a backlog is read or fewer than so many rows wait for
// the next transaction, else as soon as that has been cut. So what is due in great numbers goes in transactions that input does not wait for long. It
// belongs to the partition's units.
func (p *Partition) SendPaced(topic string, rows int) {
	if p.Rows.Dirty() >= rows && !p.s.backlog() {
		p.paced = topic
		return
	}
	p.Send(topic, nil, true)
}

// cut is called once the barrier has taken what the partition has.
func (p *Partition) cut() {
	if topic := p.paced; topic != "" {
		p.paced = ""
		p.Send(topic, nil, true)
	}
}

// begin takes the lock at the start of a unit; the units of one batch share it. It returns false if the session has ended instead: then the
// unit comes again.
func (p *Partition) begin(u *Unit) bool {
	if !p.inUnit {
		if p.over { // what follows in a batch must not run without what was left out of it
			return false
		}
		p.s.wait(p)
		if p.over = !p.mu.LockUnless(p.s.Context().Done()); p.over {
			return false
		}
		p.inUnit = true
	}
	p.unit = u
	return true
}

// mark is goka's MarkOffset: the end of a unit, if its message was the last of its batch.
func (p *Partition) mark() {
	u := p.unit
	if u == nil || !u.Last {
		return
	}
	n := 1
	if b := u.batch; b != nil {
		n = b.records
		for i, next := range b.next {
			if next >= 0 {
				p.next[i], p.marked[i] = next, true
				p.newest[i] = max(p.newest[i], b.newest[i])
			}
		}
	}
	p.unit = nil
	size := len(p.recs)
	if p.Rows != nil {
		size += p.Rows.Dirty()
	}
	grown, bytes := size-p.counted, p.bytes
	p.counted, p.bytes = size, 0
	p.sized, p.weighed = p.sized+grown, p.weighed+bytes
	p.inUnit = false
	p.mu.Unlock()
	p.outstanding.Add(-int64(n))
	p.s.marked(grown, bytes)
}
