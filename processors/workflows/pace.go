package workflows

import (
	"sync"
	"sync/atomic"

	"github.com/freshet-io/freshet/topology"
)

// pace lets only so many units of a search wait at a time, and so many rows change in a transaction for them: what a change touches may be
// a million workflows, and input takes turns with them, in units and in transactions.
type pace struct {
	pt    *partition
	slots chan struct{}
	ended chan struct{}
	once  sync.Once
	held  atomic.Int32 // slots that the next transaction gives back

	searches sync.WaitGroup
}

const (
	paceUnits = 4
	paceRows  = 1024
)

func (p *pace) start(pt *partition) {
	p.pt, p.slots, p.ended = pt, make(chan struct{}, paceUnits), make(chan struct{})
}

// stop ends searches.
func (p *pace) stop() { p.once.Do(func() { close(p.ended) }) }

// join waits until no search is under way: none outlives the partition. It may be called once none can begin any more.
func (p *pace) join() { p.searches.Wait() }

// over says whether the partition has ended: a search need not go on.
func (p *pace) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// send hands a unit over, waiting until there is room; false if the partition has ended.
func (p *pace) send(m recheck) bool {
	select {
	case p.slots <- struct{}{}:
	case <-p.ended:
		return false
	}
	p.pt.p.Send(topology.SourceInput, m, false)
	return true
}

// ran is called when a unit has run.
func (p *pace) ran() {
	if p.pt.p.Rows.Dirty() >= paceRows {
		p.held.Add(1)
		return
	}
	<-p.slots
}

// committed is told of a transaction, by the committer.
func (p *pace) committed() {
	for n := p.held.Swap(0); n > 0; n-- {
		<-p.slots
	}
}
