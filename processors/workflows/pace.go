package workflows

import (
	"sync"

	"github.com/freshet-io/freshet/topology"
)

// pace lets only so many units of a search wait at a time: what a change touches may be a million workflows, and input takes turns with
// them.
type pace struct {
	pt    *partition
	slots chan struct{}
	ended chan struct{}
	once  sync.Once
}

const paceUnits = 4

func (p *pace) start(pt *partition) {
	p.pt, p.slots, p.ended = pt, make(chan struct{}, paceUnits), make(chan struct{})
}

func (p *pace) stop() { p.once.Do(func() { close(p.ended) }) }

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
func (p *pace) ran() { <-p.slots }
