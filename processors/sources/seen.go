package sources

import (
	"strings"
	"sync"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// seen is the latest that a view has read of each kind: of its updates, and of its signs of life. Other kinds than the first ones are
// taken together: their names come from events.
type seen struct {
	mu    sync.Mutex
	kinds map[string]*lifetimes
}

type lifetimes struct{ update, life event.Time }

// seenKinds bounds the kinds that are told apart.
const seenKinds = 1024

// note takes what a row says of a kind; beginning is for what it says nothing of.
func (s *seen) note(kind string, update, life event.Time) {
	if update == beginning && life == beginning {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kinds[kind]
	if k == nil {
		if s.kinds == nil {
			s.kinds = map[string]*lifetimes{}
		}
		if len(s.kinds) >= seenKinds {
			kind = ""
		}
		if k = s.kinds[kind]; k == nil {
			k = &lifetimes{beginning, beginning}
			s.kinds[strings.Clone(kind)] = k
		}
	}
	k.update, k.life = max(k.update, update), max(k.life, update, life)
}

// noteHead takes what an item's head says: heartbeats, updates that have lost, and updates that a limit has left out.
func (s *seen) noteHead(kind string, h *freshness.ItemHead) {
	update, life := beginning, beginning
	if n := len(h.Losers); n > 0 {
		update = h.Losers[n-1].Time
	}
	if h.HasCut {
		update = max(update, h.CutTime)
	}
	if h.HasLife {
		life = h.Life
	}
	s.note(kind, update, life)
}

// EachKind calls f with the latest update and the latest sign of life of each kind that has been read of; false: there was no update. The
// name of what is not told apart is empty.
func (v *View) EachKind(f func(kind string, update event.Time, updated bool, life event.Time)) {
	v.seen.mu.Lock()
	defer v.seen.mu.Unlock()
	for kind, k := range v.seen.kinds {
		f(kind, k.update, k.update != beginning, k.life)
	}
}
