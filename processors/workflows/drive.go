package workflows

import (
	"encoding/binary"
	"maps"
	"sync"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/processors/sources"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log/level"
)

// driver drives changes of sources through the workflows of one partition.
//
// A change goes through four stages. It comes in from the View. A marker unit takes what has come in: from here on every unit of the
// partition sees it. Once a transaction that was sealed behind the marker is committed, every row that was made before is in the index,
// and the index is searched. What is found is judged again in units. Then the cursor moves.
type driver struct {
	pt     *partition
	unhear func()

	mu       sync.Mutex
	stopped  bool
	incoming map[itemKey]change // item (key "": the kind) → what of it
	marked   bool               // a marker is on its way, or a search
	ripe     map[itemKey]change
	through  []int64               // offsets of the sources table that incoming reaches to
	barrier  uint64                // the marker's: what was before is committed with a later one
	waiting  bool                  // ripe waits for that
	young    map[string]struct{}   // workflows that have begun since, while it waits: all that is said of them has seen ripe
	reviving map[string]event.Time // lives of kinds that incoming had at the marker
	done     []int64               // offsets that have been driven
	revived  map[string]event.Time // lives that have been driven since they were last asked for
	moved    bool                  // done has moved since it was last asked for
}

type itemKey struct{ kind, key string }

// change says from when on uses, and what is held, may be other than they were.
type change struct {
	uses, held event.Time
	versions   bool         // held may be another one at all
	group      bool         // a group has begun or ceased to speak for what is held
	life       event.Time   // of a whole kind
	cut        *sources.Cut // what an item's limit has left out, nil: nothing
}

func (c change) and(o change) change {
	return change{uses: min(c.uses, o.uses), held: min(c.held, o.held), versions: c.versions || o.versions, group: c.group || o.group, life: max(c.life, o.life), cut: c.cut.Join(o.cut)}
}

// marker is the payload of a unit that separates what was before a change from what sees it.
type marker struct{}

// recheck is the payload of a unit that looks at workflows again: keys, and what of them may have changed.
type recheck struct {
	keys    []string
	changes []change
	last    bool   // the last of a search
	after   func() // runs when the unit has, if set
}

const recheckUnit = 256 // workflows judged again in one unit

// start hears of changes, and begins with those that the partition's last owner has not driven.
func (d *driver) start(pt *partition) {
	d.pt = pt
	d.incoming = map[itemKey]change{}
	d.done = pt.cursor.driven
	view := pt.g.View
	unhear, unhearContracts, unhearClocks := view.Listen(d.hear), pt.g.Contracts.Listen(d.hearContract), view.ListenClocks(pt.hearClock)
	d.unhear = func() {
		unhear()
		unhearContracts()
		unhearClocks()
	}
	place := func(kind, key string) int32 {
		return pt.g.Partitioner.PartitionString(kind+"/"+key, view.Partitions())
	}
	for _, c := range pt.lives.behind(view.KindLives()) {
		d.hear(c)
	}
	view.ChangedSince(pt.cursor.driven, place, func(kind, key string) {
		d.hear(sources.Change{Kind: kind, Key: key, From: oldest, Versions: true})
	})
}

func (d *driver) stop() {
	d.unhear()
	d.pt.pace.stop()
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	d.pt.pace.join()
}

// hear takes a change. It runs on the goroutine that read it, after the View has it.
func (d *driver) hear(c sources.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := itemKey{c.Kind, c.Key}
	n := change{uses: c.From, held: never, cut: c.Cut, life: c.Life}
	if c.Versions {
		n.held, n.versions = c.From, true
	}
	if before, known := d.incoming[k]; known {
		n = n.and(before)
	}
	d.incoming[k] = n
	d.mark()
}

// contract is the key of a change that reaches every use from an instant on.
var contract = itemKey{}

// hearContract hears of a contract that is in force from an instant on. Its record's instant lies before it could be read: uses after it
// may have been judged by the one before.
func (d *driver) hearContract(since event.Time) {
	d.hear(sources.Change{From: since})
}

func (d *driver) mark() {
	if d.marked || d.stopped || len(d.incoming) == 0 {
		return
	}
	d.marked = true
	d.pt.p.Send(topology.SourceInput, marker{}, false)
}

