package freshness_test

import (
	"reflect"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
)

// This file is the second half of the naive judgement: measures, verdicts, causes.

// naiveMeasures are those of one used item, and what its causes need.
type naiveMeasures struct {
	asOf      event.Time // of the age
	star      naiveVersion
	silent    bool
	truncated bool
	line      naiveItemLine
}

// measure computes age, staleness and versions behind.
func (j *naiveJudge) measure(u naiveUsed, t event.Time) naiveMeasures {
	m := naiveMeasures{line: naiveItemLine{Kind: u.ref.Kind, Key: u.ref.Key}}
	m.truncated = u.view.left && (!u.resolved || u.seq < u.view.cut)
	known := false
	if u.ref.HasAsOf {
		// Of a load it is not later than the load, of a REF in based_on not later than the use.
		m.asOf, known = min(u.ref.AsOf, u.instant), true
		j.reach(u.ref.AsOf > u.instant, "as_of later than it can be")
	} else if u.resolved {
		for _, v := range u.view.versions {
			if v.holder.Seq == u.seq {
				m.asOf, known = v.e, true
			}
		}
	}
	if known {
		age := naiveMillis(max(0, t-m.asOf))
		m.line.Age = &age
	}
	if !u.resolved {
		return m
	}
	m.line.Seq = &u.seq
	var behind int64
	superseded := false
	for _, v := range u.view.versions {
		j.reach(v.holder.Seq == u.seq && v.b > t, "ahead")
		if v.holder.Seq <= u.seq {
			continue
		}
		if v.b < t {
			behind++
		}
		if !superseded || v.b < m.star.b || v.b == m.star.b && v.holder.Seq < m.star.holder.Seq {
			j.reach(superseded && v.b == m.star.b, "superseded twice at the same instant")
			m.star, superseded = v, true
		}
	}
	var staleness naiveMillis
	if superseded {
		staleness = naiveMillis(max(0, t-m.star.b))
	}
	m.line.Staleness, m.line.Behind = &staleness, &behind
	return m
}

// retracted reports whether the current version is a retraction and an older one is in use.
func (j *naiveJudge) retracted(u naiveUsed, t event.Time) bool {
	var current *naiveVersion
	for i, v := range u.view.versions {
		if v.b < t && (current == nil || v.holder.Seq > current.holder.Seq) {
			current = &u.view.versions[i]
		}
	}
	if current == nil || current.holder.Change != event.Retracted {
		return false
	}
	j.reach(u.resolved && u.seq == current.holder.Seq, "the retraction itself in use")
	j.reach(u.resolved && u.seq > current.holder.Seq, "a version newer than the retraction in use")
	return u.resolved && u.seq < current.holder.Seq
}

// judgeItem gives a measured item its verdict and reasons.
func (j *naiveJudge) judgeItem(u naiveUsed, m *naiveMeasures, b naiveBounds, t event.Time) {
	l := &m.line
	var stale, unknown []string
	add := func(to *[]string, holds bool, reason string) {
		if holds {
			*to = append(*to, reason)
		}
	}
	j.reach(b.Staleness.Set && l.Staleness != nil && int64(*l.Staleness) == b.Staleness.Value, "staleness equal to its bound")
	j.reach(b.Age.Set && l.Age != nil && int64(*l.Age) == b.Age.Value, "age equal to its bound")
	add(&stale, b.Staleness.Set && l.Staleness != nil && int64(*l.Staleness) > b.Staleness.Value, "staleness")
	add(&stale, b.Versions.Set && l.Behind != nil && *l.Behind > b.Versions.Value, "versions")
	add(&stale, b.Age.Set && l.Age != nil && int64(*l.Age) > b.Age.Value, "age")
	add(&stale, j.retracted(u, t), "retracted")

	order := b.Staleness.Set || b.Versions.Set
	greatest := slices.ContainsFunc(u.view.versions, func(v naiveVersion) bool { return u.resolved && v.holder.Seq >= u.seq })
	add(&unknown, order && !u.resolved && !m.truncated, "no_version")
	add(&unknown, order && len(u.view.versions) == 0, "unknown_source")
	add(&unknown, order && u.resolved && len(u.view.versions) > 0 && !greatest, "unknown_version")
	add(&unknown, b.Age.Set && l.Age == nil, "no_as_of")
	add(&unknown, m.silent, "source_silent")
	add(&unknown, order && m.truncated, "history_truncated")
	j.reach(!order && slices.Contains(stale, "retracted"), "retracted, judged by age only")
	j.reach(m.silent && len(stale) > 0, "silent and stale")
	j.reach(m.truncated && u.resolved && l.Age == nil, "truncated, and its age not known")
	j.reach(m.truncated && len(stale) > 0, "truncated and stale")
	j.reach(m.truncated && !u.resolved, "truncated because not resolved")
	j.reach(m.truncated && !order, "truncated, judged by age only")
	j.reach(!order && !u.resolved, "not resolved, judged by age only")
	switch {
	case len(stale) > 0:
		l.Verdict, l.Reasons = "stale", stale
	case len(unknown) > 0:
		l.Verdict, l.Reasons = "unknown", unknown
	default:
		l.Verdict, l.Reasons = "fresh", []string{}
	}
}

