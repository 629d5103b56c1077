package freshness

import (
	"iter"
	"slices"
	"sort"
	"strings"

	"github.com/freshet-io/freshet/event"
)

// few is how many entries a list may have to be searched from one end to the other.
const few = 24

// useKey is what a use is called within its workflow.
type useKey struct {
	decision string
	kind     UseKind
}

// useTime is where a use is found: Uses are sorted by it.
type useTime = event.Time

// NewWorkflow returns a workflow of which nothing is known. A Workflow is not for concurrent use, judging included: it keeps what it has
// worked out. Pointers into its lists hold until the next Fold or Merge.
func NewWorkflow(id string) *Workflow { return &Workflow{ID: strings.Clone(id)} }

// Open says whether the workflow has been started and, by the set of its events, has neither been completed nor failed nor been cancelled,
// nor is it abandoned.
func (w *Workflow) Open() bool { return w.Begun.Set && !w.Over.Set && !w.Abandoned }

// Ended returns the first event that ended the workflow.
func (w *Workflow) Ended() (Mark, bool) { return w.Over, w.Over.Set }

// OpenAt says whether the workflow was open at an instant.
func (w *Workflow) OpenAt(x event.Time) bool {
	return w.Begun.Set && w.Begun.Time <= x && (!w.Over.Set || w.Over.Time > x)
}

// Use returns the use of a decision, nil if there is none.
func (w *Workflow) Use(decision string, kind UseKind) *Use {
	if i, ok := w.findUse(decision, kind); ok {
		return &w.Uses[i]
	}
	return nil
}

// TopicOf returns the position an At means.
func (w *Workflow) TopicOf(at At) Position {
	p := Position{Partition: at.Partition, Offset: at.Offset}
	if int(at.Topic) < len(w.Topics) {
		p.Topic = w.Topics[at.Topic]
	}
	return p
}

// Holding returns what was loaded and dropped of an item, nil if nothing was.
func (w *Workflow) Holding(kind, key string) *Holding {
	if i, ok := w.findHolding(kind, key); ok {
		return &w.Items[i]
	}
	return nil
}

// Affected goes through the uses that have to be judged again after an event, by time. Each is seen once.
func (w *Workflow) Affected(t Touched) iter.Seq[*Use] {
	return func(yield func(*Use) bool) {
		if !t.Any {
			return
		}
		first := t.From
		if t.Cut {
			first = min(first, t.CutFrom, t.CutLoads)
		}
		if len(t.Orphans) > 0 {
			first = beginning
		}
		i := sort.Search(len(w.Uses), func(i int) bool { return w.Uses[i].Time >= first })
		for ; i < len(w.Uses); i++ {
			if u := &w.Uses[i]; w.affects(&t, u) && !yield(u) {
				return
			}
		}
	}
}

// affects says whether a use has to be judged again.
func (w *Workflow) affects(t *Touched, u *Use) bool {
	stale := u.Said.Verdict == IsStale || u.Said.Revision == 0
	if t.Cut && (t.CutFrom <= u.Time && u.Time <= t.CutTo || t.CutLoads <= u.Time && stale && w.saysItems(u)) {
		return true
	}
	if u.Kind == Executed && len(t.Orphans) > 0 && slices.Contains(t.Orphans, u.DecisionID) {
		return true
	}
	switch {
	case u.Time < t.From || t.Decision != "" && t.Decision != u.DecisionID:
		return false
	case u.Time <= t.To:
		return stale || !t.OnlyStale
	default:
		return stale && w.saysItems(u)
	}
}

// saysItems says whether a use has a based_on, its own or its proposal's.
func (w *Workflow) saysItems(u *Use) bool {
	if u.HasBasedOn {
		return true
	}
	p := w.proposal(u)
	return p != nil && p.HasBasedOn
}

// proposal returns the decision.proposed that an action.executed inherits from, nil if there is none.
func (w *Workflow) proposal(u *Use) *Use {
	if u.Kind != Executed {
		return nil
	}
	return w.Use(u.DecisionID, Proposed)
}

func (w *Workflow) findUse(decision string, kind UseKind) (int, bool) {
	if len(w.Uses) <= few {
		for i := len(w.Uses) - 1; i >= 0; i-- {
			if u := &w.Uses[i]; u.Kind == kind && u.DecisionID == decision {
				return i, true
			}
		}
		return 0, false
	}
	if w.decided == nil {
		w.decided = make(map[useKey]useTime, 2*len(w.Uses))
		for i := range w.Uses {
			w.decided[useKey{w.Uses[i].DecisionID, w.Uses[i].Kind}] = w.Uses[i].Time
		}
	}
	t, ok := w.decided[useKey{decision, kind}]
	if !ok {
		return 0, false
	}
	return w.usePlace(t, decision, kind), true
}

// usePlace returns where a use is, or belongs.
func (w *Workflow) usePlace(t event.Time, decision string, kind UseKind) int {
	n := len(w.Uses)
	if n == 0 || compareUsePlace(&w.Uses[n-1], t, decision, kind) < 0 {
		return n
	}
	return sort.Search(n, func(i int) bool { return compareUsePlace(&w.Uses[i], t, decision, kind) >= 0 })
}

