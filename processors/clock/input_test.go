package clock

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// want is what an input's clock must show.
type want struct {
	applied event.Time // -1: not known
	behind  int64
	why     Reason
}

func check(t *testing.T, when string, c *Input, w want) {
	t.Helper()
	applied, known := c.Applied()
	if !known {
		applied = -1
	}
	if got := (want{applied, c.Behind(), c.Why()}); got != w {
		t.Errorf("%s: %+v; want %+v", when, got, w)
	}
}

func TestInput(t *testing.T) {
	type step struct {
		when string
		do   func(c *Input)
		want want
	}
	observe := func(at event.Time, end int64) func(*Input) { return func(c *Input) { c.Observe(at, end) } }
	committed := func(next int64) func(*Input) { return func(c *Input) { c.Committed(next) } }
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"nothing known", []step{
			{"at first", func(*Input) {}, want{-1, 0, Unknown}},
		}},
		{"an empty partition is caught up", []step{
			{"end 0 seen", observe(100, 0), want{-1, 0, NoPosition}},
			{"nothing committed", committed(-2), want{-1, 0, NoPosition}},
			{"resolved to the start", committed(0), want{100, 0, Following}},
			{"idle", observe(350, 0), want{350, 0, Following}},
		}},
		{"behind, then caught up", []step{
			{"position known", committed(3), want{-1, 0, Unknown}},
			{"end seen", observe(100, 10), want{-1, 7, Behind}},
			{"end moved", observe(200, 20), want{-1, 17, Behind}},
			{"part of the way", committed(9), want{-1, 11, Behind}},
			{"first end reached", committed(10), want{100, 10, Behind}},
			{"second end passed", committed(25), want{200, 0, Following}},
		}},
		{"the last instant with the same end counts", []step{
			{"first", observe(100, 10), want{-1, 0, NoPosition}},
			{"second", observe(200, 10), want{-1, 0, NoPosition}},
			{"reached", committed(10), want{200, 0, Following}},
		}},
		{"an end that goes back", []step{ // records were lost in an unclean election
			{"first", observe(100, 10), want{-1, 0, NoPosition}},
			{"shorter", observe(200, 6), want{-1, 0, NoPosition}},
			{"reached", committed(6), want{200, 0, Following}},
		}},
		{"nothing goes back", []step{
			{"caught up", func(c *Input) { c.Committed(10); c.Observe(100, 10) }, want{100, 0, Following}},
			{"an earlier instant", observe(90, 12), want{100, 0, Following}},
			{"an earlier position", committed(4), want{100, 0, Following}},
			{"an earlier checkpoint", func(c *Input) { _ = c.Restore(50, 1000) }, want{100, 0, Following}},
		}},
		{"restored", []step{
			{"checkpoint", func(c *Input) { _ = c.Restore(70, 100) }, want{70, 0, Unknown}},
			{"behind", func(c *Input) { c.Committed(1); c.Observe(100, 2) }, want{70, 1, Behind}},
			{"caught up", committed(2), want{100, 0, Following}},
		}},
		{"brokers gone", []step{
			{"caught up", func(c *Input) { c.Committed(1); c.Observe(100, 1) }, want{100, 0, Following}},
			{"no answer", func(c *Input) { c.found(Unreachable) }, want{100, 0, Unreachable}},
			{"an answer", observe(300, 1), want{300, 0, Following}},
		}},
		{"open transaction", []step{
			{"held", func(c *Input) { c.Committed(1); c.Observe(100, 3); c.found(OpenTransaction) }, want{-1, 2, OpenTransaction}},
			{"ended", committed(3), want{100, 0, Following}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in Input
			for _, s := range c.steps {
				s.do(&in)
				check(t, s.when, &in, s.want)
			}
		})
	}
}

func TestRestoreFromTheFuture(t *testing.T) {
	var c Input
	err := c.Restore(101, 100)
	if err == nil || !strings.Contains(err.Error(), "1970-01-01T00:00:00.101Z") || !strings.Contains(err.Error(), "future") {
		t.Errorf("Restore = %v; want a refusal that names the instant", err)
	}
	check(t, "refused", &c, want{-1, 0, Unknown})
	if err := c.Restore(100, 100); err != nil {
		t.Errorf("Restore at this instant = %v", err)
	}
}

