package freshness

import (
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
)

// Question is what is asked of a workflow: its verdict at an instant.
type Question struct {
	At       event.Time
	Class    string
	HasClass bool
	Items    []event.Ref // judged instead of what was loaded, if HasItems
	HasItems bool
	Rules    *Rules // instead of the contract's, if not nil

	lost bool // a limit has left out the items, or a proposal that class or items may be of
}

// Judge judges a use. The verdict is reused: what it held before is gone, and nothing is allocated once it has grown.
func (w *Workflow) Judge(u *Use, src Sources, c *Contract, v *Verdict) {
	q := Question{At: u.Time, Class: u.Class, HasClass: u.HasClass, Items: u.BasedOn, HasItems: u.HasBasedOn, lost: u.Excess}
	if u.Kind == Executed && (!u.HasClass || !u.HasBasedOn) {
		if p := w.proposal(u); p == nil {
			q.lost = w.Cut.Uses > 0
		} else {
			if !q.HasClass {
				q.Class, q.HasClass = p.Class, p.HasClass
			}
			if !q.HasItems {
				q.Items, q.HasItems, q.lost = p.BasedOn, p.HasBasedOn, p.Excess
			}
		}
	}
	w.Ask(&q, src, c, v)
}

// JudgeAt judges the workflow's current items at an instant, under the rules of a decision class ("": of none).
func (w *Workflow) JudgeAt(x event.Time, class string, src Sources, c *Contract, v *Verdict) {
	w.Ask(&Question{At: x, Class: class, HasClass: class != ""}, src, c, v)
}

// plan is what the rules come to for the kinds met so far.
type plan struct {
	contract *Contract
	rules    *Rules
	kinds    []kindPlan
}

// kindPlan is what is said of one kind.
type kindPlan struct {
	kind           string
	judged         bool
	required       bool
	bounds         Bounds
	basis          Basis
	reported       bool
	hasSilence     bool
	silence        Duration
	history        int
	owner, serving string
}

// of returns what is said of a kind. Uses look at the same few kinds again and again.
func (p *plan) of(kind string) *kindPlan {
	for i := range p.kinds {
		if p.kinds[i].kind == kind {
			return &p.kinds[i]
		}
	}
	k := kindPlan{kind: strings.Clone(kind), owner: p.rules.Owner, serving: p.rules.Owner}
	b, ok := p.rules.Kinds[kind]
	if !ok {
		b = p.rules.Kinds["*"]
	}
	k.judged, k.bounds = b.Judged, b.Bounds
	_, k.required = slices.BinarySearch(p.rules.Require, kind)
	if ctx := p.contract.Contexts[kind]; ctx != nil {
		k.owner, k.serving = ctx.Owner, ctx.ServingOwner
		if k.serving == "" {
			k.serving = ctx.Owner
		}
		k.basis, k.reported, k.history = ctx.Basis, ctx.Reported, ctx.History
		k.hasSilence, k.silence = ctx.HasMaxSilence, ctx.MaxSilence
	}
	if len(p.kinds) >= 256 {
		p.kinds = p.kinds[:0]
	}
	p.kinds = append(p.kinds, k)
	return &p.kinds[len(p.kinds)-1]
}

func (v *Verdict) reset(w *Workflow, q *Question, c *Contract) {
	v.Kind, v.Reasons, v.WorkflowType = IsUnknown, 0, w.Type.Name
	v.Class, v.HasClass = q.Class, q.HasClass
	v.Staleness, v.Age, v.Behind = 0, 0, 0
	v.HasStaleness, v.HasAge, v.HasBehind = false, false, false
	v.Cause, v.Owner, v.Items, v.Contract = NoCause, "", v.Items[:0], c
	v.Silent, v.unsettled = false, false
}

