package workflows

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
)

// row is a workflow with what its partition keeps beside it.
type row struct {
	w       *freshness.Workflow
	pending int        // uses that are not final yet
	due     event.Time // earliest instant that the partition's clock is waited for with; never: none
	blocked event.Time // earliest instant that a source's clock is waited for with; never: none
	hushed  event.Time // earliest life of a kind that is waited for; never: none
	from    event.Time // before this instant its detections are right
	fresh   bool       // it has events that its detections have not been looked at with
	gone    bool       // it has been let go of

	indexed indexEntry // what the index says of the row, once what is staged is committed
}

// indexEntry is what the derived entries of a row are made of.
type indexEntry struct {
	items    []itemUse  // the items it holds or used, sorted by hash
	at       event.Time // of its latest use, or its end, or always for one that any change may touch
	first    event.Time // of its earliest use, never if there is none
	deadline event.Time // earliest instant at which it has something to do, never if there is none
	held     []held     // what it holds while it is open, sorted
	stale    []stale    // its open detections, by group, sorted
}

// stale is an open detection as its group knows it.
type stale struct {
	group uint64
	since event.Time
	bound freshness.Reason
}

// itemUse is which versions of an item a workflow has loaded or used: all of them where it goes by a version's name.
type itemUse struct {
	hash        uint64
	least, most int64
}

// allOf is an item of which any version may be in use.
func allOf(hash uint64) itemUse { return itemUse{hash, math.MinInt64, math.MaxInt64} }

// used returns the use of an item by one REF.
func used(kind, key string, seq int64, hasSeq bool) itemUse {
	hash := itemHash(kind, key)
	if !hasSeq {
		return allOf(hash)
	}
	return itemUse{hash, seq, seq}
}

// usedOf returns what may be used of an item that was loaded.
func usedOf(it *freshness.Holding) itemUse {
	u := itemUse{itemHash(it.Kind, it.Key), math.MaxInt64, math.MinInt64}
	for i := range it.Loads {
		ref := &it.Loads[i].Ref
		if !ref.HasSeq {
			return allOf(u.hash)
		}
		u.least, u.most = min(u.least, ref.Seq), max(u.most, ref.Seq)
	}
	if it.Cut || u.least > u.most { // loads have been let go of
		return allOf(u.hash)
	}
	return u
}

// joinUses sorts uses by item and joins those of the same one.
func joinUses(uses []itemUse) []itemUse {
	slices.SortFunc(uses, func(a, b itemUse) int { return cmp.Compare(a.hash, b.hash) })
	n := 0
	for _, u := range uses {
		if n > 0 && uses[n-1].hash == u.hash {
			uses[n-1].least, uses[n-1].most = min(uses[n-1].least, u.least), max(uses[n-1].most, u.most)
			continue
		}
		uses[n] = u
		n++
	}
	return uses[:n]
}

// held is a version of an item that an open workflow holds.
type held struct {
	hash  uint64
	named bool // its REF has no seq
	seq   int64
	item  int // in the workflow's Items
}

