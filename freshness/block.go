package freshness

import (
	"sort"

	"github.com/freshet-io/freshet/event"
)

const blockSize = 64

// entry is a version as the measures need it, so that they do not have to follow a pointer for each.
type entry struct {
	seq  int64
	b    [2]event.Time // when it counts as in force, by basis
	time event.Time    // event time of its update
	name uint32        // hash of its version string
	v    *Version
}

// block is a run of an item's versions by seq, with what most questions need to know of them. It is immutable.
type block struct {
	entries            []entry
	min, max           [2]event.Time // of b, by basis
	minTime, maxTime   event.Time
	minChunk, maxChunk uint32
	names              [8]uint64 // Bloom filter over the hashes of the version strings, two bits each
	byBasis            [2]bool   // b does not fall as seq grows
	byTime             bool
	retracts           bool // a version of it is a retraction
}

// stair is a run of availabilities. It is immutable.
type stair []Availability

func nameHash(s string) uint32 {
	h := hashStart.text(s)
	return uint32(h ^ h>>32)
}

func entryOf(v *Version) entry {
	return entry{seq: v.Seq, b: [2]event.Time{v.Effective, v.Published}, time: v.Time, name: nameHash(v.Name), v: v}
}

func newBlock(entries []entry) *block {
	b := &block{entries: entries}
	for i := range entries {
		b.note(i)
	}
	return b
}

// note takes entry i into the summary; those before it are in it already.
func (b *block) note(i int) {
	e := &b.entries[i]
	c := e.v.Chunk
	b.retracts = b.retracts || e.v.Change == event.Retracted
	b.names[e.name>>6&7] |= 1 << (e.name & 63)
	b.names[e.name>>15&7] |= 1 << (e.name >> 9 & 63)
	if i == 0 {
		b.min, b.max, b.minTime, b.maxTime, b.minChunk, b.maxChunk = e.b, e.b, e.time, e.time, c, c
		b.byBasis, b.byTime = [2]bool{true, true}, true
		return
	}
	for by := range e.b {
		b.byBasis[by] = b.byBasis[by] && b.max[by] <= e.b[by]
		b.min[by], b.max[by] = min(b.min[by], e.b[by]), max(b.max[by], e.b[by])
	}
	b.byTime = b.byTime && b.maxTime <= e.time
	b.minTime, b.maxTime = min(b.minTime, e.time), max(b.maxTime, e.time)
	b.minChunk, b.maxChunk = min(b.minChunk, c), max(b.maxChunk, c)
}

// mayHold says whether a version string with this hash can be in the block.
func (b *block) mayHold(name uint32) bool {
	return b.names[name>>6&7]&(1<<(name&63)) != 0 && b.names[name>>15&7]&(1<<(name>>9&63)) != 0
}

func (b *block) last() *entry { return &b.entries[len(b.entries)-1] }

// place is where an entry lies, or belongs.
type place struct{ block, at int }

// position returns where a seq is, or where it belongs.
func (it *Item) position(seq int64) (place, bool) {
	n := len(it.blocks)
	if n == 0 {
		return place{}, false
	}
	i := n - 1
	if last := it.blocks[i]; last.entries[0].seq > seq {
		i = sort.Search(n, func(i int) bool { return it.blocks[i].last().seq >= seq })
	}
	es := it.blocks[i].entries
	if last := es[len(es)-1].seq; last < seq {
		return place{i, len(es)}, false
	}
	at := sort.Search(len(es), func(j int) bool { return es[j].seq >= seq })
	return place{i, at}, es[at].seq == seq
}

// find returns the entry of a seq, nil if there is none.
func (it *Item) find(seq int64) *entry {
	if it.Len() == 0 {
		return nil
	}
	p, found := it.position(seq)
	if !found {
		return nil
	}
	return &it.blocks[p.block].entries[p.at]
}

// with returns the item with an entry put at its place: inserted, or instead of the one there.
func (it *Item) with(p place, e entry, replace bool) *Item {
	next := *it
	if !replace {
		next.count++
	}
	if len(it.blocks) == 0 {
		next.blocks = []*block{newBlock([]entry{e})}
		next.summarise()
		return &next
	}
	old := it.blocks[p.block]
	appended := !replace && p.block == len(it.blocks)-1 && p.at == len(old.entries)
	if appended && p.at == blockSize {
		next.blocks = append(append(make([]*block, 0, len(it.blocks)+1), it.blocks...), newBlock([]entry{e}))
		next.extend(old)
		return &next
	}
	next.blocks = append(make([]*block, 0, len(it.blocks)+1), it.blocks...)
	if appended {
		b := *old
		b.entries = append(append(make([]entry, 0, p.at+1), old.entries...), e)
		b.note(p.at)
		next.blocks[p.block] = &b
		next.byTime = next.byTime && old.maxTime <= e.time
		for by := range e.b {
			next.byBasis[by] = next.byBasis[by] && old.max[by] <= e.b[by]
		}
		return &next
	}
	entries := make([]entry, 0, len(old.entries)+1)
	entries = append(append(entries, old.entries[:p.at]...), e)
	if replace {
		p.at++
	}
	entries = append(entries, old.entries[p.at:]...)
	if len(entries) <= blockSize {
		next.blocks[p.block] = newBlock(entries)
	} else {
		half := len(entries) / 2
		next.blocks = append(next.blocks, nil)
		copy(next.blocks[p.block+2:], next.blocks[p.block+1:])
		next.blocks[p.block], next.blocks[p.block+1] = newBlock(entries[:half:half]), newBlock(entries[half:])
	}
	next.summarise()
	return &next
}

