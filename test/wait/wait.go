package wait

import (
	"context"
	"testing"
	"time"
)

// Until waits for a condition, which returns what is missing. The test fails with that where it is still missing when ctx ends.
func Until(ctx context.Context, t *testing.T, condition func() string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := condition()
		if missing == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(missing)
		case <-tick.C:
		}
	}
}
