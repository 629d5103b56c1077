package workflows

import (
	"container/heap"
	"encoding/binary"
	"sync"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/processors/sources"
	"github.com/freshet-io/freshet/state"
	"github.com/go-kit/log/level"
)

// crossings are the instants at which a version that is known crosses a bound of workflows that hold an older one. They are kept by item,
// not by workflow: a source that publishes a version changes no row of a million workflows that hold the one before. When the clocks have
// passed the instant, the holders of those versions that are concerned are looked up in the index and looked at, in paced units.
//
// A load that knows the version already has the instant in its own row. It cannot be lost between the two: see driver.
type crossings struct {
	pt *partition

	one     sync.Mutex // one item is put down at a time
	mu      sync.Mutex
	due     []crossingHeap // by source partition
	items   map[itemKey]crossing
	running bool       // a sweep
	swept   event.Time // everything up to it has been swept, and what was found looked at
	rules   event.Time // contracts up to it have been swept
}

// crossing is the next one of an item.
type crossing struct {
	itemKey
	at    event.Time
	since event.Time // crossings after it have not been swept
}

func (c *crossings) start(pt *partition) error {
	c.pt, c.items = pt, map[itemKey]crossing{}
	c.due = make([]crossingHeap, pt.g.View.Partitions())
	c.swept, c.rules = pt.cursor.swept, pt.cursor.swept
	return c.all(c.swept, func(h held, _ string) bool {
		pt.outline.count(h, 1)
		return true
	})
}

// all calls f for every entry of what is held, and registers the items.
func (c *crossings) all(since event.Time, f func(h held, workflow string) bool) error {
	var items []itemKey
	last := held{}
	err := c.scan([]byte{heldEntry}, []byte{heldEntry + 1}, func(h held, workflow string, item []byte) bool {
		if len(items) == 0 || h.hash != last.hash {
			items = append(items, splitItem(item))
		}
		last = h
		return f(h, workflow)
	})
	if err != nil {
		return err
	}
	for _, k := range items {
		c.register(k, since)
	}
	return nil
}

func (c *crossings) scan(lower, upper []byte, f func(h held, workflow string, item []byte) bool) error {
	return c.pt.g.DB.ScanIndex(state.Workflows, c.pt.p.ID, lower, upper, func(key, value []byte) bool {
		h, workflow, ok := parseHeld(key)
		if !ok {
			return true
		}
		return f(h, string(workflow), value) && !c.pt.pace.over()
	})
}

// splitItem reads kind/key.
func splitItem(b []byte) itemKey {
	for i := range b {
		if b[i] == '/' {
			return itemKey{string(b[:i]), string(b[i+1:])}
		}
	}
	return itemKey{kind: string(b)}
}

