//go:build !torture

package clock

import "time"

// Wall is what the machine's clock shows.
func Wall() time.Time { return time.Now() }

// paced is how fast time passes.
func paced(elapsed func() time.Duration) func() time.Duration { return elapsed }
