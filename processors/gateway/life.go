package gateway

import (
	"fmt"
	"sync"
	"time"
)

// stage is what a group is at on the way to a session that runs.
type stage string

const (
	joins     stage = "waits for its partitions"
	restores  stage = "restores its rows from the changelog"
	takesOver stage = "waits for the view of what its rows rest on"
	runs      stage = "runs"
)

// life remembers, for people, what a group is at and why it was not longer there.
type life struct {
	mu     sync.Mutex
	at     stage
	since  time.Time
	failed int // since it ran last
	last   error
}

func (l *life) now(at stage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at != at {
		l.at, l.since = at, time.Now()
	}
	if at == runs {
		l.failed, l.last = 0, nil
	}
}

// ended notes that a session or the group has ended with an error.
func (l *life) ended(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at != joins {
		l.at, l.since = joins, time.Now()
	}
	l.failed, l.last = l.failed+1, err
}

// Doing says what the group is at, since when, and with figures.
func (g *Gateway) Doing() string {
	l := &g.life
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.at
	if at == "" {
		at = joins
	}
	text := string(at)
	if !l.since.IsZero() {
		text += fmt.Sprintf(" for %v", time.Since(l.since).Round(100*time.Millisecond))
	}
	if s := g.current.Load(); s != nil && at == restores {
		left, parts := int64(0), 0
		for _, p := range s.parts {
			if n := p.left.Load(); n > 0 {
				left, parts = left+n, parts+1
			}
		}
		text += fmt.Sprintf(", %d records of %d partitions are left", left, parts)
	}
	if l.failed > 0 {
		text += fmt.Sprintf(", failed %d times, last: %v", l.failed, l.last)
	}
	return text
}
