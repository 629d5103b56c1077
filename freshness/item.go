package freshness

import (
	"sort"
	"strings"

	"github.com/freshet-io/freshet/event"
)

const (
	// DefaultHistory is how many versions a use looks back where the contract says nothing.
	DefaultHistory = 1024
	// DefaultVersionsLimit is how many versions of an item are kept where the contract says nothing.
	DefaultVersionsLimit = 16384
	// ChunkSize is how many versions, in order of arrival, share a chunk.
	ChunkSize = 16
	// losersLimit is how many losers of conflicts an item remembers, by their times.
	losersLimit = 1024
)

// Item is what is known of one context item. It is an immutable value: Apply and the other updates return a new one that shares what
// has not changed, so that readers on other goroutines keep what they hold.
type Item struct {
	kind, key string
	blocks    []*block // by seq; none is empty
	count     int
	head      ItemHead
	stairs    []stair // when a seq or a later one became available: both seq and time grow
	byBasis   [2]bool // b does not fall as seq grows
	byTime    bool    // event times do not fall as seq grows
}

// ItemHead is what is known of an item beside its versions. What its slices hold is read-only.
type ItemHead struct {
	Life      event.Time // greatest min(through, time) of its own heartbeats, valid if HasLife
	HasLife   bool
	Available []Availability // sorted by seq; times grow too
	Losers    []Loser        // sorted by time
	Next      uint32         // arrival number of the next version
	Cut       int64          // the greatest seq that versions_limit has left out, valid if HasCut
	CutTime   event.Time     // the latest event time of those
	HasCut    bool
}

// Availability says that from Time on Seq, or a later version, was being served.
type Availability struct {
	Seq  int64
	Time event.Time
	At   Position // of the record that said so first; without a topic: a row of before has not kept it
}

// Loser is an update that lost its seq to another one. Its time is a sign of life all the same.
type Loser struct {
	Time  event.Time
	Seq   int64
	Ident uint64 // hash of its source, id and data
}

// ItemChange says what an event did to an item.
type ItemChange struct {
	Any      bool       // the item is another one: what follows may be needed
	New      bool       // the event was not known before
	Conflict bool       // another update with the same seq is known
	From     event.Time // uses with t ≥ From may have changed; uses before it only if they are unsettled about the item

	Head      bool     // Head differs by more than its Next
	Chunk     uint32   // the chunk that has changed, valid if HasChunk
	HasChunk  bool     //
	Emptied   []uint32 // chunks of which versions_limit has left nothing
	Purged    bool     // versions_limit has left versions out
	PurgedSeq int64    // uses of versions up to this seq may have changed, whatever their time
}

// beginning is before every instant an event can carry.
const beginning = event.Time(-1 << 62)

// forever is after every instant an event can carry.
const forever = event.Time(1 << 62)

// NewItem returns an item of which nothing is known.
func NewItem(kind, key string) *Item {
	return &Item{kind: kind, key: key, byBasis: [2]bool{true, true}, byTime: true}
}

// Kind returns the item's kind.
func (it *Item) Kind() string { return it.kind }

// Key returns the item's key.
func (it *Item) Key() string { return it.key }

// Len returns how many versions are known.
func (it *Item) Len() int {
	if it == nil {
		return 0
	}
	return it.count
}

// Apply returns the item with a source event added, and what that has changed. The event must be of this item; of other types and of a
// heartbeat for the whole kind nothing comes. Of versions the limit's greatest seqs are kept.
func (it *Item) Apply(e *event.Event, at Position, limit int) (*Item, ItemChange) {
	switch e.Type {
	case event.SourceUpdated:
		return it.update(e, at, limit)
	case event.SourceHeartbeat:
		if e.WholeKind {
			return it, ItemChange{}
		}
		return it.beat(Life(e))
	case event.SourceAvailable:
		return it.available(Availability{e.Seq, e.Time, at}, limit)
	default:
		return it, ItemChange{}
	}
}

// Life is the sign of life a heartbeat gives: what is said to be published, but no later than it was said.
func Life(e *event.Event) event.Time { return min(e.Through, e.Time) }

