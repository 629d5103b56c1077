package state

import (
	"fmt"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// workflowVersion is the version of a workflow's row. What a version wrote, the next release reads; testdata keeps bytes of each.
const workflowVersion = 2

// A row is: version, what there is of it (flags), the names of topics, the timeline, the parts. What a later release adds comes behind
// that, each section with a byte that names it. A section that this release does not know makes the row unreadable to it: a row that is
// written anew without the section would have lost it.

// What there is in a row, by flag.
const (
	hasCut   = iota // limits have left something out
	hasRange        // the timeline does not reach as far as events have been seen
	hasType
	hasBegun
	hasOver
)

// AppendWorkflow appends the row of a workflow.
func AppendWorkflow(b []byte, f *freshness.Workflow) []byte {
	w := writer{b: append(b, workflowVersion), names: newRecent()}
	n := len(f.Lines)
	ranged := n > 0 && (f.First != f.Lines[0].Time || f.Last != f.Lines[n-1].Time) || n == 0 && (f.First != 0 || f.Last != 0)
	w.flags(f.Cut != freshness.Cut{}, ranged, f.Type.Name != "", f.Begun.Set, f.Over.Set)
	w.uint(uint64(len(f.Topics)))
	for _, t := range f.Topics {
		w.name(t)
	}
	var ids [fewLines]string
	var found [fewParts]uint32
	l := lineWriter{lines: f.Lines, ids: ids[:], found: found[:]}
	if n > fewLines {
		l.ids = make([]string, n)
	}
	if n := parts(f); n > fewParts {
		l.found = make([]uint32, n)
	}
	l.findParts(f)
	l.rewind()
	w.lines(&l)
	if ranged {
		w.time(f.First)
		w.time(f.Last)
	}
	if (f.Cut != freshness.Cut{}) {
		w.cut(&f.Cut)
	}
	if c := &f.Type; c.Name != "" {
		w.name(c.Name)
		if !w.part(&l) {
			w.time(c.Time)
			w.string(c.ID)
		}
		w.name(c.Source)
	}
	w.mark(&l, &f.Begun)
	w.mark(&l, &f.Over)
	w.uint(uint64(len(f.Items)))
	for i := range f.Items {
		w.holding(&l, &f.Items[i])
	}
	w.uint(uint64(len(f.Steps)))
	for i := range f.Steps {
		w.step(&l, &f.Steps[i])
	}
	u := useContext{}
	for _, uses := range [][]freshness.Use{f.Uses, f.Rivals} {
		w.uint(uint64(len(uses)))
		for i := range uses {
			w.use(&l, &u, &uses[i])
		}
	}
	w.sections(f)
	return w.b
}

// parts returns how many parts of events a workflow has, at most.
func parts(f *freshness.Workflow) int {
	n := 3 + len(f.Steps) + len(f.Uses) + len(f.Rivals)
	for i := range f.Items {
		n += len(f.Items[i].Loads) + len(f.Items[i].Drops)
	}
	return n
}

// findParts finds the lines of all parts, in the order in which they are written.
func (l *lineWriter) findParts(f *freshness.Workflow) {
	if f.Type.Name != "" {
		l.find(f.Type.Time, f.Type.ID, 0, nil)
	}
	for _, m := range []*freshness.Mark{&f.Begun, &f.Over} {
		if m.Set {
			l.find(m.Time, m.ID, m.Type, nil)
		}
	}
	for i := range f.Items {
		h := &f.Items[i]
		for j := range h.Loads {
			x := &h.Loads[j]
			l.find(x.Time, x.ID, 0, &x.At)
		}
		for j := range h.Drops {
			l.find(h.Drops[j].Time, h.Drops[j].ID, 0, nil)
		}
	}
	for i := range f.Steps {
		l.find(f.Steps[i].Time, f.Steps[i].ID, f.Steps[i].Type, nil)
	}
	for _, uses := range [][]freshness.Use{f.Uses, f.Rivals} {
		for i := range uses {
			l.find(uses[i].Time, uses[i].ID, 0, &uses[i].At)
		}
	}
}

func (w *writer) cut(c *freshness.Cut) {
	for _, n := range []int64{c.Loads, c.Uses, c.Steps, c.Lines, c.Items, c.Refs} {
		w.uint(uint64(n))
	}
	w.time(c.LoadsThrough)
	w.time(c.StepsThrough)
	w.time(c.UsesThrough)
}

func (w *writer) mark(l *lineWriter, m *freshness.Mark) {
	if m.Set && !w.part(l) {
		w.time(m.Time)
		w.byte(byte(m.Type))
		w.string(m.ID)
	}
}

func (w *writer) at(a freshness.At) {
	w.uint(uint64(a.Topic))
	w.uint(uint64(a.Partition))
	w.uint(uint64(a.Offset))
}

func (w *writer) holding(l *lineWriter, h *freshness.Holding) {
	w.name(h.Kind)
	w.string(h.Key)
	w.flags(h.Cut, len(h.Drops) > 0)
	if h.Cut {
		w.time(h.Through)
	}
	w.uint(uint64(len(h.Loads)))
	for i := range h.Loads {
		x := &h.Loads[i]
		w.flags(x.Ref.HasSeq, x.Ref.HasAsOf)
		if !w.part(l) {
			w.time(x.Time)
			w.string(x.ID)
			w.at(x.At)
		}
		w.ref(x.Ref.Version, x.Ref.Seq, x.Ref.AsOf, x.Ref.HasSeq, x.Ref.HasAsOf)
	}
	if len(h.Drops) == 0 {
		return
	}
	w.uint(uint64(len(h.Drops)))
	for i := range h.Drops {
		if !w.part(l) {
			w.time(h.Drops[i].Time)
			w.string(h.Drops[i].ID)
		}
	}
}

func (w *writer) ref(version string, seq int64, asOf event.Time, hasSeq, hasAsOf bool) {
	w.name(version)
	if hasSeq {
		w.int(seq)
	}
	if hasAsOf {
		w.time(asOf)
	}
}

func (w *writer) step(l *lineWriter, s *freshness.Step) {
	if !w.part(l) {
		w.time(s.Time)
		w.byte(byte(s.Type))
		w.string(s.ID)
	}
	w.name(s.CallID)
}

// useContext is what a use may have in common with the one before it.
type useContext struct {
	data     string
	contract uint64
}

func (w *writer) use(l *lineWriter, c *useContext, u *freshness.Use) {
	same := u.Said.Revision > 0 && u.Said.Contract == c.contract
	w.flags(u.Kind == freshness.Executed, u.HasClass, u.HasBasedOn, u.Said.Unsettled, u.CheckID != "", u.TraceParent != "", same, u.Excess)
	w.byte(byte(u.Traffic))
	if !w.part(l) {
		w.time(u.Time)
		w.string(u.ID)
		w.at(u.At)
	}
	w.name(u.DecisionID)
	w.name(u.Source)
	w.name(u.Class)
	w.data(c, u.Data)
	if u.CheckID != "" {
		w.string(u.CheckID)
	}
	if u.TraceParent != "" {
		w.string(u.TraceParent)
	}
	if u.HasBasedOn {
		w.uint(uint64(len(u.BasedOn)))
	}
	for i := range u.BasedOn {
		r := &u.BasedOn[i]
		w.flags(r.HasSeq, r.HasAsOf)
		w.name(r.Kind)
		w.name(r.Key)
		w.ref(r.Version, r.Seq, r.AsOf, r.HasSeq, r.HasAsOf)
	}
	s := &u.Said
	w.uint(uint64(s.Revision))
	if s.Revision == 0 {
		return
	}
	w.fixed(s.Digest)
	if !same {
		w.fixed(s.Contract)
		c.contract = s.Contract
	}
	w.byte(byte(s.Verdict))
	w.time(s.JudgedAt)
	w.time(s.CompleteThrough)
	w.string(s.Counted)
}

// data appends the raw data of a decision: what it has in common with that of the one before, most of which is the names of fields, is not
// repeated.
func (w *writer) data(c *useContext, data string) {
	begin := sharedPrefix(c.data, data)
	end := sharedSuffix(c.data[begin:], data[begin:])
	w.uint(uint64(begin))
	w.uint(uint64(end))
	w.string(data[begin : len(data)-end])
	c.data = data
}

// DecodeWorkflow reads the row of a workflow, which keeps b. Intern, if given, returns one copy of strings that many rows share.
func DecodeWorkflow(id string, b []byte, intern func(string) string) (*freshness.Workflow, error) {
	if len(b) > 0 && b[0] == 1 {
		f, err := decodeWorkflow1(id, b, intern)
		if err != nil {
			return nil, fmt.Errorf("workflow %q: %w", id, err)
		}
		return f, nil
	}
	if len(b) == 0 || b[0] != workflowVersion {
		return nil, fmt.Errorf("%w: workflow row of version %v, this release reads %d", ErrRow, b[:min(1, len(b))], workflowVersion)
	}
	r := reader{b: b[1:], intern: intern, names: newRecent()}
	f := freshness.NewWorkflow(id)
	has := r.byte()
	if n := r.count(); n > 0 {
		f.Topics = make([]string, n)
		for i := range f.Topics {
			f.Topics[i] = r.name()
		}
	}
	var l lineReader
	f.Lines = r.lines(&l)
	if n := len(f.Lines); n > 0 {
		f.First, f.Last = f.Lines[0].Time, f.Lines[n-1].Time
	}
	if r.flag(has, hasRange) {
		f.First, f.Last = r.time(), r.time()
	}
	if r.flag(has, hasCut) {
		r.cut(&f.Cut)
	}
	if r.flag(has, hasType) {
		c := &f.Type
		c.Name = r.name()
		if x, id := r.part(&l); x != nil {
			c.Time, c.ID = x.Time, id
		} else {
			c.Time, c.ID = r.time(), r.string()
		}
		c.Source = r.name()
	}
	r.mark(&l, &f.Begun, r.flag(has, hasBegun))
	r.mark(&l, &f.Over, r.flag(has, hasOver))
	if n := r.count(); n > 0 {
		f.Items = make([]freshness.Holding, n)
		for i := range f.Items {
			r.holding(&l, &f.Items[i])
		}
	}
	if n := r.count(); n > 0 {
		f.Steps = make([]freshness.Step, n)
		for i := range f.Steps {
			r.step(&l, &f.Steps[i])
		}
	}
	var u useContext
	for _, uses := range []*[]freshness.Use{&f.Uses, &f.Rivals} {
		if n := r.count(); n > 0 {
			*uses = make([]freshness.Use, n)
			for i := range *uses {
				r.use(&l, &u, &(*uses)[i])
			}
		}
	}
	r.sections(f)
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("workflow %q: %w", id, err)
	}
	return f, nil
}

