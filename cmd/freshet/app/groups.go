package app

import (
	"slices"
	"strings"
	"sync"

	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/gateway"
)

// group is a group that runs on this instance.
type group struct {
	name    string
	gateway *gateway.Gateway
	clock   *clock.Group
}

// groups are those that have been started; their modules start side by side.
type groups struct {
	mu      sync.RWMutex
	started []group
}

func (g *groups) add(one group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.started = append(slices.Clip(g.started), one)
	slices.SortFunc(g.started, func(a, b group) int { return strings.Compare(a.name, b.name) })
}

// all returns the groups by name. The slice is read-only.
func (g *groups) all() []group {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.Clone(g.started)
}
