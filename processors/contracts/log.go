package contracts

import (
	"sort"
	"sync"
	"sync/atomic"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
)

// Entry is a contract that is or was in force.
type Entry struct {
	Since    event.Time // the first entry is in force before that, too
	Hash     string
	File     *slo.File
	Contract *freshness.Contract
}

// Log is the history of contracts. It is safe for concurrent use; reading it takes no lock.
type Log struct {
	entries atomic.Pointer[[]Entry]

	mu        sync.Mutex
	listeners map[int]func(since event.Time)
	next      int
}

// All returns the entries, by time. They are read-only.
func (l *Log) All() []Entry {
	if e := l.entries.Load(); e != nil {
		return *e
	}
	return nil
}

// At returns the contract in force at an instant, nil if there has never been one.
func (l *Log) At(t event.Time) *freshness.Contract {
	e := l.entry(t)
	if e == nil {
		return nil
	}
	return e.Contract
}

// entry returns the entry in force at an instant, nil if there has never been one.
func (l *Log) entry(t event.Time) *Entry {
	all := l.All()
	if len(all) == 0 {
		return nil
	}
	if n := len(all) - 1; t >= all[n].Since {
		return &all[n]
	}
	i := sort.Search(len(all), func(i int) bool { return all[i].Since > t })
	return &all[max(0, i-1)]
}

// Objectives returns the objectives that the uses of a workflow type at an instant count for.
func (l *Log) Objectives(t event.Time, workflow string) []*slo.SLO {
	if e := l.entry(t); e != nil && e.File != nil {
		return e.File.Objectives(workflow)
	}
	return nil
}

// Objective returns an objective as the latest contract that has it says, nil if none ever had.
func (l *Log) Objective(name string) *slo.SLO {
	all := l.All()
	for i := len(all) - 1; i >= 0; i-- {
		if f := all[i].File; f != nil {
			if s := f.Objective(name); s != nil {
				return s
			}
		}
	}
	return nil
}

// After returns when the first contract after an instant came into force; the first of all has always been.
func (l *Log) After(t event.Time) (event.Time, bool) {
	all := l.All()
	for i := 1; i < len(all); i++ {
		if all[i].Since > t {
			return all[i].Since, true
		}
	}
	return 0, false
}

// Current returns the entry in force now; ok is false if there is none.
func (l *Log) Current() (Entry, bool) {
	all := l.All()
	if len(all) == 0 {
		return Entry{}, false
	}
	return all[len(all)-1], true
}

// DecisionRetention returns for how long the effects of an event may come late.
func (l *Log) DecisionRetention() freshness.Duration {
	e, ok := l.Current()
	if !ok {
		return 0
	}
	return e.File.DecisionRetention()
}

// WorkflowIdle returns for how long a workflow may be without events before it counts as abandoned.
func (l *Log) WorkflowIdle() freshness.Duration {
	e, ok := l.Current()
	if !ok {
		return 0
	}
	return e.File.WorkflowIdle()
}

// DetectionLimit returns how many workflows of a type and partition have a record each for the same stale version.
func (l *Log) DetectionLimit(workflowType string) int {
	e, ok := l.Current()
	if !ok {
		return slo.DefaultDetectionLimit
	}
	return e.File.DetectionLimit(workflowType)
}

// VersionsLimit returns how many versions are kept of an item of a kind.
func (l *Log) VersionsLimit(kind string) int {
	if e, ok := l.Current(); ok {
		if c := e.Contract.Contexts[kind]; c != nil && c.VersionsLimit > 0 {
			return c.VersionsLimit
		}
	}
	return freshness.DefaultVersionsLimit
}

// add inserts an entry by its time. A contract that is accepted again at the same instant changes nothing.
func (l *Log) add(e Entry) {
	old := l.All()
	i := sort.Search(len(old), func(i int) bool { return old[i].Since > e.Since || old[i].Since == e.Since && old[i].Hash >= e.Hash })
	if i < len(old) && old[i].Since == e.Since && old[i].Hash == e.Hash {
		return
	}
	next := make([]Entry, 0, len(old)+1)
	next = append(append(append(next, old[:i]...), e), old[i:]...)
	l.entries.Store(&next)
	l.tell(e.Since)
}

// Listen calls f with the instant of each contract that comes into the log, after it is in there, until stop is called. F must not block.
func (l *Log) Listen(f func(since event.Time)) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listeners == nil {
		l.listeners = map[int]func(event.Time){}
	}
	id := l.next
	l.next++
	l.listeners[id] = f
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.listeners, id)
	}
}

func (l *Log) tell(since event.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.listeners {
		f(since)
	}
}

// Had says whether a contract has ever been in force.
func (l *Log) Had(hash string) bool {
	for _, e := range l.All() {
		if e.Hash == hash {
			return true
		}
	}
	return false
}