func compareHeld(a, b held) int {
	named := func(h held) int {
		if h.named {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(named(a), named(b)), cmp.Compare(a.seq, b.seq))
}

const (
	always = event.Time(1<<63 - 1)
	never  = event.Time(1<<63 - 1)
	oldest = event.Time(-1 << 63)
)

func newRow(w *freshness.Workflow) *row {
	r := &row{w: w, due: never, blocked: never, hushed: never, from: oldest, indexed: indexEntry{at: oldest, first: never, deadline: never}}
	for i := range w.Uses {
		if w.Uses[i].Said.Revision == 0 {
			r.pending++
		}
	}
	return r
}

// revive makes a row that has been let go of one of a workflow of which nothing is known.
func (r *row) revive() {
	r.w = freshness.NewWorkflow(r.w.ID)
	r.gone, r.pending, r.due, r.blocked, r.hushed, r.from = false, 0, never, never, never, oldest
}

// renewed takes note of an event: what is said of the workflow's detections from its time on may be another, or all of it.
func (r *row) renewed(t event.Time, all bool) {
	if r.fresh = true; all {
		r.from = oldest
	}
	r.from = min(r.from, t)
}

// Records puts the workflow's one changelog record.
func (r *row) Records(put func(string, func([]byte) []byte)) {
	if r.gone {
		put(r.w.ID, nil)
		return
	}
	put(r.w.ID, func(b []byte) []byte { return state.AppendWorkflow(b, r.w) })
}

// Pinned rows wait for a clock.
func (r *row) Pinned() bool { return r.pending > 0 }

// Done rows are over, and all that was to be said of them is said.
func (r *row) Done() bool { return r.pending == 0 && (r.gone || r.w.Over.Set || r.w.Abandoned) }

// entry computes what the index has to say of a row now.
func (r *row) entry() indexEntry {
	if r.gone {
		return indexEntry{at: oldest, first: never, deadline: never}
	}
	e := indexEntry{at: oldest, first: never, deadline: never}
	for _, at := range []event.Time{r.w.Look, r.w.Life} {
		if at != 0 {
			e.deadline = min(e.deadline, at)
		}
	}
	if r.w.Over.Set {
		e.at = r.w.Over.Time
	}
	if r.w.Open() {
		e.held = r.held()
	}
	for i := range r.w.Detections {
		if d := &r.w.Detections[i]; d.Open() {
			v := versionOf(r.w, d)
			e.stale = append(e.stale, stale{v.hash(), d.Since, d.Bound})
		}
	}
	slices.SortFunc(e.stale, func(a, b stale) int { return cmp.Compare(a.group, b.group) })
	unsettled := r.w.Unsettled
	for i := range r.w.Uses {
		u := &r.w.Uses[i]
		if u.Said.Revision == 0 {
			e.deadline = min(e.deadline, u.Time)
		}
		e.at, e.first = max(e.at, u.Time), min(e.first, u.Time)
		unsettled = unsettled || u.Said.Unsettled
		for j := range u.BasedOn {
			ref := &u.BasedOn[j]
			e.items = append(e.items, used(ref.Kind, ref.Key, ref.Seq, ref.HasSeq))
		}
	}
	if unsettled {
		e.at = always
		e.items = r.appendKinds(e.items)
	}
	if e.at == oldest {
		return e // no change of an item can reach it
	}
	e.items = slices.Grow(e.items, len(r.w.Items))
	for i := range r.w.Items {
		it := &r.w.Items[i]
		e.items = append(e.items, usedOf(it))
	}
	if len(e.items) == 0 {
		e.items = append(e.items, allOf(itemHash("", ""))) // a contract may change what is said of a use without items
	}
	e.items = joinUses(e.items)
	return e
}

// held returns the versions of its items that an open workflow holds: those of each item's last loads, for the latest may not be in use yet.
func (r *row) held() []held {
	list := make([]held, 0, len(r.w.Items))
	for i := range r.w.Items {
		loads := r.w.Items[i].Loads
		hash := itemHash(r.w.Items[i].Kind, r.w.Items[i].Key)
		for n := len(loads) - 1; n >= 0 && (n >= len(loads)-heldLoads || loads[n].Time == loads[n+1].Time); n-- {
			ref := &loads[n].Ref
			h := held{hash: hash, named: !ref.HasSeq, seq: ref.Seq, item: i}
			if h.named {
				h.seq = 0
			}
			list = append(list, h)
		}
	}
	slices.SortFunc(list, compareHeld)
	return slices.CompactFunc(list, func(a, b held) bool { return compareHeld(a, b) == 0 })
}

// heldLoads is how many of an item's loads are looked at, with all of the same instant as the oldest of them: one event may name an item in many
// REFs, and which of them is in use may change.
const heldLoads = 3

// appendKinds appends the hashes of whole kinds: a heartbeat of one may change what is said of an item that no source has ever named.
func (r *row) appendKinds(items []itemUse) []itemUse {
	for i := range r.w.Items {
		items = append(items, allOf(itemHash(r.w.Items[i].Kind, "")))
	}
	for i := range r.w.Uses {
		for j := range r.w.Uses[i].BasedOn {
			items = append(items, allOf(itemHash(r.w.Uses[i].BasedOn[j].Kind, "")))
		}
	}
	return items
}

// Index stages the entries that have changed.
func (r *row) Index(w *state.IndexWriter) {
	was, is := r.indexed, r.entry()
	r.indexed = is
	var key []byte
	if was.deadline != is.deadline {
		if was.deadline != never {
			key = appendDeadline(key[:0], was.deadline, r.w.ID)
			w.Delete(key)
		}
		if is.deadline != never {
			key = appendDeadline(key[:0], is.deadline, r.w.ID)
			w.Set(key, nil)
		}
	}
	key = r.indexHeld(w, was.held, is.held, key)
	if !slices.Equal(was.stale, is.stale) {
		for _, s := range was.stale {
			w.Delete(appendGroup(nil, s.group, r.w.ID))
		}
		for _, s := range is.stale {
			w.Set(appendGroup(nil, s.group, r.w.ID), append(binary.BigEndian.AppendUint64(nil, sortable(s.since)), byte(s.bound)))
		}
	}
	r.indexItems(w, &was, &is, key)
}

// indexItems stages the entries of items that have changed.
func (r *row) indexItems(w *state.IndexWriter, was, is *indexEntry, key []byte) {
	same := was.at == is.at && was.first == is.first
	if same && slices.Equal(was.items, is.items) {
		return
	}
	for _, u := range was.items {
		if was.at != is.at || find(is.items, u.hash) == nil {
			key = appendItem(key[:0], u.hash, was.at, r.w.ID)
			w.Delete(key)
		}
	}
	var value [itemValueLen]byte
	for _, u := range is.items {
		if had := find(was.items, u.hash); same && had != nil && *had == u {
			continue
		}
		key = appendItem(key[:0], u.hash, is.at, r.w.ID)
		w.Set(key, u.append(value[:0], is.first))
	}
}

// indexHeld stages the entries of what is held that have changed.
func (r *row) indexHeld(w *state.IndexWriter, was, is []held, key []byte) []byte {
	for i, j := 0, 0; i < len(was) || j < len(is); {
		order := 0
		switch {
		case i == len(was):
			order = 1
		case j == len(is):
			order = -1
		default:
			order = compareHeld(was[i], is[j])
		}
		if order < 0 {
			key = appendHeld(key[:0], was[i], r.w.ID)
			w.Delete(key)
		}
		if order > 0 {
			key = appendHeld(key[:0], is[j], r.w.ID)
			it := &r.w.Items[is[j].item]
			w.Set(key, []byte(it.Kind+"/"+it.Key))
		}
		if order <= 0 {
			i++
		}
		if order >= 0 {
			j++
		}
	}
	return key
}

// find returns the use of an item among those sorted by item, nil if there is none.
func find(sorted []itemUse, hash uint64) *itemUse {
	i, ok := slices.BinarySearchFunc(sorted, hash, func(u itemUse, h uint64) int { return cmp.Compare(u.hash, h) })
	if !ok {
		return nil
	}
	return &sorted[i]
}

// ---- keys of the derived entries. Items are named by a hash: a collision judges a workflow once more, for nothing.

const (
	itemEntry     = 'i' // hash of the item, latest use first, workflow → least and greatest seq of it, earliest use
	deadlineEntry = 'd' // instant, workflow
	groupEntry    = 'g' // hash of type and stale version, workflow → since, bound: of open detections
	heldEntry     = 'h' // hash of the item, version, workflow → kind/key: of open workflows
)

func itemHash(kind, key string) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(kind)
	_, _ = d.WriteString("/")
	_, _ = d.WriteString(key)
	return d.Sum64()
}