func TestComplete(t *testing.T) {
	const lateness, skew = freshness.Duration(1000), freshness.Duration(300)
	for _, c := range []struct {
		name string
		do   func(c *Input)
		skew freshness.Duration
		want event.Time
	}{
		{"nothing known", func(*Input) {}, 0, 0},
		{"records, but no end seen", func(c *Input) { c.Record(50_000) }, 0, 0},
		{"caught up", func(c *Input) { c.Committed(1); c.Observe(60_000, 1) }, 0, 59_000},
		{"catch-up", func(c *Input) { c.Committed(1); c.Observe(60_000, 9); c.Record(50_000) }, 0, 49_000},
		{"catch-up, the producers' own times", func(c *Input) { c.Committed(1); c.Observe(60_000, 9); c.Record(50_000) }, skew, 48_700},
		{"the greatest record time counts", func(c *Input) { c.Observe(60_000, 9); c.Record(50_000); c.Record(40_000) }, 0, 49_000},
		{"a record of the future", func(c *Input) { c.Committed(1); c.Observe(60_000, 9); c.Record(90_000) }, 0, 59_000},
		{"caught up, the last record long ago", func(c *Input) { c.Committed(9); c.Observe(60_000, 9); c.Record(5_000) }, skew, 59_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in Input
			c.do(&in)
			if got := in.Complete(lateness, c.skew); got != c.want {
				t.Errorf("Complete = %d; want %d", got, c.want)
			}
		})
	}
}

// TestBacklogIsBounded polls for a day while nothing is applied, then applies everything.
func TestBacklogIsBounded(t *testing.T) {
	var c Input
	c.Committed(0)
	const polls = 4 * 86400
	for i := range int64(polls) {
		c.Observe(event.Time(i), i+1)
	}
	if n := len(c.waiting); n > boundLimit {
		t.Fatalf("%d instants wait; the limit is %d", n, boundLimit)
	}
	before := event.Time(-1)
	for p := int64(0); p <= polls; p += 97 {
		c.Committed(p)
		applied, known := c.Applied()
		if !known {
			continue
		}
		if applied >= event.Time(p) {
			t.Fatalf("position %d: applied through %d, before which %d records were acknowledged", p, applied, applied+1)
		}
		if applied < before {
			t.Fatalf("the clock went back from %d to %d", before, applied)
		}
		before = applied
	}
	c.Committed(polls)
	check(t, "caught up", &c, want{polls - 1, 0, Following})
}

// history is a log as it came to be, and what a reader of it has done. It is the naive truth that a clock is held against.
type history struct {
	rnd      *rand.Rand
	now      event.Time
	records  []truth // by offset
	open     []int   // offsets of the open transaction
	position int64
	newest   event.Time // greatest record time applied
}

// truth is one offset of the log.
type truth struct {
	acked  event.Time // 0: not yet, or never (aborted, a marker)
	record bool       // a reader is given it once it is acknowledged
	stable bool
	event  event.Time
	stamp  event.Time
}

const (
	testLateness = 400
	testSkew     = 30
)

func (h *history) write(transactional bool) {
	// A record's event is at most lateness older than its acknowledgement, its timestamp at most skew off the time of writing.
	r := truth{record: true, stamp: h.now + event.Time(h.rnd.IntN(2*testSkew+1)-testSkew), event: h.now - event.Time(h.rnd.IntN(testLateness+1))}
	if transactional {
		h.open = append(h.open, len(h.records))
	} else {
		r.acked, r.stable = h.now, true
	}
	h.records = append(h.records, r)
}

// endTransaction writes the marker; a commit acknowledges the records of the transaction now.
func (h *history) endTransaction(commit bool) {
	if len(h.open) == 0 {
		return
	}
	for _, o := range h.open {
		r := &h.records[o]
		r.stable, r.record = true, commit
		if commit {
			r.acked = h.now
		}
	}
	h.open = nil
	h.records = append(h.records, truth{stable: true})
}

