package freshness

import (
	"sort"

	"github.com/freshet-io/freshet/event"
)

// view is an item as a use at an instant sees it.
type view struct {
	item  *Item
	basis Basis
	at    event.Time // t
	cut   int64      // smallest seq seen before t, where versions are left out
	out   bool       // versions are left out
}

// look returns what a use at t sees of an item that may be nil, with the history the contract gives it.
func look(it *Item, basis Basis, t event.Time, history int) view {
	w := view{item: it, basis: basis, at: t}
	if it.Len() == 0 {
		return w
	}
	if history <= 0 {
		history = DefaultHistory
	}
	if it.count > history {
		w.cut, w.out = it.horizon(basis, t, history)
	}
	if it.head.HasCut {
		if below := it.head.Cut + 1; !w.out || below > w.cut {
			w.cut = below
		}
		w.out = true
	}
	return w
}

// horizon returns the smallest of the history greatest seqs with b < t, and whether it leaves versions out.
func (it *Item) horizon(by Basis, t event.Time, history int) (int64, bool) {
	left := history
	var cut int64
	for i := len(it.blocks) - 1; i >= 0; i-- {
		b := it.blocks[i]
		if b.min[by] >= t {
			continue
		}
		if b.max[by] < t && len(b.entries) <= left {
			left -= len(b.entries)
			cut = b.entries[0].seq
			continue
		}
		for j := len(b.entries) - 1; j >= 0; j-- {
			if b.entries[j].b[by] >= t {
				continue
			}
			if left == 0 {
				return cut, true
			}
			left--
			cut = b.entries[j].seq
		}
	}
	return 0, false
}

// seen says whether a version is among those the use sees.
func (w *view) seen(e *entry) bool {
	return !w.out || e.seq >= w.cut || e.b[w.basis] >= w.at
}

// known returns the version with a seq if the use sees it.
func (w *view) known(seq int64) *entry {
	if e := w.item.find(seq); e != nil && w.seen(e) {
		return e
	}
	return nil
}

// floor is the seq above which versions count as newer than n: what is left out is not looked at.
func (w *view) floor(n int64) int64 {
	if w.out && n < w.cut {
		return w.cut - 1
	}
	return n
}

// superseding returns n*, the version after n that came into force first (of several the one with the smallest seq), nil if there is none.
func (w *view) superseding(n int64) *entry {
	it, by := w.item, w.basis
	if it.Len() == 0 {
		return nil
	}
	p, i := it.above(w.floor(n))
	if p == len(it.blocks) {
		return nil
	}
	if it.byBasis[by] {
		return &it.blocks[p].entries[i]
	}
	var best *entry
	for ; p < len(it.blocks); p, i = p+1, 0 {
		b := it.blocks[p]
		if best != nil && b.min[by] >= best.b[by] {
			continue
		}
		for ; i < len(b.entries); i++ {
			if e := &b.entries[i]; best == nil || e.b[by] < best.b[by] {
				best = e
			}
		}
	}
	return best
}

// above returns where the first seq greater than n lies; the block is len(blocks) if there is none.
func (it *Item) above(n int64) (block, at int) {
	if len(it.blocks) == 0 || it.blocks[len(it.blocks)-1].last().seq <= n {
		return len(it.blocks), 0
	}
	p, found := it.position(n)
	if found {
		p.at++
	}
	if p.at == len(it.blocks[p.block].entries) {
		return p.block + 1, 0
	}
	return p.block, p.at
}

// behind returns k, how many versions after n are in force before t.
func (w *view) behind(n int64) int64 {
	it, by := w.item, w.basis
	if it.Len() == 0 {
		return 0
	}
	p, i := it.above(w.floor(n))
	if p == len(it.blocks) {
		return 0
	}
	if it.byBasis[by] {
		return it.span(p, i, by, w.at)
	}
	var k int64
	for ; p < len(it.blocks); p, i = p+1, 0 {
		b := it.blocks[p]
		switch {
		case b.min[by] >= w.at:
		case b.max[by] < w.at:
			k += int64(len(b.entries) - i)
		default:
			for ; i < len(b.entries); i++ {
				if b.entries[i].b[by] < w.at {
					k++
				}
			}
		}
	}
	return k
}