// unit runs a marker or judges workflows again.
func (d *driver) unit(payload any) error {
	switch m := payload.(type) {
	case marker:
		d.mu.Lock()
		defer d.mu.Unlock()
		d.ripe, d.reviving = map[itemKey]change{}, map[string]event.Time{}
		d.barrier, d.waiting = d.pt.p.Barriers(), true
		d.ripen()
	case groupFound:
		d.pt.groups.say(m)
	case recheck:
		defer d.pt.pace.ran()
		for i, key := range m.keys {
			r, err := d.pt.row(key)
			if err != nil {
				return err
			}
			if r == nil {
				continue
			}
			if err := d.pt.again(r, m.changes[i]); err != nil {
				return err
			}
		}
		if m.last {
			d.finish()
		}
		if m.after != nil {
			m.after()
		}
	}
	return nil
}

// ripen takes what has come in. Whatever the partition does from here on sees it.
func (d *driver) ripen() {
	for k, c := range d.incoming {
		if before, known := d.ripe[k]; known {
			c = c.and(before)
		}
		d.ripe[k] = c
		if k.key == "" && k.kind != "" {
			d.reviving[k.kind] = c.life
		}
	}
	clear(d.incoming)
	d.through = d.pt.g.View.Offsets()
	d.young = map[string]struct{}{}
}

// tick takes what has come in behind a marker, as long as the same transaction makes searchable what was before: in a backlog that takes seconds, and
// another marker behind it would find all that has begun meanwhile.
func (d *driver) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting && len(d.incoming) > 0 && d.pt.p.Barriers() == d.barrier {
		d.ripen()
	}
}

func (d *driver) finish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done, d.moved = d.through, true
	if d.revived == nil {
		d.revived = map[string]event.Time{}
	}
	maps.Copy(d.revived, d.reviving)
	d.reviving = nil
	d.marked = false
	d.mark()
}

// committed starts the search once what was before the marker is in the index.
func (d *driver) committed(barrier uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.waiting || barrier <= d.barrier || d.stopped {
		return
	}
	d.waiting = false
	ripe, young := d.ripe, d.young
	d.ripe, d.young = nil, nil
	d.pt.pace.searches.Go(func() { d.search(ripe, young) })
}

// begun hears of a workflow of which nothing has been said before. In a backlog most of those that a search finds have begun behind its marker.
func (d *driver) begun(workflow string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting {
		d.young[workflow] = struct{}{}
	}
}

// search finds the workflows that changes may touch and hands them to units.
func (d *driver) search(changes map[itemKey]change, young map[string]struct{}) {
	found, err := d.touched(changes, young)
	if err != nil {
		_ = level.Error(d.pt.g.Logger).Log("msg", "index of workflows cannot be searched", "partition", d.pt.p.ID, "err", err)
		return // nothing is driven, and the cursor does not move: the next owner does it again
	}
	m := recheck{}
	for key, c := range found {
		m.keys, m.changes = append(m.keys, key), append(m.changes, c)
		if len(m.keys) == recheckUnit {
			if !d.pt.pace.send(m) {
				return
			}
			m = recheck{}
		}
	}
	m.last = true
	d.pt.pace.send(m)
}

// touched finds the workflows whose uses or detections changes may touch, without the young ones, which have seen the changes.
func (d *driver) touched(changes map[itemKey]change, young map[string]struct{}) (map[string]change, error) {
	found := map[string]change{}
	for k, c := range changes {
		err := d.find(k, c.uses, c, found)
		if err == nil && c.versions {
			err = d.pt.crossings.changed(k, c.held, found)
		}
		if err == nil && c.cut != nil {
			err = d.pt.crossings.cut(k, c.cut, found)
		}
		if err != nil {
			return nil, err
		}
	}
	for key := range young {
		delete(found, key)
	}
	return found, nil
}