// naiveJudged is a judged item on its way into a line.
type naiveJudged struct {
	used     naiveUsed
	measures naiveMeasures
}

// judge returns the golden line of one use.
func (j *naiveJudge) judge(workflow string, use event.Event) naiveLine {
	l := naiveLine{
		Workflow: workflow, DecisionID: use.DecisionID, Use: "decision.proposed", Verdict: "unknown",
		Traffic: [...]string{"live", "backfill", "eval", "replay"}[use.Traffic], Reasons: []string{}, Items: []naiveItemLine{},
	}
	if use.Type == event.ActionExecuted {
		l.Use = "action.executed"
	}
	if use.HasClass {
		l.Class = &use.Class
	}
	kind := j.workflowType(workflow)
	if kind != "" {
		l.WorkflowType = &kind
	}
	w, ok := j.contract.Workflows[kind]
	if kind == "" || !ok {
		l.Reasons = []string{"no_contract"}
		j.note(l)
		return l
	}
	t := use.Time
	set := j.useSet(workflow, use, w.Owner)
	var judged []naiveJudged
	for _, u := range set {
		b := w.bounds(use.Class, u.ref.Kind)
		if !b.any() {
			lower, own := w.Bounds[u.ref.Kind]
			j.reach(true, "an item that is not judged")
			j.reach(own && !lower.any() && w.Bounds["*"].any(), "an item shielded from the bounds of all kinds")
			continue
		}
		m := j.measure(u, t)
		m.silent = j.silent(u.ref.Kind, u.ref.Key, j.context(u.ref.Kind, w.Owner), t)
		j.judgeItem(u, &m, b, t)
		judged = append(judged, naiveJudged{u, m})
	}
	slices.SortStableFunc(judged, naiveItemOrder)
	notLoaded := slices.ContainsFunc(w.Require, func(kind string) bool {
		return !slices.ContainsFunc(set, func(u naiveUsed) bool { return u.ref.Kind == kind })
	})
	l.sum(judged, notLoaded)
	if l.Verdict == "stale" {
		j.divide(&l, workflow, w.Owner, t, judged)
	}
	for _, it := range judged {
		l.Items = append(l.Items, it.measures.line)
	}
	j.note(l)
	return l
}

// naiveItemOrder sorts by kind, key and seq. An item without seq comes first; what is equal in all three is in the order of its content.
func naiveItemOrder(a, b naiveJudged) int {
	x, y := a.measures.line, b.measures.line
	seq := 0
	switch {
	case x.Seq != nil && y.Seq != nil:
		seq = naiveCompare(*x.Seq, *y.Seq)
	case x.Seq != nil:
		seq = 1
	case y.Seq != nil:
		seq = -1
	}
	return naiveOrder(strings.Compare(x.Kind, y.Kind), strings.Compare(x.Key, y.Key), seq)
}

// sum gives the line the verdict, the reasons and the greatest measures of its items.
func (l *naiveLine) sum(judged []naiveJudged, notLoaded bool) {
	has := func(verdict string) bool {
		return slices.ContainsFunc(judged, func(it naiveJudged) bool { return it.measures.line.Verdict == verdict })
	}
	switch {
	case has("stale"):
		l.Verdict = "stale"
	case has("unknown") || notLoaded || len(judged) == 0:
		l.Verdict = "unknown"
	default:
		l.Verdict = "fresh"
	}
	for _, reason := range naiveReasons() {
		own := l.Verdict == "unknown" && (reason == "not_loaded" && notLoaded || reason == "no_context" && len(judged) == 0)
		of := slices.ContainsFunc(judged, func(it naiveJudged) bool {
			return it.measures.line.Verdict == l.Verdict && slices.Contains(it.measures.line.Reasons, reason)
		})
		if own || of {
			l.Reasons = append(l.Reasons, reason)
		}
	}
	for _, it := range judged {
		m := it.measures.line
		if m.Staleness != nil && (l.Staleness == nil || *m.Staleness > *l.Staleness) {
			l.Staleness = m.Staleness
		}
		if m.Age != nil && (l.Age == nil || *m.Age > *l.Age) {
			l.Age = m.Age
		}
		if m.Behind != nil && (l.Behind == nil || *m.Behind > *l.Behind) {
			l.Behind = m.Behind
		}
	}
}