func (r *reader) cut(c *freshness.Cut) {
	for _, n := range []*int64{&c.Loads, &c.Uses, &c.Steps, &c.Lines, &c.Items, &c.Refs} {
		*n = int64(r.uint())
	}
	c.LoadsThrough, c.StepsThrough, c.UsesThrough = r.time(), r.time(), r.time()
}

func (r *reader) at() freshness.At {
	return freshness.At{Topic: uint16(r.uint()), Partition: int32(r.uint()), Offset: int64(r.uint())}
}

func (r *reader) mark(l *lineReader, m *freshness.Mark, set bool) {
	if m.Set = set; !set {
		return
	}
	if x, id := r.part(l); x != nil {
		m.Time, m.Type, m.ID = x.Time, x.Type, id
	} else {
		m.Time, m.Type, m.ID = r.time(), event.Type(r.byte()), r.string()
	}
}

func (r *reader) holding(l *lineReader, h *freshness.Holding) {
	h.Kind, h.Key = r.name(), r.shared()
	v := r.byte()
	if h.Cut = r.flag(v, 0); h.Cut {
		h.Through = r.time()
	}
	if n := r.count(); n > 0 {
		h.Loads = make([]freshness.Load, n)
		for i := range h.Loads {
			r.load(l, &h.Loads[i])
		}
	}
	if !r.flag(v, 1) {
		return
	}
	if n := r.count(); n > 0 {
		h.Drops = make([]freshness.Drop, n)
		for i := range h.Drops {
			if x, id := r.part(l); x != nil {
				h.Drops[i] = freshness.Drop{Time: x.Time, ID: id}
			} else {
				h.Drops[i] = freshness.Drop{Time: r.time(), ID: r.string()}
			}
		}
	}
}

