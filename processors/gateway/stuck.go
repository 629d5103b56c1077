package gateway

import (
	"fmt"
	"sync"
	"time"

	"github.com/go-kit/log/level"
)

// stuckAfter is how long a restore may come no further. What it waits for is bounded: a transaction by its timeout, a dead owner's by the
// fencing, brokers by the session's heartbeats.
const stuckAfter = 30 * time.Second

// watchRestore ends a session whose restore comes no further: the next one begins with a new client, which ends whatever the last one has
// left open. The function that it returns ends the watch.
func (h *handler) watchRestore(s *session, patience time.Duration) func() {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(patience / 10)
		defer tick.Stop()
		left, since := s.leftToRestore(), time.Now()
		for {
			select {
			case <-done:
				return
			case <-s.Context().Done():
				return
			case <-tick.C:
			}
			if now := s.leftToRestore(); now != left {
				left, since = now, time.Now()
			}
			if time.Since(since) > patience {
				_ = level.Error(h.g.logger).Log("msg", "a restore comes no further, the session is begun again", "for", patience, "records_left", left)
				h.g.failed.Store(true)
				h.end(fmt.Errorf("the restore has come no further for %v, with %d records left", patience, left))
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}

// leftToRestore is how many changelog records are still to be read. Rows that have been read and whose entries have been derived since count below
// zero.
func (s *session) leftToRestore() int64 {
	left := int64(0)
	for _, p := range s.parts {
		left += p.left.Load()
	}
	return left
}
