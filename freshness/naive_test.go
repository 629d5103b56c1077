package freshness_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// This file, with naive_measure_test.go, judges once more, from the words of the contract alone: over a slice of events, by looking at all of them for every use. It
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
		j.reach(last && u.ref.HasAsOf && set[i].ref.HasAsOf && u.ref.AsOf != set[i].ref.AsOf, "loads at the same instant, by as_of")
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

// naiveLater orders the loads of one item: by time, resolved seq, the event's id and as_of. What is not there is smallest. Where all that is the
// same, and none is resolved, nothing but the version string tells them apart; nothing is judged by it, but it is shown.
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
		present(a.ref.HasAsOf, b.ref.HasAsOf), naiveCompare(a.ref.AsOf, b.ref.AsOf),
		strings.Compare(a.ref.Version, b.ref.Version))
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
