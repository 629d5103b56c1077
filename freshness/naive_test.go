package freshness_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// This file judges once more, from the words of the contract alone: over a slice of events, by looking at all of them for every use. It
// shares nothing with the package but the types, so that an error in one is not an error in the other.

// naiveBound is one bound as a contract file writes it: absent, null or a value (of milliseconds, or of versions).
type naiveBound struct {
	Set, Null bool
	Value     int64
}

// naiveBounds are the bounds under one kind, or under "*".
type naiveBounds struct {
	Staleness, Versions, Age naiveBound
}

// any reports whether there is a bound to judge by.
func (b naiveBounds) any() bool {
	return b.Staleness.Set || b.Versions.Set || b.Age.Set
}

// naiveWorkflow is what a contract file says of one workflow type.
type naiveWorkflow struct {
	Owner   string
	Require []string
	Bounds  map[string]naiveBounds
	Classes map[string]map[string]naiveBounds
}

// naiveContract is a contract as its file says it: the bounds of a class are not yet laid over those of the workflow.
type naiveContract struct {
	Contexts  map[string]freshness.Context
	Workflows map[string]naiveWorkflow
}

// bounds returns those that hold for a kind: the class's laid over the workflow's, each found under the kind's name, else under "*".
func (w naiveWorkflow) bounds(class, kind string) naiveBounds {
	find := func(level map[string]naiveBounds) naiveBounds {
		if b, ok := level[kind]; ok {
			return b
		}
		return level["*"]
	}
	lay := func(under, over naiveBound) naiveBound {
		switch {
		case over.Null:
			return naiveBound{}
		case over.Set:
			return over
		}
		return under
	}
	// A null has nothing to remove on the lower level and is no bound there either.
	lower, upper := find(w.Bounds), find(w.Classes[class])
	return naiveBounds{
		Staleness: lay(lay(naiveBound{}, lower.Staleness), upper.Staleness),
		Versions:  lay(lay(naiveBound{}, lower.Versions), upper.Versions),
		Age:       lay(lay(naiveBound{}, lower.Age), upper.Age),
	}
}

// resolve returns the contract in the form that the package reads.
func (c naiveContract) resolve() *freshness.Contract {
	r := &freshness.Contract{
		Hash:     "sha256:0",
		Contexts: map[string]*freshness.Context{},
		Classes:  map[string]map[string]*freshness.Rules{},
	}
	for kind, context := range c.Contexts {
		r.Contexts[kind] = &context
	}
	for name, w := range c.Workflows {
		classes := map[string]*freshness.Rules{"": w.rules("")}
		for class := range w.Classes {
			classes[class] = w.rules(class)
		}
		r.Classes[name] = classes
	}
	return r
}

// rules returns what holds for one class: an entry for every kind that either level names.
func (w naiveWorkflow) rules(class string) *freshness.Rules {
	rules := &freshness.Rules{Owner: w.Owner, Require: slices.Sorted(slices.Values(w.Require)), Kinds: map[string]freshness.KindBounds{}}
	for _, level := range []map[string]naiveBounds{w.Bounds, w.Classes[class]} {
		for kind := range level {
			b := w.bounds(class, kind)
			rules.Kinds[kind] = freshness.KindBounds{
				Judged: b.any(),
				Bounds: freshness.Bounds{
					MaxStaleness: freshness.Duration(b.Staleness.Value), HasStaleness: b.Staleness.Set,
					MaxVersionsBehind: b.Versions.Value, HasVersions: b.Versions.Set,
					MaxAge: freshness.Duration(b.Age.Value), HasAge: b.Age.Set,
				},
			}
		}
	}
	return rules
}

// naiveMillis is a duration that a golden line says in seconds.
type naiveMillis int64

func (m *naiveMillis) UnmarshalJSON(b []byte) error {
	seconds, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("read seconds: %w", err)
	}
	ms := math.Round(seconds * 1000)
	if math.Abs(seconds*1000-ms) > 1e-3 {
		return fmt.Errorf("read seconds: %s is not exact to the millisecond", b)
	}
	*m = naiveMillis(ms)
	return nil
}

