package sources

import (
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
)

// kindLife is the life of a whole kind: what counts, and what will once every partition has been applied up to it.
type kindLife struct {
	counts  event.Time
	has     bool
	waiting []event.Time // ascending, all later than what counts
	gap     event.Time   // none waits that is nearer than this to the one before, but for the last
}

// mostWaiting bounds the lives that wait while a clock stands.
const mostWaiting = 256

// beat takes a life. It waits beside those that wait already: where heartbeats come quicker than the clocks follow, the latest of them is
// always ahead of the clocks, and if it took the place of the others none would ever count.
func (k *kindLife) beat(life event.Time) {
	n := len(k.waiting)
	switch {
	case k.has && life <= k.counts || n > 0 && life <= k.waiting[n-1]:
		return
	case n > 1 && life-k.waiting[n-2] < k.gap:
		k.waiting[n-1] = life
		return
	case n == mostWaiting:
		k.thin()
	}
	k.waiting = append(k.waiting, life)
}

// thin gives up lives that wait, evenly, down to half: the one before counts in their place, until the one behind them does.
func (k *kindLife) thin() {
	n := len(k.waiting)
	k.gap = (k.waiting[n-1]-k.waiting[0])/(mostWaiting/2-1) + 1
	kept := k.waiting[:1]
	for _, life := range k.waiting[1 : n-1] {
		if life-kept[len(kept)-1] >= k.gap {
			kept = append(kept, life)
		}
	}
	k.waiting = append(kept, k.waiting[n-1])
}

// settle lets the latest life count up to which every partition has been applied. It says whether there is one, and from which instant on
// something may have changed.
func (k *kindLife) settle(applied event.Time) (from event.Time, changed bool) {
	n, found := slices.BinarySearch(k.waiting, applied)
	if found {
		n++
	}
	if n == 0 {
		return 0, false
	}
	from = beginning
	if k.has {
		from = k.counts
	}
	k.counts, k.has = k.waiting[n-1], true
	if k.waiting = slices.Delete(k.waiting, 0, n); len(k.waiting) == 0 {
		k.gap = 0
	}
	return from, true
}

// KindLife returns the life of a whole kind, as far as every partition has been applied up to it.
func (v *View) KindLife(kind string) (event.Time, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k := v.kinds[kind]; k != nil && k.has {
		return k.counts, true
	}
	return 0, false
}

// KindHeard returns the life of a whole kind as it will be once every partition has been applied up to what has been read, but for lives
// later than now: no partition can have been applied up to those yet.
func (v *View) KindHeard(kind string, now event.Time) (event.Time, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.kinds[kind]
	if k == nil {
		return 0, false
	}
	n, found := slices.BinarySearch(k.waiting, now)
	if found {
		n++
	}
	if n > 0 {
		return k.waiting[n-1], true
	}
	return k.counts, k.has
}

// KindLives returns the lives of all kinds that count.
func (v *View) KindLives() map[string]event.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	lives := make(map[string]event.Time, len(v.kinds))
	for kind, k := range v.kinds {
		if k.has {
			lives[kind] = k.counts
		}
	}
	return lives
}

// kindBeat takes the row of a kind.
func (v *View) kindBeat(kind string, life event.Time) []Change {
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.kinds[kind]
	if k == nil {
		k = &kindLife{}
		v.kinds[strings.Clone(kind)] = k
	}
	k.beat(life)
	return v.settle(kind, k)
}

// settle lets a kind's life count as far as it does. The view is locked.
func (v *View) settle(kind string, k *kindLife) []Change {
	if from, changed := k.settle(v.applied); changed {
		return []Change{{Kind: kind, From: from, Life: k.counts}}
	}
	return nil
}