// extend takes the last block into the item's summary, after the one before it.
func (it *Item) extend(before *block) {
	b := it.blocks[len(it.blocks)-1]
	it.byTime = it.byTime && b.byTime && before.maxTime <= b.minTime
	for by := range b.byBasis {
		it.byBasis[by] = it.byBasis[by] && b.byBasis[by] && before.max[by] <= b.min[by]
	}
}

// summarise computes the item's summary from those of its blocks.
func (it *Item) summarise() {
	it.byBasis, it.byTime = [2]bool{true, true}, true
	for i, b := range it.blocks {
		before := b
		if i > 0 {
			before = it.blocks[i-1]
			it.byTime = it.byTime && before.maxTime <= b.minTime
		}
		it.byTime = it.byTime && b.byTime
		for by := range b.byBasis {
			it.byBasis[by] = it.byBasis[by] && b.byBasis[by] && (i == 0 || before.max[by] <= b.min[by])
		}
	}
}

// available adds an availability. It says nothing new if as late a seq was served as early.
func (it *Item) available(a Availability, limit int) (*Item, ItemChange) {
	if t, ok := it.ServedFrom(a.Seq); ok && t <= a.Time || it.head.HasCut && a.Seq <= it.head.Cut {
		return it, ItemChange{}
	}
	if limit <= 0 {
		limit = DefaultVersionsLimit
	}
	next := *it
	n := len(it.stairs)
	if n > 0 {
		last := it.stairs[n-1]
		if top := last[len(last)-1]; top.Seq < a.Seq && top.Time < a.Time {
			next.stairs = trim(climb(it.stairs, []Availability{a}), 2*limit)
			return &next, ItemChange{Any: true, New: true, From: a.Time, Head: true}
		}
	}
	var all []Availability
	put := false
	for _, s := range it.stairs {
		for _, x := range s {
			if x.Seq > a.Seq && !put {
				all, put = append(all, a), true
			}
			if x.Seq > a.Seq || x.Time < a.Time {
				all = append(all, x)
			}
		}
	}
	if !put {
		all = append(all, a)
	}
	next.stairs = trim(climb(nil, all), 2*limit)
	return &next, ItemChange{Any: true, New: true, From: a.Time, Head: true}
}

// trim leaves the lowest stairs out beyond a limit. It is twice that of the versions: versions come with an availability of their own, and
// what lies below the last version that was left out goes with it.
func trim(stairs []stair, limit int) []stair {
	n := 0
	for _, s := range stairs {
		n += len(s)
	}
	for n > limit {
		over := min(n-limit, len(stairs[0]))
		if stairs[0] = stairs[0][over:]; len(stairs[0]) == 0 {
			stairs = stairs[1:]
		}
		n -= over
	}
	return stairs
}

// descend leaves out the stairs up to a seq.
func descend(stairs []stair, through int64) []stair {
	for len(stairs) > 0 {
		s := stairs[0]
		if s[len(s)-1].Seq > through {
			rest := sort.Search(len(s), func(i int) bool { return s[i].Seq > through })
			return append([]stair{s[rest:]}, stairs[1:]...)
		}
		stairs = stairs[1:]
	}
	return nil
}

// climb returns the stairs with more on top, sharing what is full.
func climb(stairs []stair, more []Availability) []stair {
	out := append(make([]stair, 0, len(stairs)+1+len(more)/blockSize), stairs...)
	for _, a := range more {
		if n := len(out); n == 0 || len(out[n-1]) == blockSize {
			out = append(out, stair{a})
		} else {
			out[n-1] = append(out[n-1][:len(out[n-1]):len(out[n-1])], a)
		}
	}
	return out
}

// ServedFrom returns since when a seq, or a later one, has been served.
func (it *Item) ServedFrom(seq int64) (event.Time, bool) {
	a, ok := it.Served(seq)
	return a.Time, ok
}

// Served returns what says since when a seq, or a later one, has been served.
func (it *Item) Served(seq int64) (Availability, bool) {
	i := sort.Search(len(it.stairs), func(i int) bool { s := it.stairs[i]; return s[len(s)-1].Seq >= seq })
	if i == len(it.stairs) {
		return Availability{}, false
	}
	s := it.stairs[i]
	j := sort.Search(len(s), func(j int) bool { return s[j].Seq >= seq })
	return s[j], true
}
