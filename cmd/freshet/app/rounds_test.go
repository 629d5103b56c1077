package app

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
)

// Many ask the same: one round is under way at a time, and no answer is from before its caller asked.
func TestRounds(t *testing.T) {
	var r rounds
	var under, most, asked, now atomic.Int64
	question := func(context.Context) (map[int32]int64, error) {
		at := now.Load()
		if n := under.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer under.Add(-1)
		asked.Add(1)
		return map[int32]int64{0: at}, nil
	}
	const callers, times = 32, 200
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range times {
				begun := now.Add(1)
				if got, err := r.ask("q", question); err != nil || got[0] < begun {
					t.Errorf("asked at %d, the answer is of %d, %v", begun, got[0], err)
					return
				}
			}
		})
	}
	all.Wait()
	if most.Load() != 1 {
		t.Errorf("%d rounds at a time", most.Load())
	}
	if n := asked.Load(); n > callers*times {
		t.Errorf("%d questions for %d callers", n, callers*times)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) > 1 {
		t.Errorf("%d rounds are kept", len(r.all))
	}
}
