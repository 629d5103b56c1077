package freshness

import (
	"slices"
	"sort"
	"strings"

	"github.com/freshet-io/freshet/event"
)

func (lim *Limits) intern(s string) string {
	if lim.Intern != nil {
		return lim.Intern(s)
	}
	return strings.Clone(s)
}

// Fold adds an event of the workflow and says which uses it may have changed. It is a set union: repeating an event changes nothing, nor
// does the order in which events come. It keeps no string of the event.
func (w *Workflow) Fold(e *event.Event, at Position, lim *Limits) Touched {
	pos := At{Offset: at.Offset, Partition: at.Partition, Topic: w.topic(at.Topic, lim)}
	f := folding{w: w, e: e, at: pos, lim: lim}
	f.t.From, f.t.To = forever, beginning
	line := Line{Time: e.Time, Ident: Identity(e.Source, e.ID), Digest: content(e), Type: e.Type, At: pos}
	isNew, repeated := w.addLine(line, lim, &f.t)
	if repeated {
		return Touched{}
	}
	f.t.New = isNew
	if len(w.Lines) == 1 || e.Traffic < w.Traffic {
		w.Traffic = e.Traffic
	}
	f.claim()
	switch e.Type {
	case event.TaskStarted:
		f.begin(&w.Begun)
	case event.TaskCompleted, event.TaskFailed, event.TaskCancelled:
		f.begin(&w.Over)
		f.step()
	case event.TaskWaiting, event.TaskResumed, event.ApprovalRequested, event.ApprovalGranted, event.ApprovalDenied,
		event.ToolRetryScheduled, event.ToolCalled:
		f.step()
	case event.ToolResult:
		f.step()
		f.loads()
	case event.ContextLoaded:
		f.loads()
	case event.ContextDropped:
		f.drops()
	case event.DecisionProposed:
		f.use(Proposed)
	case event.ActionExecuted:
		f.use(Executed)
	}
	return f.t
}

// folding is one event on its way into a workflow.
type folding struct {
	w   *Workflow
	e   *event.Event
	at  At
	lim *Limits
	id  string // copy of the event's id
	t   Touched
}

// touch widens what the event touches.
func (t *Touched) touch(from, to event.Time, onlyStale bool) {
	if from > to {
		return
	}
	t.OnlyStale = onlyStale && (t.OnlyStale || !t.Any)
	t.Any = true
	t.From, t.To = min(t.From, from), max(t.To, to)
}

// cut widens what a limit touches.
func (t *Touched) cut(from, to event.Time) {
	if !t.Cut {
		t.Any, t.Cut, t.CutFrom, t.CutTo, t.CutLoads = true, true, from, to, forever
		return
	}
	t.CutFrom, t.CutTo = min(t.CutFrom, from), max(t.CutTo, to)
}

// addLine puts a line into the timeline. The event is repeated if its line is there; it is neither new nor repeated if the timeline no
// longer reaches back to it.
func (w *Workflow) addLine(l Line, lim *Limits, t *Touched) (isNew, repeated bool) {
	if w.Lines == nil {
		w.Lines = make([]Line, 0, 12)
		w.First, w.Last = l.Time, l.Time
	}
	lines, i, added := add(w.Lines, l, compareLines)
	w.Lines = lines
	if !added {
		return false, true
	}
	if l.Time > w.Last {
		w.Abandoned = false
	}
	w.First, w.Last = min(w.First, l.Time), max(w.Last, l.Time)
	t.Conflict = w.mark(l.Ident, i)
	if len(w.Lines) <= lim.Lines {
		return true, false
	}
	rest, gone := behead(w.Lines)
	w.Lines = rest
	w.Cut.Lines++
	w.unmark(gone.Ident)
	return gone != l, false
}