// naiveReasons are the reasons in their order.
func naiveReasons() []string {
	return []string{"staleness", "versions", "age", "retracted", "no_version", "unknown_source", "unknown_version", "no_as_of",
		"source_silent", "history_truncated", "no_contract", "not_loaded", "no_context"}
}

// naiveCauses are the causes in their order.
func naiveCauses() []string {
	return []string{"source_late", "consumer_lag", "serving_stale", "hold_approval", "hold_tool", "hold_retry", "hold_waiting",
		"hold_other", "source_silent"}
}

// divide gives every item of a stale use its shares, and the use its cause.
func (j *naiveJudge) divide(l *naiveLine, workflow, owner string, t event.Time, judged []naiveJudged) {
	var longest naiveMillis
	var of string
	for i := range judged {
		u, m := judged[i].used, &judged[i].measures
		shares := j.shares(workflow, owner, t, u, *m)
		m.line.Causes = &shares
		if m.line.Verdict != "stale" {
			j.reach(len(shares) > 0, "shares of an item that is not stale")
			continue
		}
		var divided naiveMillis
		largest := naiveShare{}
		for _, s := range shares {
			divided += s.Seconds
			j.reach(s.Seconds == largest.Seconds, "equal shares")
			if s.Seconds > largest.Seconds {
				largest = s
			}
		}
		name := m.line.Kind + "/" + m.line.Key
		j.reach(of != "" && divided == longest, "equally long items")
		if of == "" || divided > longest || divided == longest && name < of {
			longest, of = divided, name
			l.Cause, l.Owner = &largest.Cause, &largest.Owner
		}
	}
}

// shares divides the time of one item of a stale use.
func (j *naiveJudge) shares(workflow, owner string, t event.Time, u naiveUsed, m naiveMeasures) []naiveShare {
	c := j.context(u.ref.Kind, owner)
	shares := []naiveShare{}
	add := func(cause string, from, to event.Time, owner string) {
		if to > from {
			shares = append(shares, naiveShare{cause, naiveMillis(to - from), owner})
		}
	}
	load := j.loadOf(workflow, owner, t, u)
	if slices.Equal(m.line.Reasons, []string{"age"}) {
		j.reach(m.line.Staleness != nil && *m.line.Staleness > 0, "stale for its age only, and superseded")
		if m.silent {
			add("source_silent", m.asOf, t, c.Owner)
			return shares
		}
		j.reach(load < m.asOf, "as_of after the load it is of")
		turn := max(load, m.asOf)
		add("serving_stale", m.asOf, turn, c.ServingOwner)
		return append(shares, j.hold(workflow, owner, turn, t)...)
	}
	if m.line.Staleness == nil || *m.line.Staleness == 0 {
		return shares
	}
	tau := m.star.b
	q := max(m.star.p, tau)
	add("source_late", tau, min(q, t), c.Owner)
	rest := q
	if c.Reported {
		v, served := j.available(u, m.star.holder.Seq)
		j.reach(served && v < q, "served before it was published")
		j.reach(!served, "never served")
		if rest = t; served {
			rest = max(q, v)
		}
		add("consumer_lag", min(q, t), min(rest, t), c.ServingOwner)
	}
	if rest >= t {
		return shares
	}
	j.reach(load == rest, "loaded at the instant from which it could have been newer")
	if load >= rest {
		add("serving_stale", rest, t, c.ServingOwner)
		return shares
	}
	return append(shares, j.hold(workflow, owner, rest, t)...)
}

// available returns when the version with that seq, or a later one, was first served.
func (j *naiveJudge) available(u naiveUsed, seq int64) (first event.Time, served bool) {
	for _, e := range j.sources[u.ref.Kind+"\x00"+u.ref.Key] {
		if e.Type == event.SourceAvailable && e.Seq >= seq && (!served || e.Time < first) {
			first, served = e.Time, true
		}
	}
	return first, served
}

// loadOf returns when what is used was loaded.
func (j *naiveJudge) loadOf(workflow, owner string, t event.Time, u naiveUsed) event.Time {
	if !u.basedOn {
		return u.load.Time
	}
	var last event.Time
	found := false
	for _, load := range j.loads(workflow, t, owner) {
		if load.ref.Kind != u.ref.Kind || load.ref.Key != u.ref.Key || !u.resolved || !load.resolved || load.seq != u.seq {
			continue
		}
		if !found || load.load.Time > last {
			last, found = load.load.Time, true
		}
	}
	j.reach(found, "a based_on REF that was loaded")
	j.reach(!found && !u.resolved, "a based_on REF that is not resolved, with a share")
	switch {
	case found:
		return last
	case u.ref.HasAsOf:
		return min(u.ref.AsOf, t)
	}
	return t
}