func (it *Item) beat(life event.Time) (*Item, ItemChange) {
	if it.head.HasLife && life <= it.head.Life {
		return it, ItemChange{}
	}
	from := beginning
	if it.head.HasLife {
		from = it.head.Life
	}
	next := *it
	next.head.Life, next.head.HasLife = life, true
	return &next, ItemChange{Any: true, New: true, From: from, Head: true}
}

// published is p of an update: when it was recorded, else when Kafka appended it.
func published(e *event.Event) event.Time {
	if e.HasRecorded {
		return e.Recorded
	}
	return e.Appended
}

func (it *Item) update(e *event.Event, at Position, limit int) (*Item, ItemChange) {
	p := published(e)
	i, found := it.position(e.Seq)
	if !found {
		if it.head.HasCut && e.Seq <= it.head.Cut {
			return it.below(e.Time)
		}
		v := versionOf(e, at)
		v.Chunk = it.head.Next / ChunkSize
		next := it.with(i, entryOf(v), false)
		next.head.Next++
		return next.limited(limit, ItemChange{Any: true, New: true, From: reach(v), Chunk: v.Chunk, HasChunk: true})
	}
	old := it.blocks[i.block].entries[i.at].v
	switch order := compareUpdate(e, old); {
	case order > 0:
		return it.lost(loserOf(e), ItemChange{From: e.Time}, true)
	case order == 0:
		if p >= old.Published {
			return it, ItemChange{}
		}
		v := *old
		v.Published, v.At = p, at
		return it.with(i, entryOf(&v), true), ItemChange{Any: true, From: min(reach(&v), reach(old)), Chunk: v.Chunk, HasChunk: true}
	}
	v := versionOf(e, at)
	v.Chunk = old.Chunk
	next := it.with(i, entryOf(v), true)
	return next.lost(Loser{Time: old.Time, Seq: old.Seq, Ident: loserIdent(old.Source, old.ID, old.Data)},
		ItemChange{Any: true, New: true, Conflict: true, From: min(reach(v), reach(old)), Chunk: v.Chunk, HasChunk: true}, true)
}

// below notes an update that versions_limit has left out already: only its sign of life counts.
func (it *Item) below(t event.Time) (*Item, ItemChange) {
	if t <= it.head.CutTime {
		return it, ItemChange{}
	}
	next := *it
	next.head.CutTime = t
	return &next, ItemChange{Any: true, New: true, From: t, Head: true}
}

// reach is the first instant from which a version can change the judgement of a use: it counts once b < t, its update is a sign of life
// from its event time on.
func reach(v *Version) event.Time { return min(v.Effective, v.Published, v.Time) }

// compareUpdate orders an update and a version with the same seq: the smaller one holds.
func compareUpdate(e *event.Event, v *Version) int {
	if e.Time != v.Time {
		if e.Time < v.Time {
			return -1
		}
		return 1
	}
	if c := strings.Compare(e.ID, v.ID); c != 0 {
		return c
	}
	if c := strings.Compare(e.Source, v.Source); c != 0 {
		return c
	}
	return strings.Compare(tieBreak(e.Data), v.Data)
}

func compareVersions(a, b *Version) int {
	return compareUpdate(&event.Event{Time: a.Time, ID: a.ID, Source: a.Source, Data: a.Data}, b)
}

func versionOf(e *event.Event, at Position) *Version {
	data := tieBreak(e.Data)
	k := keep(len(e.Version) + len(e.ID) + len(e.Source) + len(data) + len(e.Owner) + len(e.Digest))
	v := &Version{
		Seq: e.Seq, Name: k.add(e.Version), Effective: e.EffectiveAt, Published: published(e), Time: e.Time,
		ID: k.add(e.ID), Source: k.add(e.Source), Data: k.add(data), Owner: k.add(e.Owner), Digest: k.add(e.Digest),
		Change: e.Change, At: at,
	}
	return v
}

func loserOf(e *event.Event) Loser {
	return Loser{Time: e.Time, Seq: e.Seq, Ident: loserIdent(e.Source, e.ID, tieBreak(e.Data))}
}

