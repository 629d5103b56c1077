package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceNow returns a function that tells how much time has passed since this call. Go's own monotonic clock stops while Linux is
// suspended, and a clock that rests on it would lag by that for the rest of the process's life.
func sinceNow() func() time.Duration {
	began, ok := bootTime()
	if !ok {
		start := time.Now()
		return func() time.Duration { return time.Since(start) }
	}
	return func() time.Duration {
		now, _ := bootTime()
		return max(0, now-began)
	}
}

func bootTime() (time.Duration, bool) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, false
	}
	return time.Duration(ts.Nano()), true
}