// naiveInterval is a part of a workflow's time that has a cause.
type naiveInterval struct {
	cause    string
	call     string
	from, to event.Time
	open     bool
}

// hold classes the time from one instant to another by what the workflow was doing.
func (j *naiveJudge) hold(workflow, owner string, from, t event.Time) []naiveShare {
	intervals := j.intervals(workflow, t)
	edges := []event.Time{from, t}
	for _, i := range intervals {
		for _, edge := range []event.Time{i.from, i.to} {
			if edge > from && edge < t {
				edges = append(edges, edge)
			}
		}
	}
	slices.Sort(edges)
	seconds := map[string]naiveMillis{}
	for i := 1; i < len(edges); i++ {
		cause := "hold_other"
		for _, class := range []string{"hold_waiting", "hold_retry", "hold_tool", "hold_approval"} {
			if slices.ContainsFunc(intervals, func(in naiveInterval) bool {
				return in.cause == class && in.from <= edges[i-1] && in.to >= edges[i]
			}) {
				cause = class
			}
		}
		seconds[cause] += naiveMillis(edges[i] - edges[i-1])
	}
	var shares []naiveShare
	for _, cause := range naiveCauses() {
		if seconds[cause] > 0 {
			shares = append(shares, naiveShare{cause, seconds[cause], owner})
		}
	}
	return shares
}

// intervals pairs a workflow's control and tool events up to t.
func (j *naiveJudge) intervals(workflow string, t event.Time) []naiveInterval {
	var steps []event.Event
	for _, e := range j.workflows[workflow] {
		if e.Time <= t {
			steps = append(steps, e)
		}
	}
	// Of events with the same time and id the contract does not say which comes first: here the type decides, then the call.
	slices.SortFunc(steps, func(a, b event.Event) int {
		return naiveOrder(naiveCompare(a.Time, b.Time), strings.Compare(a.ID, b.ID), naiveCompare(a.Type, b.Type),
			strings.Compare(a.CallID, b.CallID))
	})
	var all []naiveInterval
	opened := func(cause, call string) int {
		return slices.IndexFunc(all, func(i naiveInterval) bool { return i.open && i.cause == cause && i.call == call })
	}
	start := func(cause, call string, at event.Time) {
		j.reach(opened(cause, call) >= 0, "an opening while open")
		if opened(cause, call) < 0 {
			all = append(all, naiveInterval{cause: cause, call: call, from: at, to: t, open: true})
		}
	}
	end := func(cause, call string, at event.Time) {
		i := opened(cause, call)
		j.reach(i < 0, "a closing while closed")
		if i >= 0 {
			all[i].to, all[i].open = at, false
		}
	}
	for i, e := range steps {
		j.reach(i > 0 && e.Time == steps[i-1].Time && e.ID == steps[i-1].ID && e.Type != steps[i-1].Type, "steps with the same time and id")
		switch e.Type {
		case event.ApprovalRequested:
			start("hold_approval", "", e.Time)
		case event.ApprovalGranted, event.ApprovalDenied:
			end("hold_approval", "", e.Time)
		case event.ToolCalled:
			end("hold_retry", e.CallID, e.Time)
			start("hold_tool", e.CallID, e.Time)
		case event.ToolResult:
			end("hold_tool", e.CallID, e.Time)
		case event.ToolRetryScheduled:
			end("hold_tool", e.CallID, e.Time)
			start("hold_retry", e.CallID, e.Time)
		case event.TaskWaiting:
			start("hold_waiting", "", e.Time)
		case event.TaskResumed:
			end("hold_waiting", "", e.Time)
		case event.TaskCompleted, event.TaskFailed, event.TaskCancelled:
			for i := range all {
				j.reach(all[i].open, "the task's end closes")
				if all[i].open {
					all[i].to, all[i].open = e.Time, false
				}
			}
		}
	}
	return all
}

// note counts what a line says.
func (j *naiveJudge) note(l naiveLine) {
	for _, it := range l.Items {
		for _, reason := range it.Reasons {
			j.reach(true, "item "+it.Verdict+" "+reason)
		}
		j.reach(len(it.Reasons) > 1, "several reasons of an item")
		if it.Causes == nil {
			continue
		}
		for _, s := range *it.Causes {
			j.reach(true, "share "+s.Cause)
		}
	}
	for _, reason := range l.Reasons {
		j.reach(true, "use "+reason)
	}
	if l.Cause != nil {
		j.reach(true, "cause "+*l.Cause)
	}
	for i := 1; i < len(l.Items); i++ {
		a, b := l.Items[i-1], l.Items[i]
		same := a.Kind == b.Kind && a.Key == b.Key
		j.reach(same, "an item twice in a use")
		j.reach(same && reflect.DeepEqual(a.Seq, b.Seq), "an item twice in a use with the same seq")
	}
}