func (m naiveMillis) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(m)/1000, 'f', -1, 64), nil
}

// naiveLine is a golden line.
type naiveLine struct {
	Workflow     string          `json:"workflow"`
	WorkflowType *string         `json:"workflow_type"`
	DecisionID   string          `json:"decision_id"`
	Use          string          `json:"use"`
	Class        *string         `json:"cls"`
	Traffic      string          `json:"traffic_class"`
	Verdict      string          `json:"verdict"`
	Reasons      []string        `json:"reasons"`
	Staleness    *naiveMillis    `json:"staleness_s"`
	Age          *naiveMillis    `json:"age_s"`
	Behind       *int64          `json:"versions_behind"`
	Cause        *string         `json:"cause"`
	Owner        *string         `json:"owner"`
	Items        []naiveItemLine `json:"items"`
}

// naiveItemLine is one judged item of a golden line.
type naiveItemLine struct {
	Kind      string        `json:"kind"`
	Key       string        `json:"key"`
	Seq       *int64        `json:"seq"`
	Verdict   string        `json:"verdict"`
	Reasons   []string      `json:"reasons"`
	Staleness *naiveMillis  `json:"staleness_s"`
	Age       *naiveMillis  `json:"age_s"`
	Behind    *int64        `json:"versions_behind"`
	Causes    *[]naiveShare `json:"causes,omitempty"`
}

type naiveShare struct {
	Cause   string      `json:"cause"`
	Seconds naiveMillis `json:"seconds"`
	Owner   string      `json:"owner"`
}

// readNaiveLine reads a golden line. A field that is none of its own is an error.
func readNaiveLine(line []byte) (naiveLine, error) {
	var l naiveLine
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return l, fmt.Errorf("read golden line %s: %w", line, err)
	}
	return l, nil
}