// mark notes the identity of line i and says whether another line has it.
func (w *Workflow) mark(ident uint64, i int) bool {
	if len(w.Lines) <= 2*few {
		for j := range w.Lines {
			if j != i && w.Lines[j].Ident == ident {
				return true
			}
		}
		return false
	}
	if w.marks == nil {
		w.marks = make(map[uint64]int32, 2*len(w.Lines))
		for j := range w.Lines {
			w.marks[w.Lines[j].Ident]++
		}
	} else {
		w.marks[ident]++
	}
	return w.marks[ident] > 1
}

func (w *Workflow) unmark(ident uint64) {
	if w.marks == nil {
		return
	}
	if w.marks[ident]--; w.marks[ident] <= 0 {
		delete(w.marks, ident)
	}
}

func (f *folding) begin(m *Mark) {
	n := Mark{Time: f.e.Time, ID: f.e.ID, Type: f.e.Type, Set: true}
	if n.before(m) {
		n.ID = f.keepID()
		*m = n
	}
}

// before says whether a mark comes before another one, which may not be set.
func (m *Mark) before(o *Mark) bool {
	switch {
	case !o.Set:
		return true
	case m.Time != o.Time:
		return m.Time < o.Time
	case m.ID != o.ID:
		return m.ID < o.ID
	default:
		return m.Type < o.Type
	}
}

// claim lets the event's workflow_type hold if it is the earliest.
func (f *folding) claim() {
	n := TypeClaim{Name: f.e.WorkflowType, Time: f.e.Time, ID: f.e.ID, Source: f.e.Source}
	c := &f.w.Type
	if n.Name == "" || !n.before(c) {
		return
	}
	if c.Name != n.Name {
		f.t.touch(beginning, forever, false)
		c.Name = f.lim.intern(n.Name)
	}
	c.Time, c.ID, c.Source = n.Time, f.keepID(), f.lim.intern(n.Source)
}

// before says whether a claim comes before another one, which may be none.
func (c *TypeClaim) before(o *TypeClaim) bool {
	switch {
	case o.Name == "":
		return true
	case c.Time != o.Time:
		return c.Time < o.Time
	case c.ID != o.ID:
		return c.ID < o.ID
	case c.Source != o.Source:
		return c.Source < o.Source
	default:
		return c.Name < o.Name
	}
}

// keepID returns a copy of the event's id, the same one every time.
func (f *folding) keepID() string {
	if f.id == "" {
		f.id = strings.Clone(f.e.ID)
	}
	return f.id
}

func (f *folding) step() {
	s := Step{Time: f.e.Time, Type: f.e.Type, ID: f.keepID()}
	switch f.e.Type {
	case event.ToolCalled, event.ToolResult, event.ToolRetryScheduled:
		s.CallID = f.lim.intern(callName(f.e.CallID))
	}
	f.putStep(s)
}

func (f *folding) putStep(s Step) {
	w := f.w
	if w.Steps == nil {
		w.Steps = make([]Step, 0, 8)
	}
	steps, i, added := add(w.Steps, s, compareSteps)
	w.Steps = steps
	if !added {
		return
	}
	f.t.New = true
	if w.timeline != nil {
		w.timeline.forget(i)
	}
	f.t.touch(s.Time, forever, true)
	if len(w.Steps) > f.lim.Steps {
		w.cutSteps(f.lim, &f.t)
	}
}

func (f *folding) loads() {
	refs := f.e.Refs
	if len(refs) == 0 {
		return
	}
	// One piece of memory serves all lists that begin here. Short ones are likely to be loaded once more.
	room := 1
	if len(refs) <= 8 {
		room = 2
	}
	var slab []Load
	if f.w.Items == nil {
		f.w.Items = make([]Holding, 0, max(4, len(refs)))
	}
	for i := range refs {
		r := &refs[i]
		l := Load{Time: f.e.Time, ID: f.keepID(), At: f.at, Ref: LoadRef{Seq: r.Seq, AsOf: r.AsOf, HasSeq: r.HasSeq, HasAsOf: r.HasAsOf}}
		l.Ref.Version = f.lim.intern(r.Version)
		h := f.w.hold(r.Kind, r.Key, l.Time, f.lim)
		if h == nil {
			f.w.Cut.Loads++
			continue
		}
		if len(f.w.Items) > 2*f.lim.Items { // before one event makes it thousands
			f.w.cutItems(f.lim, &f.t)
			if h = f.w.hold(r.Kind, r.Key, l.Time, f.lim); h == nil {
				f.w.Cut.Loads++
				continue
			}
		}
		if h.Loads == nil {
			if slab == nil {
				slab = make([]Load, room*(len(refs)-i))
			}
			slab[0] = l
			h.Loads, slab = slab[:1:room], slab[room:]
			f.loaded(h, l.Time)
		} else {
			f.putLoad(h, l)
		}
	}
	f.w.cutItems(f.lim, &f.t)
	f.w.cutRepeats(f.lim, &f.t)
}