// span counts the entries from a place on whose b is before t, of an item whose b does not fall.
func (it *Item) span(p, i int, by Basis, t event.Time) int64 {
	var k int64
	for ; p < len(it.blocks); p, i = p+1, 0 {
		b := it.blocks[p]
		if b.max[by] < t {
			k += int64(len(b.entries) - i)
			continue
		}
		rest := b.entries[i:]
		return k + int64(sort.Search(len(rest), func(j int) bool { return rest[j].b[by] >= t }))
	}
	return k
}

// current returns the version with the greatest seq in force before t, nil if there is none.
func (w *view) current() *entry {
	if w.item.Len() == 0 {
		return nil
	}
	by := w.basis
	for i := len(w.item.blocks) - 1; i >= 0; i-- {
		b := w.item.blocks[i]
		if b.min[by] >= w.at {
			continue
		}
		for j := len(b.entries) - 1; j >= 0; j-- {
			if e := &b.entries[j]; e.b[by] < w.at {
				return e
			}
		}
	}
	return nil
}

// resolved is what a REF comes to.
type resolved struct {
	seq       int64
	known     bool // it has a seq, or its version string could be resolved
	unsettled bool // a version that becomes known may resolve it to another one, whatever its times
}

// less orders what REFs come to: unresolved is smallest.
func (r resolved) less(o resolved) bool {
	if r.known != o.known {
		return o.known
	}
	return r.known && r.seq < o.seq
}

// resolve returns what a REF used at l comes to. A seq holds; a version string is that of the greatest seq whose b is not after l; if all
// are later it is the smallest, unless versions are left out.
func (w *view) resolve(ref *LoadRef, l event.Time) resolved {
	if ref.HasSeq {
		return resolved{seq: ref.Seq, known: true}
	}
	if w.item.Len() == 0 {
		return resolved{unsettled: true}
	}
	if ref.Version == "" {
		return resolved{}
	}
	name, by := nameHash(ref.Version), w.basis
	var first *entry
	for i := len(w.item.blocks) - 1; i >= 0; i-- {
		b := w.item.blocks[i]
		if !b.mayHold(name) {
			continue
		}
		for j := len(b.entries) - 1; j >= 0; j-- {
			e := &b.entries[j]
			if e.name != name || e.v.Name != ref.Version {
				continue
			}
			if e.b[by] > l {
				first = e
			} else if w.seen(e) {
				return resolved{seq: e.seq, known: true}
			}
		}
	}
	if first == nil || w.out {
		return resolved{unsettled: true}
	}
	return resolved{seq: first.seq, known: true, unsettled: true}
}

// life returns the last sign of life of the item itself up to t: its updates up to t, its heartbeats whenever they came.
func (it *Item) life(t event.Time) (event.Time, bool) {
	if it == nil {
		return 0, false
	}
	best, ok := beginning, false
	if it.head.HasLife {
		best, ok = it.head.Life, true
	}
	see := func(x event.Time) {
		if x <= t && (!ok || x > best) {
			best, ok = x, true
		}
	}
	if it.head.HasCut {
		see(it.head.CutTime)
	}
	losers := it.head.Losers
	if i := sort.Search(len(losers), func(i int) bool { return losers[i].Time > t }); i > 0 {
		see(losers[i-1].Time)
	}
	for i := len(it.blocks) - 1; i >= 0; i-- {
		b := it.blocks[i]
		if b.maxTime <= t {
			see(b.maxTime)
			if it.byTime {
				break
			}
			continue
		}
		if b.minTime > t || ok && b.maxTime <= best {
			continue
		}
		for j := range b.entries {
			see(b.entries[j].time)
		}
	}
	return best, ok
}

// Life returns the item's last sign of life up to t, heartbeats of its whole kind left out.
func (it *Item) Life(t event.Time) (event.Time, bool) { return it.life(t) }

// Current returns the version in force before t, nil if there is none.
func (it *Item) Current(basis Basis, t event.Time) *Version {
	w := view{item: it, basis: basis, at: t}
	if e := w.current(); e != nil {
		return e.v
	}
	return nil
}