func compareUsePlace(u *Use, t event.Time, decision string, kind UseKind) int {
	if u.Time != t {
		return compareTime(u.Time, t)
	}
	if c := strings.Compare(u.DecisionID, decision); c != 0 {
		return c
	}
	return int(u.Kind) - int(kind)
}

// compareUses is a total order of decision events. Of one decision and type the smallest holds.
func compareUses(a, b *Use) int {
	if c := compareUsePlace(a, b.Time, b.DecisionID, b.Kind); c != 0 {
		return c
	}
	return compareRivals(a, b)
}

// compareRivals orders decision events of the same decision and type. The traffic class is no part of the contract's order: it comes last,
// so that events that differ in nothing else have an order too.
func compareRivals(a, b *Use) int {
	if a.Time != b.Time {
		return compareTime(a.Time, b.Time)
	}
	if c := strings.Compare(a.ID, b.ID); c != 0 {
		return c
	}
	if c := strings.Compare(a.Source, b.Source); c != 0 {
		return c
	}
	if c := strings.Compare(a.Data, b.Data); c != 0 {
		return c
	}
	if a.Traffic != b.Traffic {
		return int(a.Traffic) - int(b.Traffic)
	}
	return strings.Compare(a.TraceParent, b.TraceParent)
}

func compareTime(a, b event.Time) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func (w *Workflow) findHolding(kind, key string) (int, bool) {
	lo, hi := 0, len(w.Items)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if h := &w.Items[mid]; h.Kind < kind || h.Kind == kind && h.Key < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(w.Items) && w.Items[lo].Key == key && w.Items[lo].Kind == kind
}

// topic returns the index of a topic's name.
func (w *Workflow) topic(name string, lim *Limits) uint16 {
	for i, t := range w.Topics {
		if t == name {
			return uint16(i)
		}
	}
	if len(w.Topics) >= topicsKept {
		return 1<<16 - 1
	}
	w.Topics = append(w.Topics, lim.intern(name))
	return uint16(len(w.Topics) - 1)
}

// compareLoads is the total order of an item's loads. Among those of one instant the resolved seq decides first, at judgement.
func compareLoads(a, b *Load) int {
	if a.Time != b.Time {
		return compareTime(a.Time, b.Time)
	}
	if c := strings.Compare(a.ID, b.ID); c != 0 {
		return c
	}
	return compareRefs(&a.Ref, &b.Ref)
}

// compareRefs orders REFs by as_of, then by what cannot make a difference to a verdict.
func compareRefs(a, b *LoadRef) int {
	if a.HasAsOf != b.HasAsOf {
		if b.HasAsOf {
			return -1
		}
		return 1
	}
	if a.HasAsOf && a.AsOf != b.AsOf {
		return compareTime(a.AsOf, b.AsOf)
	}
	if a.HasSeq != b.HasSeq {
		if b.HasSeq {
			return -1
		}
		return 1
	}
	if a.HasSeq && a.Seq != b.Seq {
		if a.Seq < b.Seq {
			return -1
		}
		return 1
	}
	return strings.Compare(a.Version, b.Version)
}

func compareDrops(a, b *Drop) int {
	if a.Time != b.Time {
		return compareTime(a.Time, b.Time)
	}
	return strings.Compare(a.ID, b.ID)
}

func compareSteps(a, b *Step) int {
	if a.Time != b.Time {
		return compareTime(a.Time, b.Time)
	}
	if c := strings.Compare(a.ID, b.ID); c != 0 {
		return c
	}
	if a.Type != b.Type {
		return int(a.Type) - int(b.Type)
	}
	return strings.Compare(a.CallID, b.CallID)
}

func compareLines(a, b *Line) int {
	if a.Time != b.Time {
		return compareTime(a.Time, b.Time)
	}
	if a.Ident != b.Ident {
		if a.Ident < b.Ident {
			return -1
		}
		return 1
	}
	if a.Digest != b.Digest {
		if a.Digest < b.Digest {
			return -1
		}
		return 1
	}
	return 0
}

// add puts x into a sorted list unless it is there, and says where it is and whether it is new. It compares x where it lies in the list: a
// pointer to the parameter would cost an allocation each time.
func add[T any](list []T, x T, compare func(a, b *T) int) ([]T, int, bool) {
	n := len(list)
	list = append(list, x)
	if n == 0 || compare(&list[n-1], &list[n]) < 0 {
		return list, n, true
	}
	i := sort.Search(n, func(i int) bool { return compare(&list[i], &list[n]) >= 0 })
	if compare(&list[i], &list[n]) == 0 {
		var none T
		list[n] = none
		return list[:n], i, false
	}
	copy(list[i+1:], list[i:n])
	list[i] = x
	return list, i, true
}

// behead returns a list without its first entry, and the entry. What it held is let go.
func behead[T any](list []T) ([]T, T) {
	var none T
	first := list[0]
	list[0] = none
	return list[1:], first
}
