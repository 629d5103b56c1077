package state

import (
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// decodeWorkflow1 reads a row of version 1, which no release writes any more: every part repeats time and id, names are spelled out, and
// neither detections nor what a use has been counted for are there.
func decodeWorkflow1(id string, b []byte, intern func(string) string) (*freshness.Workflow, error) {
	r := reader1{reader{b: b[1:], intern: intern}}
	f := freshness.NewWorkflow(id)
	for n := r.count(); n > 0; n-- {
		f.Topics = append(f.Topics, r.shared())
	}
	f.First, f.Last = r.time(), r.time()
	f.Type = freshness.TypeClaim{Name: r.shared(), Time: r.time(), ID: r.string(), Source: r.shared()}
	for _, n := range []*int64{&f.Cut.Loads, &f.Cut.Uses, &f.Cut.Steps, &f.Cut.Lines, &f.Cut.Items} {
		*n = int64(r.uint())
	}
	f.Cut.LoadsThrough, f.Cut.StepsThrough, f.Cut.UsesThrough = r.time(), r.time(), r.time()
	r.mark(&f.Begun)
	r.mark(&f.Over)
	f.Items = list(&r, (*reader1).holding)
	f.Steps = list(&r, func(r *reader1, s *freshness.Step) {
		s.Time, s.Type, s.ID, s.CallID = r.time(), event.Type(r.byte()), r.string(), r.string()
	})
	f.Lines = list(&r, func(r *reader1, l *freshness.Line) {
		l.Time, l.Type, l.Ident, l.Digest, l.At = r.time(), event.Type(r.byte()), r.fixed(), r.fixed32(), r.at()
	})
	f.Uses, f.Rivals = list(&r, (*reader1).use), list(&r, (*reader1).use)
	// What later versions say of detections and of when the workflow is abandoned comes of a look at it, as soon as there is an engine.
	f.Look = f.Last
	return f, r.end()
}

// reader1 reads what version 1 wrote.
type reader1 struct{ reader }

func list[T any](r *reader1, read func(*reader1, *T)) []T {
	n := r.count()
	if n == 0 {
		return nil
	}
	all := make([]T, n)
	for i := range all {
		read(r, &all[i])
	}
	return all
}

func (r *reader1) mark(m *freshness.Mark) {
	if m.Set = r.flag(r.byte(), 0); m.Set {
		m.Time, m.Type, m.ID = r.time(), event.Type(r.byte()), r.string()
	}
}

func (r *reader1) holding(h *freshness.Holding) {
	h.Kind, h.Key = r.shared(), r.shared()
	if h.Cut = r.flag(r.byte(), 0); h.Cut {
		h.Through = r.time()
	}
	h.Loads = list(r, func(r *reader1, l *freshness.Load) {
		v := r.byte()
		l.Time, l.ID = r.time(), r.string()
		l.Ref.HasSeq, l.Ref.HasAsOf = r.flag(v, 0), r.flag(v, 1)
		l.Ref.Version, l.Ref.Seq, l.Ref.AsOf = r.ref(l.Ref.HasSeq, l.Ref.HasAsOf)
		l.At = r.at()
	})
	h.Drops = list(r, func(r *reader1, d *freshness.Drop) { *d = freshness.Drop{Time: r.time(), ID: r.string()} })
}

// ref reads a REF; its digest is no longer kept.
func (r *reader1) ref(hasSeq, hasAsOf bool) (version string, seq int64, asOf event.Time) {
	version = r.shared()
	_ = r.bytes()
	if hasSeq {
		seq = r.int()
	}
	if hasAsOf {
		asOf = r.time()
	}
	return version, seq, asOf
}

func (r *reader1) use(u *freshness.Use) {
	v := r.byte()
	if r.flag(v, 0) {
		u.Kind = freshness.Executed
	}
	u.HasClass, u.HasBasedOn, u.Said.Unsettled = r.flag(v, 1), r.flag(v, 2), r.flag(v, 3)
	u.Traffic = event.TrafficClass(r.byte())
	u.Time, u.DecisionID, u.ID, u.Source, u.Data = r.time(), r.string(), r.string(), r.shared(), r.string()
	u.Class, u.CheckID, u.TraceParent, u.At = r.shared(), r.string(), r.string(), r.at()
	u.BasedOn = list(r, func(r *reader1, b *event.Ref) {
		v := r.byte()
		b.HasSeq, b.HasAsOf, b.Kind, b.Key = r.flag(v, 0), r.flag(v, 1), r.shared(), r.shared()
		b.Version, b.Seq, b.AsOf = r.ref(b.HasSeq, b.HasAsOf)
	})
	s := &u.Said
	if s.Revision = int32(r.uint()); s.Revision > 0 {
		s.Digest, s.Contract, s.Verdict = r.fixed(), r.fixed(), freshness.VerdictKind(r.byte())
		s.JudgedAt, s.CompleteThrough = r.time(), r.time()
	}
}
