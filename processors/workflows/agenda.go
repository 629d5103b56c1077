package workflows

import (
	"sync/atomic"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/state"
)

// agendaLimit bounds how many deadlines of a partition are in memory.
const agendaLimit = 16384

// agenda is the deadlines of a partition. All of them stand in the index; in memory are those up to a horizon, which moves on as time comes
// near it, and those of transactions that are not in the index yet. So a million workflows that wait cost nothing until they are due.
type agenda struct {
	pt      *partition
	soon    deadlines
	horizon event.Time // everything in the index up to it is in soon
	recent  []written
	many    int           // recent ones at which those that are in the index by now are forgotten
	barrier atomic.Uint64 // committed

	limit int
}

// written is a deadline of a row that will be in the index once a barrier is committed.
type written struct {
	deadline
	barrier uint64
}

// push notes a deadline of a row that is part of the next transaction, or is to be in memory all the same.
func (a *agenda) push(x deadline) {
	if len(a.recent) >= a.many {
		a.prune()
		a.many = max(1024, 2*len(a.recent)) // a backlog's transaction has tens of thousands
	}
	a.recent = append(a.recent, written{x, a.pt.p.Barriers()})
	if x.at > a.horizon {
		return
	}
	a.soon.push(x)
	if a.soon.len() > 4*a.limit {
		a.horizon = a.soon.keep(a.limit)
	}
}

// prune forgets what is in the index.
func (a *agenda) prune() {
	committed := a.barrier.Load()
	kept := a.recent[:0]
	for _, w := range a.recent {
		if w.barrier >= committed {
			kept = append(kept, w)
		}
	}
	clear(a.recent[len(kept):])
	a.recent = kept
}

// nearness is how long before it is reached the horizon moves on.
const nearness = event.Time(60_000)

// pop removes the earliest deadline that is due at an instant.
func (a *agenda) pop(now event.Time) (deadline, bool, error) {
	for a.horizon != never && a.horizon <= now+nearness {
		if err := a.advance(); err != nil {
			return deadline{}, false, err
		}
	}
	x, ok := a.soon.pop(now)
	return x, ok, nil
}

// advance reads on in the index. It reads whole instants, so that the horizon is one.
func (a *agenda) advance() error {
	from, n := a.horizon, 0
	lower := appendDeadline(nil, from+1, "")
	if from == oldest {
		lower = []byte{deadlineEntry}
	}
	a.horizon = never
	var last event.Time
	err := a.pt.g.DB.ScanIndex(state.Workflows, a.pt.p.ID, lower, []byte{deadlineEntry + 1}, func(key, _ []byte) bool {
		if len(key) <= deadlineKeyLen {
			return true
		}
		at := fromSortable(key[1:])
		if n >= a.limit && at != last {
			a.horizon = last
			return false
		}
		n, last = n+1, at
		a.soon.push(deadline{at: at, key: string(key[deadlineKeyLen:])})
		return true
	})
	if err != nil {
		return err
	}
	a.prune()
	for _, w := range a.recent {
		if w.at > from && w.at <= a.horizon {
			a.soon.push(w.deadline)
		}
	}
	return nil
}

// committed is told of a transaction, by the committer.
func (a *agenda) committed(barrier uint64) { a.barrier.Store(barrier) }