// sortable returns t so that the order of its bytes is the order of time.
func sortable(t event.Time) uint64 { return uint64(t) ^ 1<<63 }

func appendItem(b []byte, hash uint64, at event.Time, workflow string) []byte {
	b = append(b, itemEntry)
	b = binary.BigEndian.AppendUint64(b, hash)
	b = binary.BigEndian.AppendUint64(b, ^sortable(at))
	return append(b, workflow...)
}

// entryTime reads the instant of the latest use from the key of an item's entry.
func entryTime(key []byte) event.Time {
	return event.Time(^binary.BigEndian.Uint64(key[itemKeyLen-8:]) ^ 1<<63)
}

const itemValueLen = 8 + 8 + 8

// append appends the value of the item's entry.
func (u itemUse) append(b []byte, first event.Time) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(u.least))
	b = binary.BigEndian.AppendUint64(b, uint64(u.most))
	return binary.BigEndian.AppendUint64(b, uint64(first))
}

// parseItem reads the value of an item's entry.
func parseItem(value []byte) (least, most int64, first event.Time) {
	if len(value) != itemValueLen {
		return math.MinInt64, math.MaxInt64, oldest
	}
	return int64(binary.BigEndian.Uint64(value)), int64(binary.BigEndian.Uint64(value[8:])), event.Time(binary.BigEndian.Uint64(value[16:]))
}