func (r *reader) load(l *lineReader, to *freshness.Load) {
	v := r.byte()
	if x, id := r.part(l); x != nil {
		to.Time, to.ID, to.At = x.Time, id, x.At
	} else {
		to.Time, to.ID, to.At = r.time(), r.string(), r.at()
	}
	to.Ref.HasSeq, to.Ref.HasAsOf = r.flag(v, 0), r.flag(v, 1)
	to.Ref.Version, to.Ref.Seq, to.Ref.AsOf = r.ref(to.Ref.HasSeq, to.Ref.HasAsOf)
}

func (r *reader) ref(hasSeq, hasAsOf bool) (version string, seq int64, asOf event.Time) {
	version = r.name()
	if hasSeq {
		seq = r.int()
	}
	if hasAsOf {
		asOf = r.time()
	}
	return version, seq, asOf
}

func (r *reader) step(l *lineReader, s *freshness.Step) {
	if x, id := r.part(l); x != nil {
		s.Time, s.Type, s.ID = x.Time, x.Type, id
	} else {
		s.Time, s.Type, s.ID = r.time(), event.Type(r.byte()), r.string()
	}
	s.CallID = r.name()
}

func (r *reader) use(l *lineReader, c *useContext, u *freshness.Use) {
	v := r.byte()
	if r.flag(v, 0) {
		u.Kind = freshness.Executed
	}
	u.HasClass, u.HasBasedOn, u.Said.Unsettled, u.Excess = r.flag(v, 1), r.flag(v, 2), r.flag(v, 3), r.flag(v, 7)
	u.Traffic = event.TrafficClass(r.byte())
	if x, id := r.part(l); x != nil {
		u.Time, u.ID, u.At = x.Time, id, x.At
	} else {
		u.Time, u.ID, u.At = r.time(), r.string(), r.at()
	}
	u.DecisionID, u.Source, u.Class = r.name(), r.name(), r.name()
	u.Data = r.data(c)
	if r.flag(v, 4) {
		u.CheckID = r.string()
	}
	if r.flag(v, 5) {
		u.TraceParent = r.string()
	}
	if u.HasBasedOn {
		u.BasedOn = make([]event.Ref, r.count())
	}
	for i := range u.BasedOn {
		b := &u.BasedOn[i]
		v := r.byte()
		b.HasSeq, b.HasAsOf, b.Kind, b.Key = r.flag(v, 0), r.flag(v, 1), r.name(), r.name()
		b.Version, b.Seq, b.AsOf = r.ref(b.HasSeq, b.HasAsOf)
	}
	s := &u.Said
	if s.Revision = int32(r.uint()); s.Revision == 0 {
		return
	}
	s.Digest = r.fixed()
	if !r.flag(v, 6) {
		c.contract = r.fixed()
	}
	s.Contract, s.Verdict = c.contract, freshness.VerdictKind(r.byte())
	s.JudgedAt, s.CompleteThrough, s.Counted = r.time(), r.time(), r.string()
}

func (r *reader) data(c *useContext) string {
	begin := r.within(len(c.data))
	end := r.within(len(c.data) - begin)
	c.data = r.joined(c.data[:begin], c.data[len(c.data)-end:])
	return c.data
}