// read applies and commits some of what is stable.
func (h *history) read(c *Input) {
	for n := h.rnd.IntN(8); n > 0 && h.position < int64(len(h.records)) && h.records[h.position].stable; n-- {
		if r := h.records[h.position]; r.record {
			h.newest = max(h.newest, r.stamp)
			c.Record(r.stamp)
		}
		h.position++
	}
	c.Committed(h.position)
}

// unapplied returns the earliest acknowledgement and event time of what is acknowledged but not applied.
func (h *history) unapplied() (acked, at event.Time, any bool) {
	for _, r := range h.records[h.position:] {
		if r.acked == 0 {
			continue
		}
		if !any || r.acked < acked {
			acked = r.acked
		}
		if !any || r.event < at {
			at = r.event
		}
		any = true
	}
	return acked, at, any
}

// seed returns the seed of a random test: FRESHET_TEST_SEED, else the time.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := uint64(time.Now().UnixNano())
	if v := os.Getenv("FRESHET_TEST_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		s = n
	}
	t.Logf("repeat with FRESHET_TEST_SEED=%d go test ./processors/clock -run '^%s$'", s, t.Name())
	return s
}

// TestClockNeverOvertakes runs random interleavings of producers, transactions, polls and an engine, and holds the clock against what a
// producer's log would say: nothing acknowledged before the clock's instant is unapplied, nothing goes back, and once everything has been
// applied the next poll's instant is shown.
func TestClockNeverOvertakes(t *testing.T) {
	first := seed(t)
	for run := range uint64(300) {
		h := &history{rnd: rand.New(rand.NewPCG(first, run)), now: 10_000}
		var c Input
		c.Committed(0)
		var applied, complete event.Time
		var asked []bound // polls whose answer is under way: T was taken, E was read, the answer comes later
		for range 400 {
			h.now += event.Time(h.rnd.IntN(20))
			switch h.rnd.IntN(8) {
			case 0, 1:
				h.write(false)
			case 2:
				h.write(true)
			case 3:
				h.endTransaction(h.rnd.IntN(3) > 0)
			case 4:
				taken := h.now
				for range h.rnd.IntN(3) { // more is written between the reading of the clock and that of the end
					h.now += event.Time(h.rnd.IntN(5))
					h.write(false)
				}
				asked = append(asked, bound{taken, int64(len(h.records))})
			case 5:
				if len(asked) > 0 {
					c.Observe(asked[0].at, asked[0].end)
					asked = asked[1:]
				}
			default:
				h.read(&c)
			}
			a, known := c.Applied()
			acked, at, any := h.unapplied()
			if known && any && acked < a {
				t.Fatalf("run %d: applied through %d, but a record acknowledged at %d is not applied", run, a, acked)
			}
			if a < applied {
				t.Fatalf("run %d: applied went back from %d to %d", run, applied, a)
			}
			applied = a
			f := c.Complete(testLateness, testSkew)
			if any && at < f && !transactionHid(h, f) {
				t.Fatalf("run %d: complete through %d, but an event at %d is not applied", run, f, at)
			}
			if f < complete {
				t.Fatalf("run %d: complete went back from %d to %d", run, complete, f)
			}
			complete = f
		}
		h.endTransaction(true)
		for h.position < int64(len(h.records)) {
			h.read(&c)
		}
		c.Observe(h.now, int64(len(h.records)))
		if a, known := c.Applied(); !known || a != h.now {
			t.Fatalf("run %d: everything is applied, but the clock shows %d; want %d", run, a, h.now)
		}
	}
}

// transactionHid tells whether every unapplied event before f is of a transaction that was committed later than lateness allows: such an
// event breaks the contract's bound and may come late.
func transactionHid(h *history, f event.Time) bool {
	for _, r := range h.records[h.position:] {
		if r.acked != 0 && r.event < f && r.acked-r.event <= testLateness {
			return false
		}
	}
	return true
}
