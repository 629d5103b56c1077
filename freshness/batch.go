package freshness

import (
	"cmp"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
)

// Facts is what is known of context items, in memory: Sources over a set of source events.
type Facts struct {
	items map[itemName]*Item
	lives map[string]event.Time
}

type itemName struct{ kind, key string }

// NewFacts returns facts of which there are none yet.
func NewFacts() *Facts {
	return &Facts{items: make(map[itemName]*Item), lives: make(map[string]event.Time)}
}

// Item returns what is known of an item, nil if nothing is.
func (f *Facts) Item(kind, key string) *Item { return f.items[itemName{kind, key}] }

// KindLife returns the last sign of life of a whole kind.
func (f *Facts) KindLife(kind string) (event.Time, bool) {
	t, ok := f.lives[kind]
	return t, ok
}

// Put makes an item what is known of it.
func (f *Facts) Put(it *Item) { f.items[itemName{it.kind, it.key}] = it }

// Apply adds a source event. Of an item's versions the limit's greatest seqs are kept.
func (f *Facts) Apply(e *event.Event, at Position, limit int) ItemChange {
	if e.Type == event.SourceHeartbeat && e.WholeKind {
		was, ok := f.lives[e.Kind]
		life := Life(e)
		if ok && life <= was {
			return ItemChange{}
		}
		if !ok {
			was = beginning
		}
		f.lives[strings.Clone(e.Kind)] = life
		return ItemChange{Any: true, New: true, From: was}
	}
	it := f.Item(e.Kind, e.Key)
	if e.Type == event.SourceForget {
		delete(f.items, itemName{e.Kind, e.Key})
		return ItemChange{Any: it != nil, New: it != nil, From: beginning}
	}
	if it == nil {
		it = NewItem(strings.Clone(e.Kind), strings.Clone(e.Key))
	}
	next, change := it.Apply(e, at, limit)
	if change.Any {
		f.Put(next)
	}
	return change
}

// Batch is the truth without a broker: the judgement of every use over a complete set of events.
type Batch struct {
	contract  *Contract
	limits    Limits
	facts     *Facts
	workflows map[string]*Workflow
}

// NewBatch returns a batch without events, judged by one contract.
func NewBatch(c *Contract, lim Limits) *Batch {
	if lim.Intern == nil {
		lim.Intern = NewInterner(1 << 16).Intern
	}
	return &Batch{contract: c, limits: lim, facts: NewFacts(), workflows: make(map[string]*Workflow)}
}

// Add adds an event, a source's or a workflow's.
func (b *Batch) Add(e *event.Event, at Position) {
	switch e.Type {
	case event.SourceUpdated, event.SourceHeartbeat, event.SourceAvailable, event.SourceForget:
		limit := 0
		if ctx := b.contract.Contexts[e.Kind]; ctx != nil {
			limit = ctx.VersionsLimit
		}
		b.facts.Apply(e, at, limit)
		return
	}
	w := b.workflows[e.Subject]
	if w == nil {
		w = NewWorkflow(e.Subject)
		b.workflows[w.ID] = w
	}
	w.Fold(e, at, &b.limits)
}

// Facts returns what the batch knows of context items.
func (b *Batch) Facts() *Facts { return b.facts }

// Workflow returns what the batch knows of a workflow, nil if nothing.
func (b *Batch) Workflow(id string) *Workflow { return b.workflows[id] }

// Golden judges every use and yields the golden lines, without newlines, sorted by workflow, decision_id, use. A line holds until the next.
func (b *Batch) Golden(yield func(line []byte) error) error {
	var line []byte
	return b.Each(func(w *Workflow, u *Use, v *Verdict) error {
		line = AppendGolden(line[:0], w, u, v)
		return yield(line)
	})
}

// Each judges every use and yields it with its verdict, in the order of the golden lines. A verdict holds until the next.
func (b *Batch) Each(yield func(w *Workflow, u *Use, v *Verdict) error) error {
	ids := make([]string, 0, len(b.workflows))
	for id := range b.workflows {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var v Verdict
	for _, id := range ids {
		w := b.workflows[id]
		for _, u := range w.byDecision() {
			w.Judge(u, b.facts, b.contract, &v)
			if err := yield(w, u, &v); err != nil {
				return err
			}
		}
	}
	return nil
}

// byDecision returns the uses in the order of the golden lines.
func (w *Workflow) byDecision() []*Use {
	uses := make([]*Use, len(w.Uses))
	for i := range w.Uses {
		uses[i] = &w.Uses[i]
	}
	slices.SortFunc(uses, func(a, b *Use) int {
		return cmp.Or(strings.Compare(a.DecisionID, b.DecisionID), strings.Compare(a.Kind.String(), b.Kind.String()))
	})
	return uses
}