func appendDeadline(b []byte, t event.Time, workflow string) []byte {
	b = append(b, deadlineEntry)
	b = binary.BigEndian.AppendUint64(b, sortable(t))
	return append(b, workflow...)
}

// appendHeld appends the key of a held version; with an empty workflow it begins those of all its holders.
func appendHeld(b []byte, h held, workflow string) []byte {
	b = append(b, heldEntry)
	b = binary.BigEndian.AppendUint64(b, h.hash)
	if h.named {
		b = append(b, 0)
	} else {
		b = append(b, 1)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(h.seq)^1<<63)
	return append(b, workflow...)
}

func appendGroup(b []byte, group uint64, workflow string) []byte {
	return append(binary.BigEndian.AppendUint64(append(b, groupEntry), group), workflow...)
}

// parseHeld reads the key of a held version.
func parseHeld(key []byte) (h held, workflow []byte, ok bool) {
	if len(key) < heldKeyLen {
		return h, nil, false
	}
	h.hash, h.named = binary.BigEndian.Uint64(key[1:]), key[9] == 0
	h.seq = int64(binary.BigEndian.Uint64(key[10:]) ^ 1<<63)
	return h, key[heldKeyLen:], true
}

const (
	groupKeyLen    = 1 + 8
	heldKeyLen     = 1 + 8 + 1 + 8
	itemKeyLen     = 1 + 8 + 8 // before the workflow's id
	deadlineKeyLen = 1 + 8
)

// ---- the table's schema

// schema reads the rows of the workflows table.
type schema struct{ intern func(string) string }

// Load decodes a workflow's row.
func (s schema) Load(p *state.Partition, key string) (state.Row, error) {
	b, err := p.Read(key)
	if err != nil || b == nil {
		return nil, err
	}
	if name, _, control := topology.ControlPartition(key); control {
		if name == livesName {
			return decodeLives(key, b)
		}
		if isBucket(name) {
			return decodeBucket(key, b)
		}
		return decodeCursor(key, b)
	}
	w, err := state.DecodeWorkflow(key, b, s.intern)
	if err != nil {
		return nil, err
	}
	r := newRow(w)
	r.indexed = r.entry()
	return r, nil
}

// Recovered derives how the entries of a row change with a record that recovery has read.
func (s schema) Recovered(w *state.IndexWriter, key string, was, is []byte) error {
	if _, _, control := topology.ControlPartition(key); control {
		return nil
	}
	r := &row{w: &freshness.Workflow{ID: key}, gone: true, indexed: indexEntry{at: oldest, first: never, deadline: never}}
	if was != nil {
		old, err := state.DecodeWorkflow(key, was, s.intern)
		if err != nil {
			return err
		}
		r = newRow(old)
		r.indexed, r.gone = r.entry(), true
	}
	if is != nil {
		now, err := state.DecodeWorkflow(key, is, s.intern)
		if err != nil {
			return err
		}
		r.w, r.gone = now, false
	}
	r.Index(w)
	return nil
}
