package alerting

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
)

// Sources is what is known of sources.
type Sources interface {
	KindLife(kind string) (event.Time, bool)
	EachOf(kind string, f func(key string) bool)
	Item(kind, key string) *freshness.Item
}

// Silence finds the sources that are silent. Looking at all items of a kind at every tick would cost too much where there are many: they
// are looked at when the first of them can have become silent, and, while some are, as often as the cost allows.
type Silence struct {
	sources Sources
	// clock returns through when the sources are complete on every partition, and the names of the partitions; false while one is not live.
	clock func() (complete event.Time, partitions []string, live bool)
	since func() event.Time // the contract in force is, so that a source that has never spoken gets its time
	now   func() event.Time
	// holders returns how many open workflows hold an item, and whether there may be more.
	holders func(kind, key string) (n int64, more bool)
	kinds   map[string]*watched
	next    atomic.Int64 // the first source that is not silent can become so then, as far as the last look has shown
}

// watched is what the last look at a kind has shown.
type watched struct {
	silence freshness.Duration
	silent  []alerts.Source
	next    event.Time // the first of the others can become silent then
	looked  event.Time
	cost    event.Time
}

// NewSilence returns a Silence without a memory.
func NewSilence(sources Sources, clock func() (event.Time, []string, bool), since, now func() event.Time, holders func(kind, key string) (int64, bool)) *Silence {
	l := &Silence{sources: sources, clock: clock, since: since, now: now, holders: holders, kinds: map[string]*watched{}}
	l.next.Store(int64(forever))
	return l
}

// Due says whether another source can have become silent since the last look. It may be called on any goroutine.
func (l *Silence) Due() bool {
	complete, _, live := l.clock()
	return live && int64(complete) >= l.next.Load()
}

const (
	mostSilent   = 10_000             // sources of a kind that are reported
	longestPause = event.Time(10_000) // between looks
	effort       = event.Time(20)     // a look may take one part in so many of the time
	forever      = event.Time(1 << 62)
	beginning    = -forever // before every instant
)

// Fill adds the silent sources to a snapshot.
func (l *Silence) Fill(s *alerts.Snapshot) {
	complete, partitions, live := l.clock()
	next := forever
	defer func() { l.next.Store(int64(next)) }()
	if !live || s.Contract == nil {
		return
	}
	s.SourcesKnown = true
	for kind := range l.kinds {
		if c := s.Contract.Contexts[kind]; c == nil || c.MaxSilence == 0 {
			delete(l.kinds, kind)
		}
	}
	for kind, c := range s.Contract.Contexts {
		if c.MaxSilence == 0 {
			continue
		}
		w := l.kinds[kind]
		if w == nil || w.silence != c.MaxSilence {
			w = &watched{silence: c.MaxSilence, looked: beginning}
			l.kinds[kind] = w
		}
		if l.watch(w, c, complete); complete < w.next { // else it may not be looked at yet: that costs too much
			next = min(next, w.next)
		}
		for i := range w.silent {
			w.silent[i].Rests = partitions
		}
		s.Sources = append(s.Sources, w.silent...)
	}
	slices.SortFunc(s.Sources, func(a, b alerts.Source) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Key, b.Key))
	})
}

// watch looks at a kind, if it is time to.
func (l *Silence) watch(w *watched, c *slo.Context, complete event.Time) {
	now := l.now()
	if life, ok := l.sources.KindLife(c.Kind); ok && complete-life <= event.Time(c.MaxSilence) {
		w.silent, w.looked, w.next = nil, beginning, life+event.Time(c.MaxSilence)+1 // the whole kind is alive
		return
	}
	due := complete >= w.next || len(w.silent) > 0 || now-w.looked >= longestPause
	if w.looked != beginning && (!due || now-w.looked < w.cost*effort) {
		return
	}
	w.silent, w.next, w.looked = nil, forever, now
	known := false
	l.sources.EachOf(c.Kind, func(key string) bool {
		known = true
		l.look(w, c, key, complete)
		return true
	})
	if _, ok := l.sources.KindLife(c.Kind); !known && !ok {
		l.never(w, c, complete)
	}
	w.cost = l.now() - now
}

// look looks at one item.
func (l *Silence) look(w *watched, c *slo.Context, key string, complete event.Time) {
	it := l.sources.Item(c.Kind, key)
	if it == nil {
		return
	}
	life, alive := it.Life(forever) // what is known already, even if the clocks have not passed it
	if k, ok := l.sources.KindLife(c.Kind); ok && (!alive || k > life) {
		life, alive = k, true
	}
	if alive && complete-life <= event.Time(c.MaxSilence) {
		w.next = min(w.next, life+event.Time(c.MaxSilence)+1)
		return
	}
	if len(w.silent) >= mostSilent {
		return
	}
	src := alerts.Source{Kind: c.Kind, Key: key, Life: life, HasLife: alive, Since: life + event.Time(c.MaxSilence)}
	src.Open, src.More = l.holders(c.Kind, key)
	if v := it.Current(c.Basis, forever); v != nil {
		src.Evidence = []alerts.Evidence{{Topic: v.At.Topic, Partition: v.At.Partition, Offset: v.At.Offset}}
	}
	w.silent = append(w.silent, src)
}

// never is a kind of which nothing has been heard since the contract is in force.
func (l *Silence) never(w *watched, c *slo.Context, complete event.Time) {
	if at := l.since() + event.Time(c.MaxSilence); complete > at {
		w.silent = append(w.silent, alerts.Source{Kind: c.Kind, Since: at})
	} else {
		w.next = at + 1
	}
}
