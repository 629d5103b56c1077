package state

import (
	"fmt"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// workflowVersion is the version of a workflow's row. What a version wrote, the next release reads; testdata keeps bytes of each.
const workflowVersion = 1

// AppendWorkflow appends the row of a workflow.
func AppendWorkflow(b []byte, f *freshness.Workflow) []byte {
	w := writer{b: append(b, workflowVersion)}
	w.uint(uint64(len(f.Topics)))
	for _, t := range f.Topics {
		w.string(t)
	}
	w.time(f.First)
	w.time(f.Last)
	w.string(f.Type.Name)
	w.time(f.Type.Time)
	w.string(f.Type.ID)
	w.string(f.Type.Source)
	for _, n := range []int64{f.Cut.Loads, f.Cut.Uses, f.Cut.Steps, f.Cut.Lines, f.Cut.Items} {
		w.uint(uint64(n))
	}
	w.time(f.Cut.LoadsThrough)
	w.time(f.Cut.StepsThrough)
	w.time(f.Cut.UsesThrough)
	w.mark(&f.Begun)
	w.mark(&f.Over)
	w.uint(uint64(len(f.Items)))
	for i := range f.Items {
		w.holding(&f.Items[i])
	}
	w.uint(uint64(len(f.Steps)))
	for i := range f.Steps {
		s := &f.Steps[i]
		w.time(s.Time)
		w.byte(byte(s.Type))
		w.string(s.ID)
		w.string(s.CallID)
	}
	w.uint(uint64(len(f.Lines)))
	for i := range f.Lines {
		l := &f.Lines[i]
		w.time(l.Time)
		w.byte(byte(l.Type))
		w.fixed(l.Ident)
		w.fixed32(l.Digest)
		w.at(l.At)
	}
	for _, uses := range [][]freshness.Use{f.Uses, f.Rivals} {
		w.uint(uint64(len(uses)))
		for i := range uses {
			w.use(&uses[i])
		}
	}
	return w.b
}

func (w *writer) mark(m *freshness.Mark) {
	w.flags(m.Set)
	if m.Set {
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

func (w *writer) holding(h *freshness.Holding) {
	w.string(h.Kind)
	w.string(h.Key)
	w.flags(h.Cut)
	if h.Cut {
		w.time(h.Through)
	}
	w.uint(uint64(len(h.Loads)))
	for i := range h.Loads {
		l := &h.Loads[i]
		w.flags(l.Ref.HasSeq, l.Ref.HasAsOf)
		w.time(l.Time)
		w.string(l.ID)
		w.ref(l.Ref.Version, l.Ref.Digest, l.Ref.Seq, l.Ref.AsOf, l.Ref.HasSeq, l.Ref.HasAsOf)
		w.at(l.At)
	}
	w.uint(uint64(len(h.Drops)))
	for i := range h.Drops {
		w.time(h.Drops[i].Time)
		w.string(h.Drops[i].ID)
	}
}

func (w *writer) ref(version, digest string, seq int64, asOf event.Time, hasSeq, hasAsOf bool) {
	w.string(version)
	w.string(digest)
	if hasSeq {
		w.int(seq)
	}
	if hasAsOf {
		w.time(asOf)
	}
}

func (w *writer) use(u *freshness.Use) {
	w.flags(u.Kind == freshness.Executed, u.HasClass, u.HasBasedOn, u.Said.Unsettled)
	w.byte(byte(u.Traffic))
	w.time(u.Time)
	w.string(u.DecisionID)
	w.string(u.ID)
	w.string(u.Source)
	w.string(u.Data)
	w.string(u.Class)
	w.string(u.CheckID)
	w.string(u.TraceParent)
	w.at(u.At)
	w.uint(uint64(len(u.BasedOn)))
	for i := range u.BasedOn {
		r := &u.BasedOn[i]
		w.flags(r.HasSeq, r.HasAsOf)
		w.string(r.Kind)
		w.string(r.Key)
		w.ref(r.Version, r.Digest, r.Seq, r.AsOf, r.HasSeq, r.HasAsOf)
	}
	s := &u.Said
	w.uint(uint64(s.Revision))
	if s.Revision > 0 {
		w.fixed(s.Digest)
		w.fixed(s.Contract)
		w.byte(byte(s.Verdict))
		w.time(s.JudgedAt)
		w.time(s.CompleteThrough)
	}
}

// DecodeWorkflow reads the row of a workflow, which keeps b. Intern, if given, returns one copy of strings that many rows share.
func DecodeWorkflow(id string, b []byte, intern func(string) string) (*freshness.Workflow, error) {
	if len(b) == 0 || b[0] != workflowVersion {
		return nil, fmt.Errorf("%w: workflow row of version %v, this release reads %d", ErrRow, b[:min(1, len(b))], workflowVersion)
	}
	r := reader{b: b[1:], intern: intern}
	f := freshness.NewWorkflow(id)
	for n := r.count(); n > 0; n-- {
		f.Topics = append(f.Topics, r.name())
	}
	f.First, f.Last = r.time(), r.time()
	f.Type.Name, f.Type.Time, f.Type.ID, f.Type.Source = r.name(), r.time(), r.string(), r.name()
	for _, n := range []*int64{&f.Cut.Loads, &f.Cut.Uses, &f.Cut.Steps, &f.Cut.Lines, &f.Cut.Items} {
		*n = int64(r.uint())
	}
	f.Cut.LoadsThrough, f.Cut.StepsThrough, f.Cut.UsesThrough = r.time(), r.time(), r.time()
	r.mark(&f.Begun)
	r.mark(&f.Over)
	if n := r.count(); n > 0 {
		f.Items = make([]freshness.Holding, n)
		for i := range f.Items {
			r.holding(&f.Items[i])
		}
	}
	if n := r.count(); n > 0 {
		f.Steps = make([]freshness.Step, n)
		for i := range f.Steps {
			s := &f.Steps[i]
			s.Time, s.Type, s.ID, s.CallID = r.time(), event.Type(r.byte()), r.string(), r.string()
		}
	}
	if n := r.count(); n > 0 {
		f.Lines = make([]freshness.Line, n)
		for i := range f.Lines {
			l := &f.Lines[i]
			l.Time, l.Type, l.Ident, l.Digest, l.At = r.time(), event.Type(r.byte()), r.fixed(), r.fixed32(), r.at()
		}
	}
	for _, uses := range []*[]freshness.Use{&f.Uses, &f.Rivals} {
		if n := r.count(); n > 0 {
			*uses = make([]freshness.Use, n)
			for i := range *uses {
				r.use(&(*uses)[i])
			}
		}
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("workflow %q: %w", id, err)
	}
	return f, nil
}

func (r *reader) at() freshness.At {
	return freshness.At{Topic: uint16(r.uint()), Partition: int32(r.uint()), Offset: int64(r.uint())}
}

func (r *reader) mark(m *freshness.Mark) {
	if m.Set = r.flag(r.byte(), 0); m.Set {
		m.Time, m.Type, m.ID = r.time(), event.Type(r.byte()), r.string()
	}
}

func (r *reader) holding(h *freshness.Holding) {
	h.Kind, h.Key = r.name(), r.name()
	if h.Cut = r.flag(r.byte(), 0); h.Cut {
		h.Through = r.time()
	}
	if n := r.count(); n > 0 {
		h.Loads = make([]freshness.Load, n)
		for i := range h.Loads {
			l := &h.Loads[i]
			v := r.byte()
			l.Time, l.ID = r.time(), r.string()
			l.Ref.HasSeq, l.Ref.HasAsOf = r.flag(v, 0), r.flag(v, 1)
			l.Ref.Version, l.Ref.Digest, l.Ref.Seq, l.Ref.AsOf = r.ref(l.Ref.HasSeq, l.Ref.HasAsOf)
			l.At = r.at()
		}
	}
	if n := r.count(); n > 0 {
		h.Drops = make([]freshness.Drop, n)
		for i := range h.Drops {
			h.Drops[i] = freshness.Drop{Time: r.time(), ID: r.string()}
		}
	}
}

func (r *reader) ref(hasSeq, hasAsOf bool) (version, digest string, seq int64, asOf event.Time) {
	version, digest = r.name(), r.string()
	if hasSeq {
		seq = r.int()
	}
	if hasAsOf {
		asOf = r.time()
	}
	return version, digest, seq, asOf
}

func (r *reader) use(u *freshness.Use) {
	v := r.byte()
	if r.flag(v, 0) {
		u.Kind = freshness.Executed
	}
	u.HasClass, u.HasBasedOn, u.Said.Unsettled = r.flag(v, 1), r.flag(v, 2), r.flag(v, 3)
	u.Traffic = event.TrafficClass(r.byte())
	u.Time, u.DecisionID, u.ID, u.Source, u.Data = r.time(), r.string(), r.string(), r.name(), r.string()
	u.Class, u.CheckID, u.TraceParent, u.At = r.name(), r.string(), r.string(), r.at()
	if n := r.count(); n > 0 {
		u.BasedOn = make([]event.Ref, n)
		for i := range u.BasedOn {
			b := &u.BasedOn[i]
			v := r.byte()
			b.HasSeq, b.HasAsOf, b.Kind, b.Key = r.flag(v, 0), r.flag(v, 1), r.name(), r.name()
			b.Version, b.Digest, b.Seq, b.AsOf = r.ref(b.HasSeq, b.HasAsOf)
		}
	}
	s := &u.Said
	s.Revision = int32(r.uint())
	if s.Revision > 0 {
		s.Digest, s.Contract, s.Verdict = r.fixed(), r.fixed(), freshness.VerdictKind(r.byte())
		s.JudgedAt, s.CompleteThrough = r.time(), r.time()
	}
}
