package gateway

import (
	"context"
	"sync"
	"time"
	"unsafe"

	"github.com/IBM/sarama"
)

// queue holds the records of all claims of one partition on their way to goka, and its virtual messages.
type queue struct {
	p      *Partition
	max    int // of a batch
	high   int // records of a claim at which it is paused
	notify chan struct{}
	pause  func(input int, on bool)

	mu      sync.Mutex
	claims  []claimQueue
	n       int
	virtual []virtual
}

type claimQueue struct {
	in     []In
	head   int
	eof    bool // less than a batch is left in the log, as far as is known, and that may be markers: the merge does not wait for it
	paused bool
	lag    int64     // records behind those that were read last, about
	read   time.Time // when they were
}

type virtual struct {
	topic   string
	payload any
}

// patience bounds how long the merge waits for a claim of which the log has more. Merging saves work, for the records of a workflow meet in one unit
// and its row is written once; nothing that is said rests on it. A round of fetching all inputs of a backlog takes a few hundred milliseconds.
const patience = 500 * time.Millisecond

func newQueue(p *Partition, inputs, max, high int, pause func(int, bool)) *queue {
	q := &queue{p: p, max: max, high: high, notify: make(chan struct{}, 1), pause: pause, claims: make([]claimQueue, inputs)}
	for i := range q.claims {
		q.claims[i].eof = true
	}
	return q
}

func (q *queue) wake() {
	select {
	case q.notify <- struct{}{}:
	default:
	}
}

func (q *queue) send(topic string, payload any, once bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if once {
		for i := range q.virtual {
			if q.virtual[i].topic == topic {
				return
			}
		}
	}
	q.virtual = append(q.virtual, virtual{topic, payload})
	q.p.outstanding.Add(1)
	q.wake()
}

// push takes records that were read of an input. Lag is how many more were in the log then, about.
func (q *queue) push(input int, in []In, lag int64) {
	q.mu.Lock()
	c := &q.claims[input]
	c.lag, c.read = lag, time.Now()
	switch {
	case c.head == len(c.in):
		c.in, c.head = c.in[:0], 0
	case c.head > 4096 && c.head > len(c.in)/2:
		n := copy(c.in, c.in[c.head:])
		clear(c.in[n:])
		c.in, c.head = c.in[:n], 0
	}
	c.in = append(c.in, in...)
	c.eof = lag < int64(q.max)
	q.n += len(in)
	paused := !c.paused && len(c.in)-c.head > q.high
	if paused {
		c.paused = true
	}
	q.mu.Unlock()
	q.p.outstanding.Add(int64(len(in)))
	if paused {
		q.pause(input, true)
	}
	q.wake()
}

// coming returns how many records are in the log and not read yet, about. Inputs that have brought nothing since then are not counted: they are paused,
// and what of them waits here counts by itself, or they wait for the end of an open transaction.
func (q *queue) coming(since time.Time) (n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.claims {
		if c := &q.claims[i]; c.read.After(since) {
			n += max(0, c.lag)
		}
	}
	return n
}

// waits says whether about as much of an input waits as it is paused at.
func (q *queue) waits(input int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := &q.claims[input]
	return len(c.in)-c.head > q.high/2
}

// ready says whether a batch can be taken: all claims that have more to come have something.
func (q *queue) ready() (any, aligned bool) {
	aligned = true
	for i := range q.claims {
		if c := &q.claims[i]; c.head == len(c.in) && !c.eof {
			aligned = false
		}
	}
	return q.n > 0, aligned
}