// Ask judges a workflow as asked: the one judgement there is.
func (w *Workflow) Ask(q *Question, src Sources, c *Contract, v *Verdict) {
	v.reset(w, q, c)
	rules := q.Rules
	if rules == nil && w.Type.Name != "" && c != nil {
		rules = c.Rules(w.Type.Name, q.Class)
	}
	if rules == nil {
		v.Reasons = NoContract
		return
	}
	if v.plan.rules != rules || v.plan.contract != c {
		v.plan = plan{contract: c, rules: rules, kinds: v.plan.kinds[:0]}
	}
	j := judging{w: w, src: src, v: v, t: q.At}
	if q.HasItems {
		j.given(q.Items)
	} else {
		j.loaded()
	}
	j.conclude(q.lost)
}

// judging is one judgement on its way.
type judging struct {
	w         *Workflow
	src       Sources
	v         *Verdict
	t         event.Time
	present   int // required kinds that are in the use set
	lastKind  string
	truncated bool // a limit of the workflow has left out what the verdict may rest on
}

// met counts a required kind that is in the use set. Items come sorted by kind.
func (j *judging) met(p *kindPlan) {
	if p.required && (j.present == 0 || j.lastKind != p.kind) {
		j.present++
		j.lastKind = p.kind
	}
}

// loaded judges what the workflow had loaded and not dropped by t.
func (j *judging) loaded() {
	j.truncated = j.w.Cut.Items > 0
	for i := range j.w.Items {
		h := &j.w.Items[i]
		if p := j.v.plan.of(h.Kind); p.judged || p.required {
			j.held(h, p)
		}
	}
}

// held judges an item of what the workflow had loaded and not dropped by t; nil if it is not judged, or not held.
func (j *judging) held(h *Holding, p *kindPlan) (*ItemVerdict, view) {
	l, r, w, in := j.chosen(h, p)
	if !in {
		return nil, w
	}
	j.met(p)
	if !p.judged {
		return nil, w
	}
	if w.item == nil {
		w = j.look(h.Kind, h.Key, p)
	}
	if r.seq == 0 && !r.known {
		r = w.resolve(&l.Ref, l.Time)
	}
	iv := j.add(h.Kind, h.Key)
	iv.loaded, iv.LoadedAt, iv.LoadAt, iv.HasLoad = l.Time, l.Time, l.At, true
	j.item(iv, p, &w, r, &l.Ref, l.Time)
	return iv, w
}

func (j *judging) look(kind, key string, p *kindPlan) view {
	return look(j.src.Item(kind, key), p.basis, j.t, p.history)
}

// chosen returns the load of an item that is in use at t, if there is one. Only where loads of one instant compete is the item looked at.
func (j *judging) chosen(h *Holding, p *kindPlan) (l *Load, r resolved, w view, in bool) {
	n := h.loadsUpTo(j.t)
	if n == 0 {
		j.truncated = j.truncated || h.Cut
		return nil, r, w, false
	}
	l = &h.Loads[n-1]
	if n > 1 && h.Loads[n-2].Time == l.Time {
		w = j.look(h.Kind, h.Key, p)
		r = j.resolve(&w, l)
		for i := n - 2; i >= 0 && h.Loads[i].Time == l.Time; i-- {
			// Loads come in order of id and as_of: an earlier one is in use only if its seq is greater.
			if o := j.resolve(&w, &h.Loads[i]); r.less(o) {
				l, r = &h.Loads[i], o
			}
		}
	}
	if d := h.dropsUpTo(j.t); d > 0 {
		if last := &h.Drops[d-1]; last.Time > l.Time || last.Time == l.Time && last.ID > l.ID {
			return nil, r, w, false
		}
	}
	if h.Cut && l.Time <= h.Through {
		j.truncated = true
		return nil, r, w, false
	}
	return l, r, w, true
}

func (j *judging) resolve(w *view, l *Load) resolved {
	r := w.resolve(&l.Ref, l.Time)
	j.v.unsettled = j.v.unsettled || r.unsettled
	return r
}

