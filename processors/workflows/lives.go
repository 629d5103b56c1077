package workflows

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/processors/sources"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
)

// lives is the control row of a partition that says which lives of whole kinds have been driven through its workflows: a heartbeat that comes
// while nobody has the partition cures what its last owner has called silent. (The cursor speaks of offsets, and when a life counts is a matter of
// several partitions.)
type lives struct {
	key   string
	kinds map[string]event.Time
}

const (
	livesName    = "lives"
	livesVersion = 1
	livesLimit   = 1024 // kinds; what is said of others is driven anew by each owner, for nothing
)

// loadLives returns the row of a partition, an empty one if there is none.
func loadLives(p *gateway.Partition) (*lives, error) {
	key := topology.ControlKey(livesName, p.ID)
	found, err := p.Rows.Row(key)
	if err != nil {
		return nil, err
	}
	if l, ok := found.(*lives); ok {
		return l, nil
	}
	return &lives{key: key, kinds: map[string]event.Time{}}, nil
}

// merge takes lives over and says whether any is new.
func (l *lives) merge(driven map[string]event.Time) (changed bool) {
	for kind, life := range driven {
		before, known := l.kinds[kind]
		if known && life <= before || !known && len(l.kinds) >= livesLimit {
			continue
		}
		l.kinds[kind], changed = life, true
	}
	return changed
}

// behind returns what has changed since what has been driven.
func (l *lives) behind(now map[string]event.Time) (changes []sources.Change) {
	for kind, life := range now {
		driven, known := l.kinds[kind]
		if !known {
			driven = oldest
		}
		if life > driven {
			changes = append(changes, sources.Change{Kind: kind, From: driven, Life: life})
		}
	}
	return changes
}

// Records puts the row.
func (l *lives) Records(put func(string, func([]byte) []byte)) {
	put(l.key, func(b []byte) []byte {
		b = append(b, livesVersion)
		for _, kind := range slices.Sorted(maps.Keys(l.kinds)) {
			b = binary.AppendVarint(appendText(b, kind), int64(l.kinds[kind]))
		}
		return b
	})
}

// Index has nothing to say.
func (l *lives) Index(*state.IndexWriter) {}

// Pinned keeps the row in memory.
func (l *lives) Pinned() bool { return true }

// Done rows do not exist here.
func (l *lives) Done() bool { return false }

func decodeLives(key string, b []byte) (*lives, error) {
	if len(b) == 0 || b[0] != livesVersion {
		return nil, fmt.Errorf("%w: row of lives of version %v", state.ErrRow, b[:min(1, len(b))])
	}
	r := cursorReader{b: b[1:]}
	l := &lives{key: key, kinds: map[string]event.Time{}}
	for len(r.b) > 0 && !r.bad {
		kind := r.text()
		l.kinds[kind] = event.Time(r.int())
	}
	if r.bad {
		return nil, fmt.Errorf("%w: row of lives", state.ErrRow)
	}
	return l, nil
}

// hushed is what waits for a heartbeat of a whole kind to count that has been read already, by kind: it counts once every source partition has
// been applied up to it, and while a backlog is read that may be long after the clock has passed a use. A use judged silent before that
// would have to be amended, perhaps when it is too old for it. A heartbeat ahead of the wall clock is not waited for: the first verdict would
// come as late as its producer's clock is wrong.
type hushed map[string]*deadlines

// kindLives is the view as far as whole kinds are concerned.
type kindLives interface {
	KindLife(kind string) (event.Time, bool)                  // that counts
	KindHeard(kind string, now event.Time) (event.Time, bool) // that has been read, and is not ahead of now
}

// wait says whether a use that is judged for the first time has to wait, and lets it.
func (h *hushed) wait(view kindLives, r *row, t, now event.Time, v *freshness.Verdict) bool {
	if !v.Silent {
		return false
	}
	for i := range v.Items {
		iv := &v.Items[i]
		if !iv.Silent() {
			continue
		}
		cures := t - event.Time(v.Contract.Contexts[iv.Kind].MaxSilence)
		if life, known := view.KindHeard(iv.Kind, now); !known || life < cures {
			continue
		}
		if cures >= r.hushed {
			return true
		}
		r.hushed = cures
		if *h == nil {
			*h = hushed{}
		}
		d := (*h)[iv.Kind]
		if d == nil {
			d = &deadlines{}
			(*h)[iv.Kind] = d
		}
		d.push(deadline{at: cures, key: r.w.ID})
		return true
	}
	return false
}

// run judges, by a run of the tick, what has waited for lives that count by now.
func (h hushed) run(view kindLives, run func(pop func(event.Time) (deadline, bool, error), through event.Time) error) error {
	for kind, d := range h {
		life, known := view.KindLife(kind)
		if !known {
			continue
		}
		err := run(func(now event.Time) (deadline, bool, error) {
			x, ok := d.pop(now)
			return x, ok, nil
		}, life)
		if err != nil {
			return err
		}
		if d.len() == 0 {
			delete(h, kind)
		}
	}
	return nil
}