// findCut adds the workflows that what an item's limit has left out may concern.
func (d *driver) findCut(k itemKey, cut *sources.Cut, c change, found map[string]change) error {
	lower := binary.BigEndian.AppendUint64([]byte{itemEntry}, itemHash(k.kind, k.key))
	upper := appendItem(nil, itemHash(k.kind, k.key), oldest, "\xff\xff\xff\xff")
	return d.pt.g.DB.ScanIndex(state.Workflows, d.pt.p.ID, lower, upper, func(key, value []byte) bool {
		if len(key) > itemKeyLen && concerns(cut, key, value) {
			add(found, string(key[itemKeyLen:]), c)
		}
		return true
	})
}

// concerns says whether a cut may change what is said of a workflow, by an entry of the item's index.
func concerns(cut *sources.Cut, key, value []byte) bool {
	least, most, first := parseItem(value)
	return cut.Concerns(least, most, first, entryTime(key))
}

// add joins a change to what has been found of a workflow.
func add(found map[string]change, workflow string, c change) {
	if before, known := found[workflow]; known {
		c = c.and(before)
	}
	found[workflow] = c
}

// find adds the workflows whose latest use of an item is not before an instant, or which are unsettled about one.
func (d *driver) find(k itemKey, from event.Time, c change, found map[string]change) error {
	if k == contract {
		return d.scan([]byte{itemEntry}, []byte{itemEntry + 1}, func(at event.Time, workflow []byte) {
			if at >= from {
				add(found, string(workflow), c)
			}
		})
	}
	if err := d.findItem(itemHash(k.kind, k.key), max(from, oldest+1), c, found); err != nil || k.key != "" {
		return err
	}
	// Of a whole kind: every item of it that is known, besides the workflows that are unsettled about the kind.
	var err error
	d.pt.g.View.EachOf(k.kind, func(key string) bool {
		err = d.find(itemKey{k.kind, key}, from, c, found)
		return err == nil
	})
	return err
}

// findItem adds the workflows whose latest use of one item is not before an instant.
func (d *driver) findItem(hash uint64, from event.Time, c change, found map[string]change) error {
	out := d.pt.outline
	if out.unused(hash, from) {
		return nil
	}
	committed, last := out.committed(), from-1
	lower := binary.BigEndian.AppendUint64([]byte{itemEntry}, hash)
	err := d.scan(lower, appendItem(nil, hash, from-1, ""), func(at event.Time, workflow []byte) {
		last = max(last, at)
		add(found, string(workflow), c)
	})
	if err == nil && !d.pt.pace.over() {
		out.sought(hash, last, committed)
	}
	return err
}

// scan calls f for a piece of the index of items.
func (d *driver) scan(lower, upper []byte, f func(at event.Time, workflow []byte)) error {
	return d.pt.g.DB.ScanIndex(state.Workflows, d.pt.p.ID, lower, upper, func(key, _ []byte) bool {
		if len(key) > itemKeyLen {
			f(entryTime(key), key[itemKeyLen:])
		}
		return !d.pt.pace.over()
	})
}

// driven returns the offsets of the sources table that have been driven, and whether they have moved since the last call.
func (d *driver) driven() ([]int64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	moved := d.moved
	d.moved = false
	return d.done, moved
}

// revive takes what lives have been driven since the last call over, and says whether any is new.
func (d *driver) revive(l *lives) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed := l.merge(d.revived)
	d.revived = nil
	return changed
}

// again judges the uses of a workflow that a change may have changed, and looks at what it holds.
func (pt *partition) again(r *row, c change) error {
	for i := range r.w.Uses {
		u := &r.w.Uses[i]
		if u.Said.Revision > 0 && (u.Time >= c.uses || u.Said.Unsettled) {
			if err := pt.judge(r, u); err != nil {
				return err
			}
		}
	}
	if c.group {
		pt.regroup(r)
	}
	if !c.versions {
		return nil
	}
	if r.from = min(r.from, c.held); c.held != never && r.byName() {
		r.from = oldest // which version a name means may be another one, whatever its times
	}
	pt.look(r, pt.clock.Complete(), false)
	return nil
}

// byName says whether the workflow has loaded an item by the name of its version.
func (r *row) byName() bool {
	for i := range r.w.Items {
		for j := range r.w.Items[i].Loads {
			if !r.w.Items[i].Loads[j].Ref.HasSeq {
				return true
			}
		}
	}
	return false
}

var _ freshness.Sources = (*sources.View)(nil)