func loserIdent(source, id, data string) uint64 {
	return uint64(hashStart.text(source).text(id).text(data))
}

func (l Loser) before(m Loser) bool {
	if l.Time != m.Time {
		return l.Time < m.Time
	}
	if l.Seq != m.Seq {
		return l.Seq < m.Seq
	}
	return l.Ident < m.Ident
}

// lost remembers an update that does not hold for its seq. A repetition of one is no conflict again.
func (it *Item) lost(l Loser, ch ItemChange, conflict bool) (*Item, ItemChange) {
	losers := it.head.Losers
	at := sort.Search(len(losers), func(i int) bool { return !losers[i].before(l) })
	if at < len(losers) && losers[at] == l || at == 0 && len(losers) >= losersLimit {
		return it, ch
	}
	next := *it
	grown := make([]Loser, 0, len(losers)+1)
	grown = append(append(append(grown, losers[:at]...), l), losers[at:]...)
	if len(grown) > losersLimit {
		grown = grown[1:]
	}
	next.head.Losers = grown
	ch.Any, ch.New, ch.Head, ch.Conflict = true, true, true, conflict
	return &next, ch
}

// Put returns the item with a version as it was stored, inserted or in the place of the one with its seq.
func (it *Item) Put(v *Version) *Item {
	if it.head.HasCut && v.Seq <= it.head.Cut {
		return it
	}
	i, found := it.position(v.Seq)
	next := it.with(i, entryOf(v), found)
	next.head.Next = max(next.head.Next, v.Chunk*ChunkSize+uint32(len(next.ChunkVersions(v.Chunk))))
	return next
}

// Merge returns the union of two items' facts. Arrival numbers are the receiver's; versions it did not have come after its own.
func (it *Item) Merge(o *Item, limit int) *Item {
	if o == nil {
		return it
	}
	next := it
	if o.head.HasLife {
		next, _ = next.beat(o.head.Life)
	}
	for _, a := range o.Head().Available {
		next, _ = next.available(a, limit)
	}
	for _, l := range o.head.Losers {
		next, _ = next.lost(l, ItemChange{}, false)
	}
	o.each(func(v *Version) { next = next.mergeVersion(v) })
	if o.head.HasCut {
		next = next.purge(o.head.Cut, o.head.CutTime)
	}
	next, _ = next.limited(limit, ItemChange{})
	return next
}

func (it *Item) mergeVersion(v *Version) *Item {
	if it.head.HasCut && v.Seq <= it.head.Cut {
		it, _ = it.below(v.Time)
		return it
	}
	i, found := it.position(v.Seq)
	mine := *v
	if !found {
		mine.Chunk = it.head.Next / ChunkSize
		next := it.with(i, entryOf(&mine), false)
		next.head.Next++
		return next
	}
	old := it.blocks[i.block].entries[i.at].v
	mine.Chunk = old.Chunk
	loser := old
	switch order := compareVersions(v, old); {
	case order == 0 && v.Published < old.Published:
		return it.with(i, entryOf(&mine), true)
	case order == 0:
		return it
	case order > 0:
		loser = v
	default:
		it = it.with(i, entryOf(&mine), true)
	}
	it, _ = it.lost(Loser{Time: loser.Time, Seq: loser.Seq, Ident: loserIdent(loser.Source, loser.ID, loser.Data)}, ItemChange{}, true)
	return it
}

// limited drops the smallest seqs beyond the limit.
func (it *Item) limited(limit int, ch ItemChange) (*Item, ItemChange) {
	if limit <= 0 {
		limit = DefaultVersionsLimit
	}
	over := it.count - limit
	if over <= 0 {
		return it, ch
	}
	var through int64
	var latest event.Time = beginning
	var chunks []uint32
	for _, b := range it.blocks {
		for i := range b.entries {
			if over == 0 {
				break
			}
			e := &b.entries[i]
			through, latest, over = e.seq, max(latest, e.time), over-1
			if n := len(chunks); n == 0 || chunks[n-1] != e.v.Chunk {
				chunks = append(chunks, e.v.Chunk)
			}
		}
	}
	next := it.purge(through, latest)
	ch.Purged, ch.PurgedSeq, ch.Head = true, through, true
	for _, c := range chunks {
		if len(next.ChunkVersions(c)) == 0 {
			ch.Emptied = append(ch.Emptied, c)
		}
	}
	return next, ch
}

