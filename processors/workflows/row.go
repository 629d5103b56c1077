package workflows

import (
	"cmp"
	"encoding/binary"
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
	from    event.Time // before this instant its detections are right
	fresh   bool       // it has events that its detections have not been looked at with
	gone    bool       // it has been let go of

	indexed indexEntry // what the index says of the row, once what is staged is committed
}

// indexEntry is what the derived entries of a row are made of.
type indexEntry struct {
	items    []uint64   // hashes of the items it holds or used, sorted
	at       event.Time // of its latest use, or its end, or always for one that any change may touch
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
	r := &row{w: w, due: never, blocked: never, from: oldest, indexed: indexEntry{at: oldest, deadline: never}}
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
	r.gone, r.pending, r.due, r.blocked, r.from = false, 0, never, never, oldest
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

// entry computes what the index has to say of a row now.
func (r *row) entry() indexEntry {
	if r.gone {
		return indexEntry{at: oldest, deadline: never}
	}
	e := indexEntry{at: oldest, deadline: never}
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
		e.at = max(e.at, u.Time)
		unsettled = unsettled || u.Said.Unsettled
		for j := range u.BasedOn {
			e.items = append(e.items, itemHash(u.BasedOn[j].Kind, u.BasedOn[j].Key))
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
		e.items = append(e.items, itemHash(r.w.Items[i].Kind, r.w.Items[i].Key))
	}
	slices.Sort(e.items)
	e.items = slices.Compact(e.items)
	return e
}

// held returns the versions of its items that an open workflow holds: those of each item's last loads, for the latest may not be in use yet.
func (r *row) held() []held {
	list := make([]held, 0, len(r.w.Items))
	for i := range r.w.Items {
		loads := r.w.Items[i].Loads
		hash := itemHash(r.w.Items[i].Kind, r.w.Items[i].Key)
		for n := len(loads) - 1; n >= 0 && n >= len(loads)-heldLoads; n-- {
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

// heldLoads is how many of an item's loads are looked at.
const heldLoads = 3

// appendKinds appends the hashes of whole kinds: a heartbeat of one may change what is said of an item that no source has ever named.
func (r *row) appendKinds(items []uint64) []uint64 {
	for i := range r.w.Items {
		items = append(items, itemHash(r.w.Items[i].Kind, ""))
	}
	for i := range r.w.Uses {
		for j := range r.w.Uses[i].BasedOn {
			items = append(items, itemHash(r.w.Uses[i].BasedOn[j].Kind, ""))
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
	if was.at == is.at && slices.Equal(was.items, is.items) {
		return
	}
	for _, h := range was.items {
		if was.at != is.at || !contains(is.items, h) {
			key = appendItem(key[:0], h, was.at, r.w.ID)
			w.Delete(key)
		}
	}
	for _, h := range is.items {
		if was.at != is.at || !contains(was.items, h) {
			key = appendItem(key[:0], h, is.at, r.w.ID)
			w.Set(key, nil)
		}
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

func contains(sorted []uint64, h uint64) bool {
	_, ok := slices.BinarySearch(sorted, h)
	return ok
}

// ---- keys of the derived entries. Items are named by a hash: a collision judges a workflow once more, for nothing.

const (
	itemEntry     = 'i' // hash of the item, latest use first, workflow
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
	r := &row{w: &freshness.Workflow{ID: key}, gone: true, indexed: indexEntry{at: oldest, deadline: never}}
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
