package clock

import (
	"time"

	"github.com/freshet-io/freshet/event"
)

// Monotonic tells the time by what the wall clock showed once and by what has passed since. A wall clock that jumps cannot move it.
type Monotonic struct {
	base    time.Time
	elapsed func() time.Duration
}

// NewMonotonic returns a clock that shows base when elapsed returns 0.
func NewMonotonic(base time.Time, elapsed func() time.Duration) Monotonic {
	return Monotonic{base: base, elapsed: elapsed}
}

// System returns a clock on the machine's own, from now on. Where the system offers it, time goes on while the machine is suspended.
func System() Monotonic { return NewMonotonic(Wall(), paced(sinceNow())) }

// Now returns the instant, with fractions of a millisecond cut off: never later than it is.
func (m Monotonic) Now() event.Time { return event.Of(m.base.Add(m.elapsed())) }