func (l naiveLine) String() string {
	b, err := json.Marshal(l)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// naiveVersion is one version of an item, with b as its kind's basis says.
type naiveVersion struct {
	holder  event.Event // the update that holds for this seq
	b, e, p event.Time
}

// naiveView is what a use at one instant sees of an item.
type naiveView struct {
	versions []naiveVersion
	left     bool  // versions are left out
	cut      int64 // valid if left
}

// naiveUsed is one used item: a REF and the load it is from, or a REF of based_on.
type naiveUsed struct {
	ref      event.Ref
	basedOn  bool
	load     event.Event // valid unless basedOn
	instant  event.Time  // the load, for a REF of based_on the use
	view     naiveView
	seq      int64
	resolved bool
}

// naiveJudge is a set of events and a contract to judge them by. It counts which clauses of the contract came to bear.
type naiveJudge struct {
	contract  naiveContract
	workflows map[string][]event.Event
	sources   map[string][]event.Event // by kind, key
	reached   map[string]int
}

func newNaiveJudge(c naiveContract, events []event.Event) *naiveJudge {
	j := &naiveJudge{contract: c, workflows: map[string][]event.Event{}, sources: map[string][]event.Event{}, reached: map[string]int{}}
	for _, e := range events {
		switch e.Type {
		case event.SourceUpdated, event.SourceHeartbeat, event.SourceAvailable:
			j.sources[e.Kind+"\x00"+e.Key] = append(j.sources[e.Kind+"\x00"+e.Key], e)
		default:
			j.workflows[e.Subject] = append(j.workflows[e.Subject], e)
		}
	}
	return j
}

// reach notes that a clause came to bear, if it did.
func (j *naiveJudge) reach(it bool, clause string) {
	if it {
		j.reached[clause]++
	}
}

// lines judges every use.
func (j *naiveJudge) lines() []naiveLine {
	var lines []naiveLine
	for workflow, events := range j.workflows {
		type key struct {
			decision string
			kind     event.Type
		}
		uses := map[key]event.Event{}
		for _, e := range events {
			if e.Type != event.DecisionProposed && e.Type != event.ActionExecuted {
				continue
			}
			k := key{e.DecisionID, e.Type}
			held, ok := uses[k]
			j.reach(ok && naiveBefore(held, e) != 0, "decision conflict")
			j.reach(ok && e.Time == held.Time && e.ID == held.ID && e.Source == held.Source && e.Data != held.Data, "decision conflict up to the data")
			// Equal in all that is named, they can still be of different traffic: live is the first that holds.
			if !ok || naiveOrder(naiveBefore(e, held), naiveCompare(e.Traffic, held.Traffic)) < 0 {
				uses[k] = e
			}
		}
		for k, use := range uses {
			if k.kind == event.ActionExecuted {
				if proposed, ok := uses[key{k.decision, event.DecisionProposed}]; ok {
					use = j.inherit(use, proposed)
				}
			}
			lines = append(lines, j.judge(workflow, use))
		}
	}
	slices.SortFunc(lines, func(a, b naiveLine) int {
		return naiveOrder(strings.Compare(a.Workflow, b.Workflow), strings.Compare(a.DecisionID, b.DecisionID), strings.Compare(a.Use, b.Use))
	})
	return lines
}

// naiveOrder returns the first comparison that decides.
func naiveOrder(by ...int) int {
	for _, c := range by {
		if c != 0 {
			return c
		}
	}
	return 0
}

func naiveCompare[T int64 | event.Time | event.Type | event.TrafficClass](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// naiveBefore orders events that contend: by time, id, source and the data's bytes.
func naiveBefore(a, b event.Event) int {
	return naiveOrder(naiveCompare(a.Time, b.Time), strings.Compare(a.ID, b.ID), strings.Compare(a.Source, b.Source),
		strings.Compare(a.Data, b.Data))
}

// inherit gives an executed action what it does not say itself and its proposal does.
func (j *naiveJudge) inherit(use, proposed event.Event) event.Event {
	if !use.HasClass {
		j.reach(proposed.HasClass, "class inherited")
		use.HasClass, use.Class = proposed.HasClass, proposed.Class
	}
	if !use.HasBasedOn {
		j.reach(proposed.HasBasedOn, "based_on inherited")
		j.reach(proposed.HasBasedOn && len(proposed.Refs) == 0, "empty based_on inherited")
		j.reach(proposed.HasBasedOn && proposed.Time > use.Time, "based_on inherited from a later proposal")
		use.HasBasedOn, use.Refs = proposed.HasBasedOn, proposed.Refs
	}
	return use
}

// workflowType returns the claim that holds.
func (j *naiveJudge) workflowType(workflow string) string {
	var holds event.Event
	for _, e := range j.workflows[workflow] {
		if e.WorkflowType == "" {
			continue
		}
		contends := holds.WorkflowType != "" && holds.WorkflowType != e.WorkflowType
		j.reach(contends, "workflow type conflict")
		j.reach(contends && holds.Time == e.Time && holds.ID == e.ID, "workflow type conflict at the same time and id")
		if holds.WorkflowType == "" || naiveOrder(naiveCompare(e.Time, holds.Time), strings.Compare(e.ID, holds.ID),
			strings.Compare(e.Source, holds.Source), strings.Compare(e.WorkflowType, holds.WorkflowType)) < 0 {
			holds = e
		}
	}
	return holds.WorkflowType
}

// context returns what the contract says of a kind, or the defaults for one that is met only through "*".
func (j *naiveJudge) context(kind, workflowOwner string) freshness.Context {
	if c, ok := j.contract.Contexts[kind]; ok {
		return c
	}
	return freshness.Context{Owner: workflowOwner, ServingOwner: workflowOwner, History: 1024, VersionsLimit: 16384}
}

// versions returns all that is known of an item: for every seq the update that holds.
func (j *naiveJudge) versions(kind, key string, basis freshness.Basis) []naiveVersion {
	var all []naiveVersion
	for _, e := range j.sources[kind+"\x00"+key] {
		if e.Type != event.SourceUpdated {
			continue
		}
		v := naiveVersion{holder: e, e: e.EffectiveAt, p: e.Appended}
		if e.HasRecorded {
			v.p = e.Recorded
		}
		i := slices.IndexFunc(all, func(known naiveVersion) bool { return known.holder.Seq == e.Seq })
		if i < 0 {
			all = append(all, v)
			continue
		}
		switch c := naiveBefore(e, all[i].holder); {
		case c < 0:
			all[i] = v
		case c == 0:
			j.reach(v.p != all[i].p, "repeated with another p")
			all[i].p = min(all[i].p, v.p)
		}
		j.reach(naiveBefore(e, all[i].holder) != 0, "source conflict")
	}
	for i := range all {
		all[i].b = all[i].e
		if basis == freshness.ByPublished {
			all[i].b = all[i].p
		}
	}
	return all
}

// view returns what a use at t sees: the history greatest seqs of those in force before it, and all that came into force later.
func (j *naiveJudge) view(kind, key string, c freshness.Context, t event.Time) naiveView {
	var before []naiveVersion
	var view naiveView
	for _, v := range j.versions(kind, key, c.Basis) {
		if v.b < t {
			before = append(before, v)
		} else {
			view.versions = append(view.versions, v)
		}
		j.reach(v.b == t, "in force from the instant of the use on")
	}
	slices.SortFunc(before, func(a, b naiveVersion) int { return naiveCompare(b.holder.Seq, a.holder.Seq) })
	if len(before) > c.History {
		before = before[:c.History]
		view.left, view.cut = true, before[len(before)-1].holder.Seq
	}
	for _, v := range view.versions {
		j.reach(view.left && v.holder.Seq < view.cut, "a later version below the cut")
	}
	j.reach(view.left && c.History > 1 && len(before) > 60, "a cut in a long history")
	view.versions = append(view.versions, before...)
	return view
}

// resolve returns the seq that a REF means, seen by view; instant is the load, or the use for a REF of based_on.
func (j *naiveJudge) resolve(ref event.Ref, view naiveView, instant event.Time) (int64, bool) {
	if ref.HasSeq {
		return ref.Seq, true
	}
	var past, all []int64
	for _, v := range view.versions {
		if ref.Version == "" || v.holder.Version != ref.Version {
			continue
		}
		all = append(all, v.holder.Seq)
		if v.b <= instant {
			past = append(past, v.holder.Seq)
		}
	}
	j.reach(len(all) > 1, "version string of several versions")
	switch {
	case len(past) > 0:
		j.reach(len(past) < len(all), "version string of past and future versions")
		return slices.Max(past), true
	case len(all) > 0 && !view.left:
		j.reach(true, "version string of future versions only")
		return slices.Min(all), true
	}
	j.reach(len(all) > 0, "version string of future versions only, truncated")
	return 0, false
}

// useSet returns what a use at its time rests on.
func (j *naiveJudge) useSet(workflow string, use event.Event, owner string) []naiveUsed {
	t := use.Time
	var set []naiveUsed
	if use.HasBasedOn {
		j.reach(len(use.Refs) == 0, "empty based_on")
		for _, ref := range use.Refs {
			u := naiveUsed{ref: ref, basedOn: true, instant: t, view: j.view(ref.Kind, ref.Key, j.context(ref.Kind, owner), t)}
			u.seq, u.resolved = j.resolve(ref, u.view, t)
			set = append(set, u)
		}
		return set
	}
	for _, u := range j.loads(workflow, t, owner) {
		i := slices.IndexFunc(set, func(s naiveUsed) bool { return s.ref.Kind == u.ref.Kind && s.ref.Key == u.ref.Key })
		if i < 0 {
			set = append(set, u)
			continue
		}
		c := naiveLater(u, set[i])
		instant := u.load.Time == set[i].load.Time
		last := instant && u.resolved == set[i].resolved && u.seq == set[i].seq && u.load.ID == set[i].load.ID
		j.reach(instant && u.resolved != set[i].resolved, "loads at the same instant, one resolved")
		j.reach(instant && u.resolved && set[i].resolved && u.seq != set[i].seq, "loads at the same instant, by seq")
		j.reach(instant && u.ref.HasSeq != set[i].ref.HasSeq && u.seq != set[i].seq, "loads at the same instant, by a resolved seq")
		j.reach(instant && u.seq == set[i].seq && u.load.ID != set[i].load.ID, "loads at the same instant, by id")
		j.reach(last && u.ref.HasAsOf && set[i].ref.HasAsOf && c != 0, "loads at the same instant, by as_of")
		j.reach(last && u.ref.HasAsOf != set[i].ref.HasAsOf, "loads at the same instant, one with as_of")
		if c > 0 {
			set[i] = u
		}
	}
	return slices.DeleteFunc(set, func(u naiveUsed) bool { return j.dropped(workflow, u, t) })
}

// loads returns every load of a workflow up to t.
func (j *naiveJudge) loads(workflow string, t event.Time, owner string) []naiveUsed {
	var loads []naiveUsed
	for _, e := range j.workflows[workflow] {
		if e.Type != event.ContextLoaded && e.Type != event.ToolResult || e.Time > t {
			continue
		}
		for _, ref := range e.Refs {
			u := naiveUsed{ref: ref, load: e, instant: e.Time, view: j.view(ref.Kind, ref.Key, j.context(ref.Kind, owner), t)}
			u.seq, u.resolved = j.resolve(ref, u.view, e.Time)
			loads = append(loads, u)
		}
	}
	return loads
}

// naiveLater orders the loads of one item: by time, resolved seq, the event's id and as_of. What is not there is smallest.
func naiveLater(a, b naiveUsed) int {
	present := func(a, b bool) int {
		switch {
		case a == b:
			return 0
		case b:
			return -1
		}
		return 1
	}
	return naiveOrder(naiveCompare(a.load.Time, b.load.Time),
		present(a.resolved, b.resolved), naiveCompare(a.seq, b.seq),
		strings.Compare(a.load.ID, b.load.ID),
		present(a.ref.HasAsOf, b.ref.HasAsOf), naiveCompare(a.ref.AsOf, b.ref.AsOf))
}

// dropped reports whether the workflow dropped an item after that load and not after t.
func (j *naiveJudge) dropped(workflow string, u naiveUsed, t event.Time) bool {
	for _, e := range j.workflows[workflow] {
		if e.Type != event.ContextDropped || e.Time > t {
			continue
		}
		for _, ref := range e.Refs {
			if ref.Kind != u.ref.Kind || ref.Key != u.ref.Key {
				continue
			}
			after := naiveOrder(naiveCompare(e.Time, u.load.Time), strings.Compare(e.ID, u.load.ID)) > 0
			j.reach(e.Time == u.load.Time && after, "dropped at the instant of the load, after it")
			j.reach(e.Time == u.load.Time && !after, "dropped at the instant of the load, before it")
			j.reach(e.Time == t, "dropped at the instant of the use")
			if after {
				return true
			}
		}
	}
	return false
}

// silent reports whether an item's source is silent at t.
func (j *naiveJudge) silent(kind, key string, c freshness.Context, t event.Time) bool {
	if !c.HasMaxSilence {
		return false
	}
	var life event.Time
	alive, kindWide := false, false
	sign := func(at event.Time) {
		if !alive || at > life {
			life, alive = at, true
		}
	}
	for _, e := range j.sources[kind+"\x00"+key] {
		switch {
		case e.Type == event.SourceUpdated && e.Time <= t:
			sign(e.Time)
		case e.Type == event.SourceHeartbeat:
			sign(min(e.Through, e.Time))
		}
	}
	for _, e := range j.sources[kind+"\x00"] {
		if e.Type == event.SourceHeartbeat {
			kindWide = kindWide || !alive || min(e.Through, e.Time) > life
			sign(min(e.Through, e.Time))
			j.reach(e.Time > t, "a heartbeat after the use")
		}
	}
	j.reach(!alive, "no sign of life ever")
	j.reach(alive && kindWide && int64(t-life) <= int64(c.MaxSilence), "alive by a heartbeat of the whole kind")
	j.reach(alive && int64(t-life) == int64(c.MaxSilence), "silent for exactly as long as may be")
	return !alive || int64(t-life) > int64(c.MaxSilence)
}

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

// naiveEvent decodes one structured event of a golden set.
func naiveEvent(line []byte) (event.Event, error) {
	type ref struct {
		Kind, Key, Version, Digest string
		Seq                        *int64
		AsOf                       *event.Time `json:"as_of"`
	}
	var in struct {
		ID, Source, Type, Subject string
		Time                      event.Time
		Recorded                  *event.Time `json:"recordedtime"`
		WorkflowType              string
		TrafficClass              string
		Data                      json.RawMessage
	}
	if err := json.Unmarshal(line, &in); err != nil {
		return event.Event{}, fmt.Errorf("read event %s: %w", line, err)
	}
	var data struct {
		WorkflowType                  string  `json:"workflow_type"`
		CallID                        string  `json:"call_id"`
		DecisionID                    string  `json:"decision_id"`
		Class                         *string `json:"class"`
		Refs                          []ref
		BasedOn                       *[]ref `json:"based_on"`
		Kind, Key, Version, Change    string
		Seq                           int64
		EffectiveAt                   *event.Time `json:"effective_at"`
		Through                       event.Time
		Owner, Digest, Consumer, Tool string
	}
	if len(in.Data) > 0 {
		if err := json.Unmarshal(in.Data, &data); err != nil {
			return event.Event{}, fmt.Errorf("read data of event %s: %w", line, err)
		}
	}
	segments := strings.Split(in.Type, ".")
	e := event.Event{
		Type: naiveTypes()[strings.Join(segments[max(0, len(segments)-2):], ".")],
		Time: in.Time, Appended: in.Time, ID: in.ID, Source: in.Source, Subject: in.Subject, TypeName: in.Type,
		WorkflowType: in.WorkflowType, Data: string(in.Data), DecisionID: data.DecisionID, CallID: data.CallID, ToolName: data.Tool,
		Kind: data.Kind, Key: data.Key, Version: data.Version, Owner: data.Owner, Digest: data.Digest, Consumer: data.Consumer,
		Seq: data.Seq, EffectiveAt: in.Time, Through: data.Through,
		Traffic: map[string]event.TrafficClass{"backfill": event.Backfill, "eval": event.Eval, "replay": event.Replay}[in.TrafficClass],
		Change:  map[string]event.Change{"retracted": event.Retracted, "rolled_back": event.RolledBack}[data.Change],
	}
	e.WholeKind = e.Type == event.SourceHeartbeat && e.Key == ""
	if e.WorkflowType == "" {
		e.WorkflowType = data.WorkflowType
	}
	if in.Recorded != nil {
		e.Recorded, e.HasRecorded, e.Appended = *in.Recorded, true, *in.Recorded
	}
	if data.EffectiveAt != nil {
		e.EffectiveAt = *data.EffectiveAt
	}
	if data.Class != nil && *data.Class != "" {
		e.Class, e.HasClass = *data.Class, true
	}
	refs := data.Refs
	if data.BasedOn != nil {
		refs, e.HasBasedOn = *data.BasedOn, true
	}
	for _, r := range refs {
		out := event.Ref{Kind: r.Kind, Key: r.Key, Version: r.Version, Digest: r.Digest}
		if r.Seq != nil {
			out.Seq, out.HasSeq = *r.Seq, true
		}
		if r.AsOf != nil {
			out.AsOf, out.HasAsOf = *r.AsOf, true
		}
		e.Refs = append(e.Refs, out)
	}
	return e, nil
}

// naiveTypes are the event types by their names.
func naiveTypes() map[string]event.Type {
	return map[string]event.Type{
		"task.created": event.TaskCreated, "task.started": event.TaskStarted, "task.waiting": event.TaskWaiting,
		"task.resumed": event.TaskResumed, "task.completed": event.TaskCompleted, "task.failed": event.TaskFailed,
		"task.cancelled": event.TaskCancelled, "approval.requested": event.ApprovalRequested, "approval.granted": event.ApprovalGranted,
		"approval.denied": event.ApprovalDenied, "tool.retry_scheduled": event.ToolRetryScheduled, "context.loaded": event.ContextLoaded,
		"context.dropped": event.ContextDropped, "tool.called": event.ToolCalled, "tool.result": event.ToolResult,
		"decision.proposed": event.DecisionProposed, "action.approved": event.ActionApproved, "action.rejected": event.ActionRejected,
		"action.overridden": event.ActionOverridden, "action.executed": event.ActionExecuted,
		"compensation.triggered": event.CompensationTriggered, "source.updated": event.SourceUpdated,
		"source.heartbeat": event.SourceHeartbeat, "source.available": event.SourceAvailable,
	}
}

// naiveGoldenLines reads a file of lines of a golden set.
func naiveGoldenLines(t *testing.T, name string) [][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	s := bufio.NewScanner(z)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		lines = append(lines, bytes.Clone(s.Bytes()))
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

const (
	naiveSecond = int64(1000)
	naiveMinute = 60 * naiveSecond
)

func naiveMax(v int64) naiveBound { return naiveBound{Set: true, Value: v} }

// naiveContext returns a context with the defaults of the contract file.
func naiveContext(owner, serving string, change func(*freshness.Context)) freshness.Context {
	c := freshness.Context{Owner: owner, ServingOwner: serving, History: 1024, VersionsLimit: 16384}
	if change != nil {
		change(&c)
	}
	return c
}

// naiveAdversarial is the contract of the sets adversarial-1 to -3.
func naiveAdversarial() naiveContract {
	return naiveContract{
		Contexts: map[string]freshness.Context{
			"policy": naiveContext("risk", "pay", func(c *freshness.Context) {
				c.MaxSilence, c.HasMaxSilence, c.Reported = freshness.Duration(10*naiveMinute), true, true
			}),
			"feature": naiveContext("ml", "ml", func(c *freshness.Context) { c.Basis = freshness.ByPublished }),
			"doc":     naiveContext("kb", "ml", func(c *freshness.Context) { c.Reported = true }),
			"prompt":  naiveContext("pay", "pay", nil),
		},
		Workflows: map[string]naiveWorkflow{
			"refund": {
				Owner: "pay", Require: []string{"policy"},
				Bounds: map[string]naiveBounds{
					"policy":  {Staleness: naiveMax(60 * naiveSecond), Versions: naiveMax(1)},
					"feature": {Age: naiveMax(30 * naiveSecond), Staleness: naiveMax(5 * naiveSecond)},
					"*":       {Age: naiveMax(10 * naiveMinute)},
				},
				Classes: naiveLarge(),
			},
			"triage": {
				Owner: "kb",
				Bounds: map[string]naiveBounds{
					"doc":    {Versions: naiveMax(0)},
					"policy": {Staleness: naiveMax(5 * naiveMinute)},
					"prompt": {},
					"*":      {Age: naiveMax(20 * naiveMinute)},
				},
			},
		},
	}
}

// naiveLarge is the decision class of the adversarial contracts.
func naiveLarge() map[string]map[string]naiveBounds {
	return map[string]map[string]naiveBounds{"large": {
		"policy":  {Staleness: naiveMax(0), Versions: naiveMax(0)},
		"feature": {Staleness: naiveBound{Null: true}, Age: naiveMax(60 * naiveSecond)},
		"prompt":  {},
	}}
}

// naiveShort is the contract of the set adversarial-4: short histories, and silence with age bounds.
func naiveShort() naiveContract {
	c := naiveAdversarial()
	c.Contexts["feature"] = naiveContext("ml", "ml", func(c *freshness.Context) {
		c.Basis, c.History, c.MaxSilence, c.HasMaxSilence = freshness.ByPublished, 3, freshness.Duration(45*naiveSecond), true
	})
	c.Contexts["doc"] = naiveContext("kb", "ml", func(c *freshness.Context) {
		c.Reported, c.History, c.MaxSilence, c.HasMaxSilence = true, 2, freshness.Duration(3*naiveMinute), true
	})
	c.Workflows["refund"].Bounds["feature"] = naiveBounds{
		Age: naiveMax(60 * naiveSecond), Staleness: naiveMax(10 * naiveMinute), Versions: naiveMax(5),
	}
	c.Workflows["triage"].Bounds["doc"] = naiveBounds{Age: naiveMax(6 * naiveMinute), Staleness: naiveMax(30 * naiveMinute)}
	c.Workflows["triage"].Bounds["policy"] = naiveBounds{Staleness: naiveMax(20 * naiveMinute), Age: naiveMax(15 * naiveMinute)}
	return c
}

// naiveSessions is the contract of the set coding-sessions.
func naiveSessions() naiveContract {
	return naiveContract{
		Contexts: map[string]freshness.Context{"file": naiveContext("repo", "agents", nil)},
		Workflows: map[string]naiveWorkflow{"coding-session": {
			Owner:   "agents",
			Bounds:  map[string]naiveBounds{"file": {Staleness: naiveMax(60 * naiveSecond), Versions: naiveMax(1)}},
			Classes: map[string]map[string]naiveBounds{"commit": {"file": {Staleness: naiveMax(0), Versions: naiveMax(0)}}},
		}},
	}
}

// naiveGoldenSet reads a golden set: its events and its lines.
func naiveGoldenSet(t *testing.T, name string) ([]event.Event, []naiveLine) {
	t.Helper()
	var events []event.Event
	for _, line := range naiveGoldenLines(t, name+".events.ndjson.gz") {
		e, err := naiveEvent(line)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	var lines []naiveLine
	for _, line := range naiveGoldenLines(t, name+".verdicts.ndjson.gz") {
		l, err := readNaiveLine(line)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return events, lines
}

// TestNaiveGolden holds the naive judgement itself to the golden sets: it is the oracle of the random histories.
func TestNaiveGolden(t *testing.T) {
	for _, set := range []struct {
		name     string
		contract naiveContract
	}{
		{"adversarial-1", naiveAdversarial()},
		{"adversarial-2", naiveAdversarial()},
		{"adversarial-3", naiveAdversarial()},
		{"adversarial-4", naiveShort()},
		{"coding-sessions", naiveSessions()},
	} {
		t.Run(set.name, func(t *testing.T) {
			t.Parallel()
			events, want := naiveGoldenSet(t, set.name)
			j := newNaiveJudge(set.contract, events)
			got := j.lines()
			if len(got) != len(want) {
				t.Errorf("%d uses judged, want %d", len(got), len(want))
			}
			wrong := 0
			for i := 0; i < min(len(got), len(want)); i++ {
				if reflect.DeepEqual(got[i], want[i]) {
					continue
				}
				if wrong++; wrong <= 3 {
					t.Errorf("line %d\n got %s\nwant %s", i+1, got[i], want[i])
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d lines differ", wrong, len(want))
			}
			for _, clause := range slices.Sorted(maps.Keys(j.reached)) {
				t.Logf("%7d × %s", j.reached[clause], clause)
			}
		})
	}
}
