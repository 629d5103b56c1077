package clock

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// boundLimit is how many instants wait for their end at most. Behind a backlog there comes a new one with each poll; every second is then
// forgotten. What is forgotten costs precision on the way, never truth: the clock shows an earlier instant instead.
const boundLimit = 1024

// bound is an instant, and the end of the log below which lies everything that was acknowledged before it.
type bound struct {
	at  event.Time
	end int64
}

// Input is the clock of one input topic-partition. The zero value is ready: it knows nothing. It is safe for concurrent use.
type Input struct {
	mu       sync.Mutex
	waiting  []bound // not reached yet, instants and ends both growing
	last     event.Time
	end      int64 // of last
	observed bool

	position int64 // everything below it is committed
	resolved bool  // position is known

	applied    event.Time
	hasApplied bool
	record     event.Time // greatest record time applied
	hasRecord  bool

	trouble Reason // what the poller found, Unknown for nothing
}

// Observe tells that everything acknowledged before at lies below end: at was taken before the high watermark end was asked for. An
// instant before the last one is ignored.
func (c *Input) Observe(at event.Time, end int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.observed && at < c.last {
		return
	}
	c.last, c.end, c.observed = at, end, true
	if c.trouble == Unreachable {
		c.trouble = Unknown
	}
	// An earlier instant with an end no smaller says nothing that this one does not.
	for n := len(c.waiting); n > 0 && c.waiting[n-1].end >= end; n-- {
		c.waiting = c.waiting[:n-1]
	}
	if len(c.waiting) >= boundLimit {
		c.waiting = thinned(c.waiting)
	}
	c.waiting = append(c.waiting, bound{at: at, end: end})
	c.advance()
}

// Committed tells that everything below next that a reader is given has been applied, and its effects are committed. A negative next is
// that of a group which has committed nothing; the poller then resolves it to the log's start.
func (c *Input) Committed(next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if next < 0 || c.resolved && next <= c.position {
		return
	}
	c.position, c.resolved = next, true
	c.advance()
}

// advance moves the clock to the last instant whose end has been reached.
func (c *Input) advance() {
	if !c.resolved {
		return
	}
	n := 0
	for n < len(c.waiting) && c.waiting[n].end <= c.position {
		n++
	}
	if n == 0 {
		return
	}
	c.applied = later(c.applied, c.hasApplied, c.waiting[n-1].at)
	c.hasApplied = true
	c.waiting = slices.Delete(c.waiting, 0, n)
}

// Record tells that a record with this time (its timestamp in Kafka) has been applied. Only Complete rests on it.
func (c *Input) Record(ts event.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record = later(c.record, c.hasRecord, ts)
	c.hasRecord = true
}

// Restore takes over what the clock showed in an earlier life. A checkpoint from the future is refused: whoever wrote it had another idea
// of the time, and a clock that never goes back would show it for ever.
func (c *Input) Restore(applied, now event.Time) error {
	if applied > now {
		return fmt.Errorf("restore a clock from a checkpoint at %s: it lies in the future, now is %s",
			applied.Go().Format(time.RFC3339Nano), now.Go().Format(time.RFC3339Nano))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.applied = later(c.applied, c.hasApplied, applied)
	c.hasApplied = true
	return nil
}

// Applied returns the instant before which every acknowledged record has been applied, false if none is known. It never goes back.
func (c *Input) Applied() (event.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.applied, c.hasApplied
}

// Complete returns the event time up to which everything has been applied, 0 if nothing is known: lateness bounds the way from event time
// to readable in Kafka. In catch-up it moves with the records' own times, less skew where producers set them (0 where brokers do), and
// never further than if all that is there now had been applied. For given lateness and skew it never goes back.
func (c *Input) Complete(lateness, skew freshness.Duration) event.Time {
	t, _ := c.complete(lateness, skew)
	return t
}

func (c *Input) complete(lateness, skew freshness.Duration) (event.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, known := c.applied, c.hasApplied
	if c.hasRecord && c.observed {
		t = later(t, known, min(c.record-event.Time(skew), c.last))
		known = true
	}
	if !known {
		return 0, false
	}
	return t - event.Time(lateness), true
}

// Behind returns how many offsets there are between the position and the last end seen. Some of them may be none that a reader is given.
func (c *Input) Behind() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.observed || !c.resolved {
		return 0
	}
	return max(0, c.end-c.position)
}

// Position returns the offset below which everything has been applied and committed, false if it is not known.
func (c *Input) Position() (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.position, c.resolved
}

// Why says why the clock shows what it shows.
func (c *Input) Why() Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.trouble == Unreachable:
		return Unreachable
	case !c.observed:
		return Unknown
	case !c.resolved:
		return NoPosition
	case c.position >= c.end:
		return Following
	case c.trouble == OpenTransaction:
		return OpenTransaction
	default:
		return Behind
	}
}

// holder names the input itself.
func (c *Input) holder(name string) (string, Reason) { return name, c.Why() }

// found notes what the poller found: Unreachable, OpenTransaction, or Unknown for no trouble.
func (c *Input) found(r Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = r
}

// gap returns where the poller has to look: the position and the last end, if the position is short of it.
func (c *Input) gap() (position, end int64, short bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.position, c.end, c.observed && c.resolved && c.position < c.end
}

// later returns the later of t, if it is known, and u.
func later(t event.Time, known bool, u event.Time) event.Time {
	if known && t > u {
		return t
	}
	return u
}