// purge leaves out all versions up to a seq, and the availability that only they could need.
func (it *Item) purge(through int64, latest event.Time) *Item {
	next := *it
	next.blocks, next.count = nil, 0
	for _, b := range it.blocks {
		if b.entries[0].seq > through {
			next.blocks = append(next.blocks, b)
			next.count += len(b.entries)
			continue
		}
		for _, e := range b.entries {
			if e.seq <= through {
				latest = max(latest, e.time)
			}
		}
		if rest := sort.Search(len(b.entries), func(i int) bool { return b.entries[i].seq > through }); rest < len(b.entries) {
			next.blocks = append(next.blocks, newBlock(b.entries[rest:]))
			next.count += len(b.entries) - rest
		}
	}
	h := &next.head
	if h.HasCut {
		through, latest = max(through, h.Cut), max(latest, h.CutTime)
	}
	var losers []Loser
	for _, l := range h.Losers {
		if l.Seq <= through {
			latest = max(latest, l.Time)
		} else {
			losers = append(losers, l)
		}
	}
	h.Losers, h.Cut, h.CutTime, h.HasCut = losers, through, latest, true
	next.stairs = descend(it.stairs, through)
	next.summarise()
	return &next
}

// Head returns what is known of the item beside its versions.
func (it *Item) Head() ItemHead {
	h := it.head
	h.Available = nil
	for _, s := range it.stairs {
		h.Available = append(h.Available, s...)
	}
	return h
}

// WithHead returns the item with another head, as it was stored. Its slices are kept: they must not be written to again.
func (it *Item) WithHead(h ItemHead) *Item {
	next := *it
	next.head = h
	next.head.Next = max(h.Next, it.head.Next)
	next.head.Available = nil
	next.stairs = climb(nil, h.Available)
	if h.HasCut && next.count > 0 && next.blocks[0].entries[0].seq <= h.Cut {
		return next.purge(h.Cut, h.CutTime)
	}
	return &next
}

// Chunks returns how many chunks of versions there may be: every version's Chunk is smaller.
func (it *Item) Chunks() uint32 { return (it.head.Next + ChunkSize - 1) / ChunkSize }

// ChunkVersions returns the versions of one chunk, by seq.
func (it *Item) ChunkVersions(c uint32) []*Version {
	var vs []*Version
	for _, b := range it.blocks {
		if c < b.minChunk || c > b.maxChunk {
			continue
		}
		for i := range b.entries {
			if b.entries[i].v.Chunk == c {
				vs = append(vs, b.entries[i].v)
			}
		}
	}
	return vs
}

// Versions returns all versions that are known, by seq.
func (it *Item) Versions() []*Version {
	vs := make([]*Version, 0, it.Len())
	it.each(func(v *Version) { vs = append(vs, v) })
	return vs
}

// VersionsThrough returns the versions up to a seq, by seq.
func (it *Item) VersionsThrough(seq int64) []*Version {
	var vs []*Version
	for _, b := range it.blocks {
		for i := range b.entries {
			if b.entries[i].seq > seq {
				return vs
			}
			vs = append(vs, b.entries[i].v)
		}
	}
	return vs
}

// Version returns the version with a seq, nil if it is not known.
func (it *Item) Version(seq int64) *Version {
	if e := it.find(seq); e != nil {
		return e.v
	}
	return nil
}

// Latest returns the version with the greatest seq, nil if none is known.
func (it *Item) Latest() *Version {
	if it.Len() == 0 {
		return nil
	}
	return it.blocks[len(it.blocks)-1].last().v
}

func (it *Item) each(f func(*Version)) {
	if it == nil {
		return
	}
	for _, b := range it.blocks {
		for i := range b.entries {
			f(b.entries[i].v)
		}
	}
}