// given judges exactly the REFs of based_on.
func (j *judging) given(refs []event.Ref) {
	for i := range refs {
		ref := &refs[i]
		p := j.v.plan.of(ref.Kind)
		if p.required && !j.seen(refs[:i], ref.Kind) {
			j.present++
		}
		if !p.judged {
			continue
		}
		w := j.look(ref.Kind, ref.Key, p)
		lr := LoadRef{Version: ref.Version, Seq: ref.Seq, AsOf: ref.AsOf, HasSeq: ref.HasSeq, HasAsOf: ref.HasAsOf}
		r := w.resolve(&lr, j.t)
		iv := j.add(ref.Kind, ref.Key)
		if lr.HasAsOf {
			iv.loaded = min(lr.AsOf, j.t)
		} else {
			iv.loaded = j.t
		}
		if l := j.loadOf(&w, iv, r); l != nil {
			iv.loaded, iv.LoadedAt, iv.LoadAt, iv.HasLoad = l.Time, l.Time, l.At, true
		}
		j.item(iv, p, &w, r, &lr, j.t)
	}
	slices.SortStableFunc(j.v.Items, compareItems)
}

func (j *judging) seen(refs []event.Ref, kind string) bool {
	return slices.ContainsFunc(refs, func(r event.Ref) bool { return r.Kind == kind })
}

func compareItems(a, b ItemVerdict) int {
	if c := strings.Compare(a.Kind, b.Kind); c != 0 {
		return c
	}
	if c := strings.Compare(a.Key, b.Key); c != 0 {
		return c
	}
	switch {
	case a.HasSeq != b.HasSeq:
		if b.HasSeq {
			return -1
		}
		return 1
	case a.Seq < b.Seq:
		return -1
	case a.Seq > b.Seq:
		return 1
	}
	return 0
}

// loadOf returns the workflow's last load up to t with the same resolved seq, nil if there is none.
func (j *judging) loadOf(w *view, iv *ItemVerdict, r resolved) *Load {
	h := j.w.Holding(iv.Kind, iv.Key)
	if h == nil || !r.known {
		return nil
	}
	e := w.item.find(r.seq)
	for i := h.loadsUpTo(j.t) - 1; i >= 0; i-- {
		l := &h.Loads[i]
		if !l.Ref.HasSeq && e != nil && l.Ref.Version != e.v.Name {
			continue
		}
		if o := j.resolve(w, l); o.known && o.seq == r.seq {
			return l
		}
	}
	return nil
}

// add returns a fresh entry of the verdict's items, with the memory of an older one.
func (j *judging) add(kind, key string) *ItemVerdict {
	items := j.v.Items
	if len(items) < cap(items) {
		items = items[:len(items)+1]
		iv := &items[len(items)-1]
		*iv = ItemVerdict{Causes: iv.Causes[:0]}
	} else {
		items = append(items, ItemVerdict{})
	}
	j.v.Items = items
	iv := &items[len(items)-1]
	iv.Kind, iv.Key = kind, key
	return iv
}

// item measures and judges one used item.
func (j *judging) item(iv *ItemVerdict, p *kindPlan, w *view, r resolved, ref *LoadRef, latest event.Time) {
	iv.Version, iv.Seq, iv.HasSeq = ref.Version, r.seq, r.known
	var used *entry
	if r.known {
		if used = w.known(r.seq); used == nil {
			j.v.unsettled = true
		} else if iv.Version == "" {
			iv.Version = used.v.Name
		}
	}
	j.v.unsettled = j.v.unsettled || r.unsettled
	switch {
	case ref.HasAsOf:
		iv.AsOf, iv.HasAsOf = min(ref.AsOf, latest), true
	case used != nil:
		iv.AsOf, iv.HasAsOf = used.b[BySource], true
	}
	if iv.HasAsOf {
		iv.Age, iv.HasAge = positive(j.t, iv.AsOf), true
	}
	if e := w.current(); e != nil {
		iv.Current = e.v
	}
	retracted := false
	if r.known {
		iv.HasStaleness, iv.HasBehind = true, true
		if star := w.superseding(r.seq); star != nil && star.b[p.basis] <= j.t {
			iv.star, iv.SupersededAt, iv.Superseded = star.v, star.b[p.basis], true
			iv.Staleness = positive(j.t, iv.SupersededAt)
			if iv.Staleness > 0 {
				iv.Behind = w.behind(r.seq)
			}
		}
		retracted = iv.Current != nil && iv.Current.Change == event.Retracted && r.seq < iv.Current.Seq
	}
	iv.silent = p.hasSilence && j.silent(p, w.item)
	iv.decide(p, w, retracted)
	if iv.silent && (iv.Reasons&(SourceSilent|Age) != 0) {
		j.v.Silent = true
	}
}