func (f *folding) putLoad(h *Holding, l Load) {
	loads, _, added := add(h.Loads, l, compareLoads)
	if h.Loads = loads; added {
		f.loaded(h, l.Time)
	}
}

// hold returns the holding of an item, made if need be; nil if what happened at t is left out.
func (w *Workflow) hold(kind, key string, t event.Time, lim *Limits) *Holding {
	if w.Cut.Items > 0 && t <= w.Cut.LoadsThrough {
		return nil
	}
	i, ok := w.findHolding(kind, key)
	if !ok {
		w.Items = slices.Insert(w.Items, i, Holding{Kind: lim.intern(kind), Key: lim.intern(key)})
	}
	return &w.Items[i]
}

// loaded takes note of a new load at l.
func (f *folding) loaded(h *Holding, l event.Time) {
	f.t.New = true
	f.t.touch(l, h.nextLoad(l), false)
	for len(h.Loads) > f.lim.LoadsPerItem {
		h.behead(false, &f.t)
		f.w.Cut.Loads++
	}
}

// nextLoad returns the last instant before the next load of an item that is later than t.
func (h *Holding) nextLoad(t event.Time) event.Time {
	if i := h.loadsUpTo(t); i < len(h.Loads) {
		return h.Loads[i].Time - 1
	}
	return forever
}

// loadsUpTo returns how many loads are not later than t.
func (h *Holding) loadsUpTo(t event.Time) int {
	n := len(h.Loads)
	if n == 0 || h.Loads[n-1].Time <= t {
		return n
	}
	return sort.Search(n, func(i int) bool { return h.Loads[i].Time > t })
}

// dropsUpTo returns how many drops are not later than t.
func (h *Holding) dropsUpTo(t event.Time) int {
	n := len(h.Drops)
	if n == 0 || h.Drops[n-1].Time <= t {
		return n
	}
	return sort.Search(n, func(i int) bool { return h.Drops[i].Time > t })
}

func (f *folding) drops() {
	for i := range f.e.Refs {
		r := &f.e.Refs[i]
		h := f.w.hold(r.Kind, r.Key, f.e.Time, f.lim)
		if h == nil {
			f.w.Cut.Loads++
			continue
		}
		f.putDrop(h, Drop{Time: f.e.Time, ID: f.keepID()})
		if len(f.w.Items) > 2*f.lim.Items {
			f.w.cutItems(f.lim, &f.t)
		}
	}
	f.w.cutItems(f.lim, &f.t)
	f.w.cutRepeats(f.lim, &f.t)
}

func (f *folding) putDrop(h *Holding, d Drop) {
	drops, _, added := add(h.Drops, d, compareDrops)
	if h.Drops = drops; !added {
		return
	}
	f.t.New = true
	f.t.touch(d.Time, h.nextLoad(d.Time), false)
	for len(h.Drops) > f.lim.LoadsPerItem {
		h.behead(true, &f.t)
		f.w.Cut.Loads++
	}
}

func (f *folding) use(kind UseKind) {
	e := f.e
	f.admit(&Use{Kind: kind, DecisionID: e.DecisionID, Time: e.Time, ID: e.ID, Source: e.Source, Data: tieBreak(e.Data),
		Traffic: e.Traffic, TraceParent: e.TraceParent, At: f.at})
}

