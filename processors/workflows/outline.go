package workflows

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/freshet-io/freshet/event"
)

// outline is what of a partition's index is in memory, so that most changes of sources need not search it: which versions of an item open
// workflows hold, and after when no workflow has used it. It goes along with what transactions stage, so it may know of an entry before the
// index has it, and has forgotten one that the index is about to lose.
type outline struct {
	committed func() uint64 // transactions

	mu   sync.Mutex
	held map[uint64][]heldCount // by item: a version and how many entries it has
	uses map[uint64]lastUse     // by item; others have to be looked for
	many int                    // uses at which those that the index has are forgotten
	gone uint64                 // uses of transactions up to it may have been forgotten
}

type heldCount struct {
	held
	n int
}

// lastUse says that no entry of an item is of a later instant, of those staged since the partition was taken over or, if all is set, of any.
type lastUse struct {
	at  event.Time
	all bool
	txn uint64 // that staged the last entry
}

// outlineUses is how many items of a partition have their latest use in memory.
const outlineUses = 1 << 15

func newOutline(committed func() uint64) *outline {
	return &outline{committed: committed, held: map[uint64][]heldCount{}, uses: map[uint64]lastUse{}, many: outlineUses}
}

// staged is told of an entry that a transaction stages or removes.
func (o *outline) staged(key []byte, set bool, txn uint64) {
	switch {
	case len(key) > heldKeyLen && key[0] == heldEntry:
		h, _, _ := parseHeld(key)
		if set {
			o.count(h, 1)
		} else {
			o.count(h, -1)
		}
	case len(key) > itemKeyLen && key[0] == itemEntry && set:
		o.used(binary.BigEndian.Uint64(key[1:]), entryTime(key), txn)
	}
}

// count adds entries of a version that is held.
func (o *outline) count(h held, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.held[h.hash]
	i, found := slices.BinarySearchFunc(list, h, func(c heldCount, h held) int { return compareHeld(c.held, h) })
	switch {
	case !found && n > 0:
		o.held[h.hash] = slices.Insert(list, i, heldCount{h, n})
	case found && list[i].n+n > 0:
		list[i].n += n
	case found && len(list) == 1:
		delete(o.held, h.hash)
	case found:
		o.held[h.hash] = slices.Delete(list, i, i+1)
	}
}

// versions returns the versions of an item that are held, in the order of the index.
func (o *outline) versions(hash uint64) []held {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]held, 0, len(o.held[hash]))
	for _, c := range o.held[hash] {
		list = append(list, c.held)
	}
	return list
}

// holds says whether an open workflow holds an item.
func (o *outline) holds(hash uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.held[hash]) > 0
}

// used takes note of an entry of an item.
func (o *outline) used(hash uint64, at event.Time, txn uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	u, known := o.uses[hash]
	if !known {
		if len(o.uses) >= o.many {
			o.prune()
		}
		u.at = at
	}
	u.at, u.txn = max(u.at, at), txn
	o.uses[hash] = u
}

// prune forgets items of which the index has every entry: they can be looked for.
func (o *outline) prune() {
	committed := o.committed()
	for hash, u := range o.uses {
		if u.txn <= committed {
			delete(o.uses, hash)
		}
	}
	o.many, o.gone = max(outlineUses, 2*len(o.uses)), committed
}

// unused says that no workflow has used an item at an instant or later.
func (o *outline) unused(hash uint64, from event.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	u, known := o.uses[hash]
	return known && u.all && u.at < from
}

// sought takes note of the latest instant at which the index has an entry of an item, or of one after which it has none. Of the transactions that
// the index had when the search began, committed is the last.
func (o *outline) sought(hash uint64, at event.Time, committed uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	u, known := o.uses[hash]
	if !known && len(o.uses) >= o.many {
		o.prune()
	}
	if !known && committed < o.gone {
		return // an entry that the search has not seen may have been forgotten meanwhile
	}
	if !known || u.txn <= committed {
		u.at = at
	}
	u.at, u.all = max(u.at, at), true
	o.uses[hash] = u
}
