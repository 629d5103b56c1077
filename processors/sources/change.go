package sources

import (
	"cmp"
	"math"
	"slices"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Change says that what is known of an item, or of a whole kind (Key ""), is another than before.
type Change struct {
	Kind, Key string
	From      event.Time // uses with t ≥ From may have changed; uses before it only if they are unsettled about the item
	Versions  bool       // versions have come, gone or changed; else it is about signs of life and availability
	Life      event.Time // of a whole kind, from now on
	Cut       *Cut       // versions that the limit has left out, if it has: they may change other uses than those From on
}

// Cut says which uses of an item may be judged otherwise since its limit has left out versions. Where uses go by a version's name it may
// be any.
type Cut struct {
	After, Through int64      // the versions with After < seq ≤ Through have gone: uses of them are truncated
	From           event.Time // from then on one of those counted: uses of versions up to Through see fewer
	Silent         event.Time // of uses at Silent ≤ t < Heard a sign of life has gone with them
	Heard          event.Time
}

// Concerns says whether uses of the item's versions from least to most, at instants from first to last, may be judged otherwise.
func (c *Cut) Concerns(least, most int64, first, last event.Time) bool {
	old := least <= c.Through
	return old && (most > c.After || last >= c.From) || first < c.Heard && last >= c.Silent
}

// Join returns what either says.
func (c *Cut) Join(o *Cut) *Cut {
	if c == nil || o == nil {
		return cmp.Or(c, o)
	}
	return &Cut{min(c.After, o.After), max(c.Through, o.Through), min(c.From, o.From), min(c.Silent, o.Silent), max(c.Heard, o.Heard)}
}

// cutOf returns what a new head leaves out of an item, nil if that is nothing.
func cutOf(item *freshness.Item, head freshness.ItemHead) *Cut {
	old := item.Head()
	if !head.HasCut || old.HasCut && head.Cut <= old.Cut {
		return nil
	}
	c := &Cut{After: math.MinInt64, Through: head.Cut, From: never, Silent: never, Heard: head.CutTime}
	if old.HasCut {
		c.After, c.Silent = old.Cut, old.CutTime
	}
	known := c.Silent != never && c.Silent >= head.CutTime // the latest sign of life that goes, or stays behind
	sign := func(t event.Time) {
		c.Silent = min(c.Silent, t)
		known = known || t >= head.CutTime
	}
	for _, n := range item.VersionsThrough(head.Cut) {
		c.From = min(c.From, n.Effective, n.Published)
		sign(n.Time)
	}
	for _, l := range old.Losers {
		if l.Seq <= head.Cut {
			sign(l.Time)
		}
	}
	switch {
	case head.HasLife && head.Life >= head.CutTime:
		c.Silent = never // a heartbeat says more, whatever the use's time
	case !known:
		c.Silent, c.Heard = min(c.Silent, head.CutTime), never // a version has gone that never was here
	}
	return c
}

// headChange returns from when on a new head changes uses; what it leaves out is said by cutOf.
func headChange(old, head freshness.ItemHead) (from event.Time, changed bool) {
	from = never
	note := func(t event.Time) { from, changed = min(from, t), true }
	if head.HasLife && (!old.HasLife || head.Life > old.Life) {
		if old.HasLife {
			note(old.Life)
		} else {
			note(beginning)
		}
	}
	if head.HasCut && old.HasCut && head.CutTime > old.CutTime && head.Cut == old.Cut {
		note(old.CutTime) // an update that had been left out already
	}
	type served struct {
		seq  int64
		from event.Time
	}
	known := make(map[served]bool, len(old.Available))
	for _, a := range old.Available {
		known[served{a.Seq, a.Time}] = true
	}
	for _, a := range head.Available {
		if !known[served{a.Seq, a.Time}] {
			note(a.Time)
		}
	}
	if slices.Equal(head.Losers, old.Losers) {
		return from, changed
	}
	had := make(map[freshness.Loser]bool, len(old.Losers))
	for _, l := range old.Losers {
		had[l] = true
	}
	for _, l := range head.Losers {
		if !had[l] {
			note(l.Time)
		}
		delete(had, l)
	}
	for l := range had { // the limit has left it out, or it has gone with its seq
		if !head.HasCut || l.Seq > head.Cut {
			note(l.Time)
		}
	}
	return from, changed
}