// positive is (a − b)⁺.
func positive(a, b event.Time) Duration { return max(0, Duration(a-b)) }

// silent says whether an item's source has been silent for too long at t.
func (j *judging) silent(p *kindPlan, it *Item) bool {
	life, alive := it.life(j.t)
	if k, ok := j.src.KindLife(p.kind); ok && (!alive || k > life) {
		life, alive = k, true
	}
	return !alive || Duration(j.t-life) > p.silence
}

// decide gives an item its verdict from its measures.
func (iv *ItemVerdict) decide(p *kindPlan, w *view, retracted bool) {
	b := &p.bounds
	var stale, unknown Reason
	if b.HasStaleness && iv.Staleness > b.MaxStaleness {
		stale |= Staleness
	}
	if b.HasVersions && iv.Behind > b.MaxVersionsBehind {
		stale |= Versions
	}
	if b.HasAge && iv.HasAge && iv.Age > b.MaxAge {
		stale |= Age
	}
	if retracted {
		stale |= RetractedVersion
	}
	if stale != 0 {
		iv.Verdict, iv.Reasons = IsStale, stale
		return
	}
	truncated := w.out && (!iv.HasSeq || iv.Seq < w.cut)
	if b.HasStaleness || b.HasVersions {
		n := w.item.Len()
		switch {
		case truncated:
			unknown |= HistoryTruncated
		case !iv.HasSeq:
			unknown |= NoVersion
		}
		if n == 0 {
			unknown |= UnknownSource
		} else if iv.HasSeq && iv.Seq > w.item.Latest().Seq {
			unknown |= UnknownVersion
		}
	}
	if b.HasAge && !iv.HasAge {
		unknown |= NoAsOf
	}
	if iv.silent {
		unknown |= SourceSilent
	}
	iv.Reasons = unknown
	if iv.Verdict = IsFresh; unknown != 0 {
		iv.Verdict = IsUnknown
	}
}

// conclude draws the use's verdict from its items'.
func (j *judging) conclude(lost bool) {
	v := j.v
	var stale, unknown Reason
	for i := range v.Items {
		iv := &v.Items[i]
		switch iv.Verdict {
		case IsStale:
			stale |= iv.Reasons
		case IsUnknown:
			unknown |= iv.Reasons
		}
		if iv.HasStaleness {
			v.Staleness, v.HasStaleness = max(v.Staleness, iv.Staleness), true
		}
		if iv.HasAge {
			v.Age, v.HasAge = max(v.Age, iv.Age), true
		}
		if iv.HasBehind {
			v.Behind, v.HasBehind = max(v.Behind, iv.Behind), true
		}
	}
	if stale != 0 && !lost {
		v.Kind, v.Reasons = IsStale, stale
		j.causes()
		return
	}
	switch {
	case j.truncated || lost:
		unknown |= HistoryTruncated
	default:
		if j.present < len(v.plan.rules.Require) {
			unknown |= NotLoaded
		}
		if len(v.Items) == 0 {
			unknown |= NoContext
		}
	}
	v.Reasons = unknown
	if v.Kind = IsFresh; unknown != 0 {
		v.Kind = IsUnknown
	}
}

// Unsettled says whether some item of the use set could not be resolved, or its version or source is not known: any change of that item
// may change the verdict, even one whose own times lie after the use.
func (v *Verdict) Unsettled() bool { return v.unsettled }