// run feeds goka until ctx ends.
func (q *queue) run(ctx context.Context, topics []string, out chan<- *sarama.ConsumerMessage) {
	var waiting time.Time
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	g := grouper{index: map[string]int32{}}
	for ctx.Err() == nil {
		q.mu.Lock()
		if len(q.virtual) > 0 {
			v := q.virtual[0]
			q.virtual[0] = virtual{}
			q.virtual = q.virtual[1:]
			q.mu.Unlock()
			u := &Unit{Virtual: v.topic, Payload: v.payload, Last: true}
			q.feed(ctx, u, &sarama.ConsumerMessage{Topic: v.topic, Partition: q.p.ID, Value: token}, out)
			// Records take turns with virtual messages.
			q.mu.Lock()
		}
		any, aligned := q.ready()
		if any && !aligned && !waiting.IsZero() && time.Since(waiting) >= patience {
			for i := range q.claims {
				if c := &q.claims[i]; c.head == len(c.in) {
					c.eof = true // until it brings something
				}
			}
			aligned = true
		}
		if any && aligned {
			waiting = time.Time{}
			in, b, resume := q.take()
			q.mu.Unlock()
			for _, input := range resume {
				q.pause(input, false)
			}
			units, msgs := g.group(in, b, topics, q.p.ID)
			for i := range units {
				q.feed(ctx, &units[i], &msgs[i], out)
			}
			continue
		}
		more := len(q.virtual) > 0
		q.mu.Unlock()
		if more {
			continue
		}
		wait := time.Hour
		if any {
			if waiting.IsZero() {
				waiting = time.Now()
			}
			wait = max(0, patience-time.Since(waiting))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-q.notify:
		case <-timer.C:
		}
	}
}

// token is the value of every message that goka gets; what it stands for waits in the partition's units, in the same order.
var token = []byte{0}

func (q *queue) feed(ctx context.Context, u *Unit, m *sarama.ConsumerMessage, out chan<- *sarama.ConsumerMessage) {
	select {
	case q.p.units <- u:
	case <-ctx.Done():
		return
	}
	select {
	case out <- m:
	case <-ctx.Done():
	}
}

// take removes up to max records, merged by record time as long as no claim that has more to come runs dry.
func (q *queue) take() (in []In, b *batch, resume []int) {
	b = &batch{next: make([]int64, len(q.claims)), newest: make([]int64, len(q.claims))}
	for i := range b.next {
		b.next[i] = -1
	}
	in = make([]In, 0, min(q.max, q.n))
	for len(in) < q.max {
		best, dry := -1, false
		for i := range q.claims {
			c := &q.claims[i]
			if c.head == len(c.in) {
				dry = dry || !c.eof
				continue
			}
			if best < 0 || c.in[c.head].Msg.Timestamp.Before(q.claims[best].in[q.claims[best].head].Msg.Timestamp) {
				best = i
			}
		}
		if best < 0 || dry && len(in) > 0 {
			break
		}
		c := &q.claims[best]
		r := c.in[c.head]
		c.in[c.head] = In{}
		c.head++
		q.n--
		in = append(in, r)
		b.next[best] = r.Msg.Offset + 1
		b.newest[best] = max(b.newest[best], r.Msg.Timestamp.UnixMilli())
		if c.paused && len(c.in)-c.head < q.high/2 {
			c.paused = false
			resume = append(resume, best)
		}
	}
	b.records = len(in)
	return in, b, resume
}

// grouper makes one unit of each key of a batch, keys in the order of their first record.
type grouper struct {
	index                 map[string]int32
	first, last, nextSame []int32
}

func (g *grouper) group(in []In, b *batch, topics []string, partition int32) ([]Unit, []sarama.ConsumerMessage) {
	clear(g.index)
	g.first, g.last, g.nextSame = g.first[:0], g.last[:0], g.nextSame[:0]
	for i := range in {
		g.nextSame = append(g.nextSame, -1)
		k := in[i].Msg.Key
		key := unsafe.String(unsafe.SliceData(k), len(k)) // lives as long as the record, and the map is cleared before that
		if u, ok := g.index[key]; ok {
			g.nextSame[g.last[u]] = int32(i)
			g.last[u] = int32(i)
			continue
		}
		g.index[key] = int32(len(g.first))
		g.first, g.last = append(g.first, int32(i)), append(g.last, int32(i))
	}
	sorted := make([]In, 0, len(in))
	units := make([]Unit, len(g.first))
	msgs := make([]sarama.ConsumerMessage, len(g.first))
	for u, first := range g.first {
		from := len(sorted)
		for i := first; i >= 0; i = g.nextSame[i] {
			sorted = append(sorted, in[i])
		}
		units[u].Records = sorted[from:len(sorted):len(sorted)]
		head := &units[u].Records[0]
		msgs[u] = sarama.ConsumerMessage{Topic: topics[head.Topic], Partition: partition, Offset: head.Msg.Offset, Key: head.Msg.Key, Value: token}
	}
	if n := len(units); n > 0 {
		units[n-1].Last, units[n-1].batch = true, b
	}
	return units, msgs
}
