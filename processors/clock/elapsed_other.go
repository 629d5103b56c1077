//go:build !linux

package clock

import "time"

// sinceNow returns a function that tells how much time has passed since this call.
func sinceNow() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}
