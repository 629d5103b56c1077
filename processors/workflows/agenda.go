package workflows

import (
	"sync/atomic"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/state"
)

// agendaLimit bounds how many deadlines of a partition are in memory.
const agendaLimit = 16384

// agenda is the deadlines of a partition. All of them stand in the index; in memory are those up to a horizon, which moves on when time has
// reached it, and those of transactions that are not in the index yet. So a million workflows that wait cost nothing until they are due, even
// if they all wait for the same instant.
type agenda struct {
	pt      *partition
	soon    deadlines
	horizon deadline // everything in the index up to it is, or was, in soon
	all     bool     // there is nothing in the index behind the horizon
	recent  []written
	many    int           // recent ones at which those that are in the index by now are forgotten
	barrier atomic.Uint64 // committed

	limit int
	scan  func(lower []byte, f func(key []byte) bool) error // over the deadlines in the index
}

func newAgenda(pt *partition, limit int) *agenda {
	a := &agenda{pt: pt, horizon: deadline{at: oldest}, limit: limit}
	a.scan = func(lower []byte, f func(key []byte) bool) error {
		return pt.g.DB.ScanIndex(state.Workflows, pt.p.ID, lower, []byte{deadlineEntry + 1}, func(key, _ []byte) bool { return f(key) })
	}
	return a
}

// written is a deadline of a row that will be in the index once a barrier is committed.
type written struct {
	deadline
	barrier uint64
}

// push notes a deadline of a row that is part of the next transaction, or is to be in memory all the same.
func (a *agenda) push(x deadline) {
	if len(a.recent) >= a.many {
		a.prune(a.barrier.Load())
		a.many = max(1024, 2*len(a.recent)) // a backlog's transaction has tens of thousands
	}
	a.recent = append(a.recent, written{x, a.pt.p.Barriers()})
	if !a.all && a.horizon.before(x) {
		return
	}
	a.soon.push(x)
	if a.soon.len() > 4*a.limit {
		a.horizon, a.all = a.soon.keep(a.limit), false
	}
}

// prune forgets what is in the index since a barrier was committed.
func (a *agenda) prune(committed uint64) {
	kept := a.recent[:0]
	for _, w := range a.recent {
		if w.barrier >= committed {
			kept = append(kept, w)
		}
	}
	clear(a.recent[len(kept):])
	a.recent = kept
}

// pop removes the earliest one that is due at an instant.
func (a *agenda) pop(now event.Time) (deadline, bool, error) {
	for {
		if x, ok := a.soon.pop(now); ok {
			return x, true, nil
		}
		if a.all || a.horizon.at > now {
			return deadline{}, false, nil
		}
		if err := a.advance(); err != nil {
			return deadline{}, false, err
		}
	}
}

// advance reads on in the index.
func (a *agenda) advance() error {
	from, n := a.horizon, 0
	lower := append(appendDeadline(nil, from.at, from.key), 0)
	if from.key == "" {
		lower = lower[:len(lower)-1]
	}
	a.all = true
	committed := a.barrier.Load() // what is committed from here on, the scan does not see
	err := a.scan(lower, func(key []byte) bool {
		if len(key) <= deadlineKeyLen {
			return true
		}
		if n == a.limit {
			a.all = false
			return false
		}
		n++
		a.horizon = deadline{at: fromSortable(key[1:]), key: string(key[deadlineKeyLen:])}
		a.soon.push(a.horizon)
		return true
	})
	if err != nil {
		return err
	}
	a.prune(committed)
	for _, w := range a.recent {
		if from.before(w.deadline) && (a.all || !a.horizon.before(w.deadline)) {
			a.soon.push(w.deadline)
		}
	}
	return nil
}

// committed is told of a transaction, by the committer.
func (a *agenda) committed(barrier uint64) { a.barrier.Store(barrier) }