// admit adds a decision event: as the use of its decision if it is the smallest, else as a rival.
func (f *folding) admit(u *Use) {
	w := f.w
	if w.Cut.Uses > 0 && u.Time <= w.Cut.UsesThrough {
		w.Cut.Uses++
		return
	}
	i, known := w.findUse(u.DecisionID, u.Kind)
	if known {
		order := compareRivals(u, &w.Uses[i])
		if order == 0 {
			return
		}
		if order > 0 {
			rivals, at, added := add(w.Rivals, *u, compareUses)
			w.Rivals = rivals
			if added {
				f.t.New = true
				f.fill(&w.Rivals[at])
			}
			w.cutUses(f.lim, &f.t)
			return
		}
		f.touchUse(&w.Uses[i])
		u.Said = w.Uses[i].Said
		w.dethrone(i)
	}
	f.fill(u)
	f.t.New = true
	w.enthrone(*u)
	f.touchUse(u)
	w.cutUses(f.lim, &f.t)
}

// fill copies what the use keeps of the event. A use of another fold has it already.
func (f *folding) fill(u *Use) {
	e := f.e
	if e == nil {
		return
	}
	u.Excess = e.HasBasedOn && len(e.Refs) > f.lim.Items
	size := len(e.DecisionID) + len(e.ID) + len(e.Source) + len(u.Data) + len(e.CheckID) + len(e.TraceParent)
	for i := 0; i < len(e.Refs) && !u.Excess; i++ {
		size += len(e.Refs[i].Version)
	}
	k := keep(size)
	u.DecisionID, u.ID, u.Source, u.Data = k.add(e.DecisionID), k.add(e.ID), k.add(e.Source), k.add(u.Data)
	u.CheckID, u.TraceParent = k.add(e.CheckID), k.add(e.TraceParent)
	u.Class, u.HasClass, u.Traffic, u.HasBasedOn = f.lim.intern(e.Class), e.HasClass, e.Traffic, e.HasBasedOn
	if !e.HasBasedOn {
		return
	}
	if u.Excess {
		f.w.Cut.Refs += int64(len(e.Refs))
		return
	}
	u.BasedOn = make([]event.Ref, len(e.Refs))
	for i := range e.Refs {
		r := e.Refs[i]
		r.Kind, r.Key, r.Version, r.Digest = f.lim.intern(r.Kind), f.lim.intern(r.Key), k.add(r.Version), ""
		u.BasedOn[i] = r
	}
}

// touchUse touches a use and the one that inherits from it.
func (f *folding) touchUse(u *Use) {
	if !f.t.Any {
		f.t.Decision = strings.Clone(u.DecisionID)
	} else if f.t.Decision != u.DecisionID {
		f.t.Decision = ""
	}
	f.t.touch(u.Time, u.Time, false)
	if u.Kind == Proposed {
		if i, ok := f.w.findUse(u.DecisionID, Executed); ok {
			f.t.touch(f.w.Uses[i].Time, f.w.Uses[i].Time, false)
		}
	}
}

// enthrone makes a decision event the use of its decision.
func (w *Workflow) enthrone(u Use) {
	if w.Uses == nil {
		w.Uses = make([]Use, 0, 2)
	}
	w.Uses = slices.Insert(w.Uses, w.usePlace(u.Time, u.DecisionID, u.Kind), u)
	if w.decided != nil {
		w.decided[useKey{u.DecisionID, u.Kind}] = u.Time
	}
}

// dethrone makes a use a rival of the one that is to take its place.
func (w *Workflow) dethrone(i int) {
	u := w.Uses[i]
	u.Said = Said{}
	w.Rivals, _, _ = add(w.Rivals, u, compareUses)
	w.Uses = slices.Delete(w.Uses, i, i+1)
	delete(w.decided, useKey{u.DecisionID, u.Kind})
}