// register puts an item down for its next crossing after an instant.
func (c *crossings) register(k itemKey, since event.Time) {
	c.one.Lock()
	defer c.one.Unlock()
	since = max(since, oldest/4)
	c.mu.Lock()
	if had, ok := c.items[k]; ok {
		since = min(since, had.since)
	}
	c.mu.Unlock()
	next := never
	it, contract := c.pt.g.View.Item(k.kind, k.key), c.pt.g.Contracts.At(since)
	if it == nil || contract == nil {
		return
	}
	for _, h := range c.pt.outline.versions(itemHash(k.kind, k.key)) {
		if at, ok := it.NextCrossing(contract, h.seq, !h.named, since); ok {
			next = min(next, at)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if next == never {
		delete(c.items, k)
		return
	}
	x := crossing{k, next, since}
	c.items[k] = x
	heap.Push(&c.due[c.pt.g.Partitioner.PartitionString(k.kind+"/"+k.key, c.pt.g.View.Partitions())], x)
}

// changed adds the open workflows of which the past is another one with an item's change, and puts the item down for what is to come. Those
// that have ended are found by their end.
func (c *crossings) changed(k itemKey, from event.Time, found map[string]change) error {
	if k.key == "" {
		return nil
	}
	complete := c.pt.clock.Complete()
	if hash := itemHash(k.kind, k.key); from <= complete && c.pt.outline.holds(hash) {
		n := change{uses: never, held: from, versions: true}
		err := c.scan(binary.BigEndian.AppendUint64([]byte{heldEntry}, hash), appendHeld(nil, held{hash: hash, seq: 1<<63 - 1}, "\xff\xff\xff\xff"),
			func(_ held, workflow string, _ []byte) bool {
				add(found, workflow, n)
				return true
			})
		if err != nil {
			return err
		}
	}
	c.register(k, complete)
	return nil
}

// cut adds the workflows that what an item's limit has left out concerns, and puts the item down for what is to come.
func (c *crossings) cut(k itemKey, cut *sources.Cut, found map[string]change) error {
	n := change{uses: oldest, held: oldest, versions: true}
	if err := c.pt.drive.findCut(k, cut, n, found); err != nil {
		return err
	}
	hash := itemHash(k.kind, k.key)
	through := held{hash: hash, seq: cut.Through} // those that go by a name come first
	err := c.scan(binary.BigEndian.AppendUint64([]byte{heldEntry}, hash), appendHeld(nil, through, "\xff\xff\xff\xff"),
		func(_ held, workflow string, _ []byte) bool {
			add(found, workflow, n)
			return true
		})
	if err != nil {
		return err
	}
	c.register(k, c.pt.clock.Complete())
	return nil
}

// tick begins a sweep of what the clocks have passed, unless one is on its way.
func (c *crossings) tick(complete event.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running || complete <= oldest/2 {
		return
	}
	s := sweep{through: complete}
	for q := range c.due {
		_, at, _ := c.pt.g.View.Clock(int32(q))
		at = min(at, complete)
		if len(c.due[q]) > 0 {
			s.through = min(s.through, at)
		}
		for len(c.due[q]) > 0 && c.due[q][0].at <= at {
			x := heap.Pop(&c.due[q]).(crossing)
			if c.items[x.itemKey] == x {
				s.items = append(s.items, due{x, at})
			}
		}
	}
	if t, ok := c.pt.g.Contracts.After(c.rules); ok && t <= complete {
		c.rules, s.all = t, true
	}
	if len(s.items) == 0 && !s.all {
		c.swept = max(c.swept, s.through)
		return
	}
	c.running = true
	c.pt.pace.searches.Go(func() { c.sweep(s) })
}

type due struct {
	crossing
	through event.Time
}

// sweep is what has come due at once.
type sweep struct {
	items   []due
	through event.Time
	all     bool // whatever is held
}

func (c *crossings) sweep(s sweep) {
	batch := recheck{}
	ended := false
	add := func(workflow string) bool {
		batch.keys, batch.changes = append(batch.keys, workflow), append(batch.changes, change{uses: never, held: never, versions: true})
		if len(batch.keys) == recheckUnit {
			ended = !c.pt.pace.send(batch)
			batch = recheck{}
		}
		return !ended
	}
	err := c.find(s, add)
	if err != nil {
		_ = level.Error(c.pt.g.Logger).Log("msg", "index of workflows cannot be searched", "partition", c.pt.p.ID, "err", err)
		return // nothing is swept any more, and the cursor does not move: the next owner does it again
	}
	if ended {
		return
	}
	batch.after = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running = false
		c.swept = max(c.swept, s.through)
	}
	c.pt.pace.send(batch)
}

// find calls add for the workflows that a sweep concerns, and puts the items down for their next crossing.
func (c *crossings) find(s sweep, add func(workflow string) bool) error {
	for _, x := range s.items {
		it, contract := c.pt.g.View.Item(x.kind, x.key), c.pt.g.Contracts.At(x.through)
		for _, h := range c.pt.outline.versions(itemHash(x.kind, x.key)) {
			if at, ok := it.NextCrossing(contract, h.seq, !h.named, x.since); !ok || at > x.through {
				continue
			}
			err := c.scan(appendHeld(nil, h, ""), appendHeld(nil, h, "\xff\xff\xff\xff"), func(_ held, workflow string, _ []byte) bool { return add(workflow) })
			if err != nil {
				return err
			}
		}
		c.mu.Lock()
		if had, ok := c.items[x.itemKey]; ok && had.since < x.through {
			had.since = x.through
			c.items[x.itemKey] = had
		}
		c.mu.Unlock()
		c.register(x.itemKey, x.through)
	}
	if s.all {
		return c.all(s.through, func(_ held, workflow string) bool { return add(workflow) })
	}
	return nil
}

// through returns up to when everything has been swept.
func (c *crossings) through() event.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.swept
}

type crossingHeap []crossing

func (h crossingHeap) Len() int           { return len(h) }
func (h crossingHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h crossingHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *crossingHeap) Push(x any)        { *h = append(*h, x.(crossing)) }
func (h *crossingHeap) Pop() any {
	old := *h
	n := len(old) - 1
	x := old[n]
	old[n] = crossing{}
	*h = old[:n]
	return x
}

var _ freshness.History = Contracts(nil)
