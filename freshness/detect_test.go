package freshness_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// contractsInForce is a history of contracts: each is in force from its instant on, the first one always.
type contractsInForce struct {
	since     []event.Time
	contracts []*freshness.Contract
}

func (c contractsInForce) at(t event.Time) int {
	n := 0
	for i := 1; i < len(c.since); i++ {
		if c.since[i] <= t {
			n = i
		}
	}
	return n
}

func (c contractsInForce) At(t event.Time) *freshness.Contract { return c.contracts[c.at(t)] }

func (c contractsInForce) After(t event.Time) (event.Time, bool) {
	for _, s := range c.since[1:] {
		if s > t {
			return s, true
		}
	}
	return 0, false
}

// detectHistory is a random history with a workflow that is started, and contracts that come into force.
type detectHistory struct {
	randomHistory
	events []event.Event // of the workflow w0 and of sources
	naive  []naiveContract
	since  []event.Time
	idle   freshness.Duration
	end    event.Time
}

func newDetectHistory(t *testing.T, seed uint64) detectHistory {
	t.Helper()
	h := detectHistory{randomHistory: newRandomHistory(seed)}
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 7)), h: randomHistory{}}
	first, last := event.Time(math.MaxInt64), event.Time(math.MinInt64)
	for _, e := range h.randomHistory.events() {
		if e.Type.Category() == event.Source || e.Subject == "w0" {
			h.events = append(h.events, e)
			first, last = min(first, e.Time), max(last, e.Time)
		}
	}
	instant := func() event.Time { return first + event.Time(g.Int64N(int64(last-first)+1)) }
	mark := func(kind event.Type, id string, at event.Time) {
		h.events = append(h.events, event.Event{Type: kind, ID: id, Source: "/s", Time: at, Subject: "w0", WorkflowType: "alpha"})
	}
	mark(event.TaskStarted, "started", min(instant(), instant()))
	if g.maybe(0.4) {
		mark(event.TaskCompleted, "completed", max(instant(), instant()))
	}
	if g.maybe(0.3) {
		h.idle = freshness.Duration(last-first)/4 + 1
	}
	h.naive, h.since = []naiveContract{h.Contract}, []event.Time{0}
	if g.maybe(0.3) {
		other := newRandomHistory(seed + 1_000_000).Contract
		h.naive, h.since = append(h.naive, other), append(h.since, instant())
	}
	h.end = last + 2*(last-first) + 5
	return h
}

func (h *detectHistory) contracts() contractsInForce {
	c := contractsInForce{since: h.since}
	for _, n := range h.naive {
		c.contracts = append(c.contracts, n.resolve())
	}
	return c
}

// naiveDetection is one as far as it is a function of the set of events.
type naiveDetection struct {
	Kind, Key    string
	Seq          string
	Bound        string
	Since, Until event.Time
	ClosedBy     string
}

func (d naiveDetection) String() string {
	return fmt.Sprintf("%s/%s seq %s, %s: %d until %d by %s", d.Kind, d.Key, d.Seq, d.Bound, d.Since-randomStart, d.Until-randomStart, d.ClosedBy)
}

// naiveDetections looks at every instant.
func (h *detectHistory) naiveDetections(through event.Time) []naiveDetection {
	var judges []*naiveJudge
	for _, c := range h.naive {
		judges = append(judges, newNaiveJudge(c, h.events))
	}
	in := contractsInForce{since: h.since}
	first := event.Time(math.MaxInt64)
	items := map[randomItem]bool{}
	for _, e := range judges[0].workflows["w0"] {
		first = min(first, e.Time)
		for _, r := range e.Refs {
			items[randomItem{r.Kind, r.Key}] = true
		}
	}
	var all []naiveDetection
	for it := range items {
		all = append(all, h.naiveItem(judges, in, it, first-1, through)...)
	}
	slices.SortFunc(all, func(a, b naiveDetection) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Since, b.Since))
	})
	return all
}

func (h *detectHistory) naiveItem(judges []*naiveJudge, in contractsInForce, it randomItem, from, through event.Time) []naiveDetection {
	var found []naiveDetection
	var cur *naiveDetection
	sticky := false
	for x := from; x <= through; x++ {
		j := judges[in.at(x)]
		touched, loaded := false, false
		for _, e := range j.workflows["w0"] {
			for _, r := range e.Refs {
				if e.Time == x && r.Kind == it.kind && r.Key == it.key && (e.Type == event.ContextLoaded || e.Type == event.ToolResult || e.Type == event.ContextDropped) {
					touched = true
					loaded = loaded || e.Type != event.ContextDropped
				}
			}
		}
		contract := in.at(x) != in.at(x-1)
		open := h.naiveOpen(j, x)
		if open && sticky && !touched && !contract {
			continue
		}
		stale, held, seq, version, reasons := false, false, "", "", []string(nil)
		use := event.Event{Type: event.DecisionProposed, Subject: "w0", Time: x}
		w := j.contract.Workflows[j.workflowType("w0")]
		for _, u := range j.useSet("w0", use, w.Owner) {
			if u.ref.Kind == it.kind && u.ref.Key == it.key {
				held, version = true, u.ref.Version
			}
		}
		for _, l := range j.judge("w0", use).Items {
			if l.Kind == it.kind && l.Key == it.key {
				stale, reasons, seq = l.Verdict == "stale", l.Reasons, "none"
				if l.Seq != nil {
					seq = fmt.Sprint(*l.Seq)
				} else {
					seq = "?" + version
				}
			}
		}
		stale = stale && open
		if cur != nil && (!stale || cur.Seq != seq) {
			cur.Until = x
			switch {
			case !open:
				cur.ClosedBy = "end"
			case held && loaded && seq != "":
				cur.ClosedBy = "reload"
			case touched && seq == "":
				cur.ClosedBy = "drop"
			case contract:
				cur.ClosedBy = "contract"
			default:
				cur.ClosedBy = "corrected"
			}
			found, cur, sticky = append(found, *cur), nil, false
		}
		if stale && cur == nil {
			names := map[string]string{"staleness": "max_staleness", "versions": "max_versions_behind", "age": "max_age", "retracted": "retracted"}
			cur = &naiveDetection{Kind: it.kind, Key: it.key, Seq: seq, Bound: names[reasons[0]], Since: x}
		}
		sticky = stale && reasons[0] != "retracted"
	}
	if cur != nil {
		found = append(found, *cur)
	}
	return found
}

func (h *detectHistory) naiveOpen(j *naiveJudge, x event.Time) bool {
	begun, over, last := event.Time(math.MaxInt64), event.Time(math.MaxInt64), event.Time(math.MinInt64)
	for _, e := range j.workflows["w0"] {
		switch e.Type {
		case event.TaskStarted:
			begun = min(begun, e.Time)
		case event.TaskCompleted, event.TaskFailed, event.TaskCancelled:
			over = min(over, e.Time)
		}
		if e.Time <= x {
			last = max(last, e.Time)
		}
	}
	return begun <= x && x < over && (h.idle == 0 || freshness.Duration(x-last) < h.idle)
}

// said returns what the package says, without what it has taken back.
func said(w *freshness.Workflow) []naiveDetection {
	var all []naiveDetection
	for i := range w.Detections {
		d := &w.Detections[i]
		if d.ClosedBy == freshness.ByCorrection && d.Until == d.Since {
			continue
		}
		n := naiveDetection{Kind: d.Kind, Key: d.Key, Seq: "?" + d.Version, Bound: d.Bound.Bound(), Since: d.Since, Until: d.Until}
		if d.HasSeq {
			n.Seq = fmt.Sprint(d.Seq)
		}
		if !d.Open() {
			n.ClosedBy = d.ClosedBy.String()
		}
		all = append(all, n)
	}
	return all
}

// TestDetections holds the package to a judge that looks at every instant, on random histories: all at once, and step by step in any order
// of arrival, looking only when something has come or when it said that something is due.
func TestDetections(t *testing.T) {
	reached := map[string]int{}
	histories := min(*randomHistories, 1000)
	for i := range histories {
		seed := *randomSeed + uint64(i)
		h := newDetectHistory(t, seed)
		if h.end-randomStart > 3000 || len(h.events) > 100 {
			continue // every instant is looked at
		}
		want := h.naiveDetections(h.end)
		for _, d := range want {
			reached["closed by "+d.ClosedBy]++
			reached["bound "+d.Bound]++
		}
		if got := h.atOnce(t); !slices.Equal(got, want) {
			t.Errorf("seed %d, all at once:\n got %v\nwant %v", seed, got, want)
			return
		}
		for order := range uint64(3) {
			if got := h.stepByStep(t, rand.New(rand.NewPCG(seed, 100+order)), reached); !slices.Equal(got, want) {
				t.Errorf("seed %d, order %d:\n got %v\nwant %v", seed, order, got, want)
				return
			}
		}
	}
	t.Log(reached)
	if histories < 1000 {
		return
	}
	for _, clause := range []string{"closed by ", "closed by reload", "closed by drop", "closed by end", "closed by contract",
		"bound max_staleness", "bound max_versions_behind", "bound max_age", "bound retracted", "taken back", "came due"} {
		if reached[clause] == 0 {
			t.Errorf("no history reached: %s", clause)
		}
	}
}

// contestedHistory is of a workflow that loads one item again and again in events that name it several times, from a source of which a use
// sees little: which REF is in use changes as versions come into force, also where nothing else happens.
func contestedHistory(seed uint64) detectHistory {
	r := rand.New(rand.NewPCG(seed, 8))
	h := detectHistory{since: []event.Time{0}, end: randomStart + 50}
	instant := func() event.Time { return randomStart + event.Time(r.IntN(30)) }
	happens := func(kind event.Type, at event.Time, e event.Event) {
		e.Type, e.Time, e.Appended, e.Source, e.Subject, e.WorkflowType = kind, at, at, "/s", "w0", "alpha"
		e.ID = fmt.Sprint(len(h.events))
		h.events = append(h.events, e)
	}
	happens(event.TaskStarted, randomStart, event.Event{})
	for range 1 + r.IntN(3) {
		var e event.Event
		for range 2 + r.IntN(4) {
			ref := event.Ref{Kind: "a", Key: "x", Version: fmt.Sprint("v", r.IntN(4)), HasSeq: r.IntN(4) == 0, HasAsOf: r.IntN(3) > 0, AsOf: instant()}
			ref.Seq = int64(r.IntN(6))
			e.Refs = append(e.Refs, ref)
		}
		happens(event.ContextLoaded, instant(), e)
	}
	for range 2 + r.IntN(6) {
		happens(event.SourceUpdated, instant(), event.Event{Kind: "a", Key: "x", Seq: int64(r.IntN(6)), Version: fmt.Sprint("v", r.IntN(4)),
			EffectiveAt: instant(), Change: event.Change(r.IntN(9) / 8)})
	}
	bound := func(n int) naiveBound { return naiveBound{Set: r.IntN(2) == 0, Value: int64(r.IntN(n))} }
	h.naive = []naiveContract{{
		Contexts:  map[string]freshness.Context{"a": {Owner: "one", ServingOwner: "one", Basis: freshness.Basis(r.IntN(2)), History: 1 + r.IntN(3), VersionsLimit: 16384}},
		Workflows: map[string]naiveWorkflow{"alpha": {Owner: "one", Bounds: map[string]naiveBounds{"a": {bound(12), bound(3), bound(20)}}}},
	}}
	h.Seed = seed
	return h
}

// TestTimeChangesWhichLoadIsInUse is TestDetections where loads of one instant compete.
func TestTimeChangesWhichLoadIsInUse(t *testing.T) {
	found := 0
	for i := range *randomHistories / 10 {
		seed := *randomSeed + uint64(i)
		h := contestedHistory(seed)
		want := h.naiveDetections(h.end)
		found += len(want)
		h.deadlines(t)
		if got := h.atOnce(t); !slices.Equal(got, want) {
			t.Fatalf("seed %d, all at once:\n got %v\nwant %v; repeat with\n\tgo test ./freshness -run 'TestTimeChangesWhichLoadIsInUse$' -seed %d -histories 10", seed, got, want, seed)
		}
		if got := h.stepByStep(t, rand.New(rand.NewPCG(seed, 100)), map[string]int{}); !slices.Equal(got, want) {
			t.Fatalf("seed %d, step by step:\n got %v\nwant %v; repeat with\n\tgo test ./freshness -run 'TestTimeChangesWhichLoadIsInUse$' -seed %d -histories 10", seed, got, want, seed)
		}
	}
	if *randomHistories >= 4000 && found < 200 {
		t.Fatalf("%d detections: the test proves little", found)
	}
}

// A change of a source may have been read, and not been driven through the workflows that hold it, when an event of one of them has it looked
// at: what is found then began when it did, not with that event, and is not taken back later.
func TestAChangeThatIsNotDrivenYet(t *testing.T) {
	contract := &freshness.Contract{
		Contexts: map[string]*freshness.Context{"policy": {Owner: "a", ServingOwner: "a", History: 10}},
		Classes: map[string]map[string]*freshness.Rules{"w": {"": {Owner: "a", Kinds: map[string]freshness.KindBounds{
			"policy": {Judged: true, Bounds: freshness.Bounds{HasVersions: true}}}}}},
	}
	facts, w, lim := freshness.NewFacts(), freshness.NewWorkflow("w0"), freshness.DefaultLimits()
	d := freshness.Detector{Sources: facts, Contracts: contractsInForce{contracts: []*freshness.Contract{contract}, since: []event.Time{0}}}
	n := 0
	happens := func(e event.Event) {
		n++
		e.ID, e.Source, e.WorkflowType = fmt.Sprint(n), "s", "w"
		if e.Type == event.SourceUpdated {
			e.Kind, e.Key, e.Appended, e.EffectiveAt = "policy", "p", e.Time, e.Time
			facts.Apply(&e, freshness.Position{}, 0)
			return
		}
		w.Fold(&e, freshness.Position{}, &lim)
	}
	look := func(from event.Time) (changed int) {
		c, _, _ := d.Detect(w, from, func(string, string) event.Time { return 1000 })
		return len(c)
	}
	happens(event.Event{Type: event.SourceUpdated, Seq: 1, Time: 50})
	happens(event.Event{Type: event.TaskStarted, Time: 100})
	happens(event.Event{Type: event.ContextLoaded, Time: 100, Refs: []event.Ref{{Kind: "policy", Key: "p", Seq: 1, HasSeq: true}}})
	if look(math.MinInt64/2) != 0 {
		t.Fatalf("found %v before there was anything", said(w))
	}
	happens(event.Event{Type: event.SourceUpdated, Seq: 2, Time: 200})
	happens(event.Event{Type: event.DecisionProposed, Time: 500, DecisionID: "d"})
	if look(500) != 1 || w.Detections[0].Since != 201 || !w.Detections[0].Open() {
		t.Fatalf("an event at 500 finds %v; want what has been stale since 201", said(w))
	}
	if look(200) != 0 || look(math.MinInt64/2) != 0 {
		t.Errorf("it is another one when the change is driven: %v", said(w))
	}
}

// folded returns what all events come to.
func (h *detectHistory) folded() (*freshness.Facts, *freshness.Workflow) {
	facts, w, lim := freshness.NewFacts(), freshness.NewWorkflow("w0"), freshness.DefaultLimits()
	for i := range h.events {
		if e := h.events[i]; e.Type.Category() == event.Source {
			facts.Apply(&e, freshness.Position{}, 0)
		} else {
			w.Fold(&e, freshness.Position{}, &lim)
		}
	}
	return facts, w
}

// deadlines holds the next deadline of what is asked at each instant to what is answered at all later ones. The workflow has one item.
func (h *detectHistory) deadlines(t *testing.T) {
	t.Helper()
	facts, w := h.folded()
	c, end := h.contracts().At(0), h.end+50
	type answer struct {
		use, item freshness.VerdictKind
		seq       int64 // of an item that is not fresh: to hold another version is something else, too
		known     bool
	}
	var v freshness.Verdict
	ask := func(x event.Time) answer {
		w.JudgeAt(x, "", facts, c, &v)
		if len(v.Items) == 0 || v.Items[0].Verdict == freshness.IsFresh {
			return answer{use: v.Kind, item: freshness.IsFresh}
		}
		return answer{v.Kind, v.Items[0].Verdict, v.Items[0].Seq, v.Items[0].HasSeq}
	}
	next, turns, later := event.Time(0), false, ask(end)
	for x := end - 1; x >= randomStart-1; x-- {
		now := ask(x)
		if now != later {
			next, turns = x+1, true
		}
		at, ok := w.NextDeadline(&freshness.Question{At: x}, facts, c, &v)
		if ok != turns || ok && at != next {
			t.Fatalf("seed %d, asked at %d: turns at %d (%v), not at %d (%v)", h.Seed, x-randomStart, next-randomStart, turns, at-randomStart, ok)
		}
		later = now
	}
}

func (h *detectHistory) atOnce(t *testing.T) []naiveDetection {
	t.Helper()
	facts, w := h.folded()
	d := freshness.Detector{Sources: facts, Contracts: h.contracts(), Idle: h.idle}
	d.Detect(w, math.MinInt64/2, func(string, string) event.Time { return h.end })
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	again := freshness.NewWorkflow("")
	if err := json.Unmarshal(b, again); err != nil {
		t.Fatal(err)
	}
	if changed, _, _ := d.Detect(again, math.MinInt64/2, func(string, string) event.Time { return h.end }); len(changed) > 0 {
		t.Errorf("seed %d: what has been found changes when it is looked for again: %+v", h.Seed, changed)
	}
	return said(w)
}

func (h *detectHistory) stepByStep(t *testing.T, r *rand.Rand, reached map[string]int) []naiveDetection {
	t.Helper()
	const always = event.Time(math.MinInt64 / 2)
	facts, w, lim := freshness.NewFacts(), freshness.NewWorkflow("w0"), freshness.DefaultLimits()
	d := freshness.Detector{Sources: facts, Contracts: h.contracts(), Idle: h.idle}
	events := slices.Clone(h.events)
	r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	complete, from, next, due := h.events[0].Time, always, always, false
	undriven := false // something has become known that has not been looked for
	look := func() {
		changed, at, ok := d.Detect(w, from, func(string, string) event.Time { return complete })
		for _, c := range changed {
			is := &w.Detections[c.At]
			is.Revision++
			if is.ClosedBy == freshness.ByCorrection && is.Until == is.Since {
				reached["taken back"]++
			}
		}
		from, next, due = complete+1, at, ok
	}
	for i := range events {
		e := events[i]
		if e.Type.Category() == event.Source {
			ch := facts.Apply(&e, freshness.Position{}, 0)
			if undriven = undriven || ch.Any; r.IntN(2) == 0 {
				continue
			}
		} else {
			name := w.Type.Name
			w.Fold(&e, freshness.Position{}, &lim)
			if from = min(from, e.Time); w.Type.Name != name {
				from = always
			}
		}
		if undriven && r.IntN(2) == 0 {
			from, undriven = always, false // refs of this history may have no seq
		}
		look()
		if r.IntN(3) == 0 {
			complete += event.Time(r.Int64N(int64(h.end-randomStart)/10 + 1))
			if due && next <= complete {
				reached["came due"]++
				look()
			}
		}
	}
	if undriven {
		from = always
		look()
	}
	for complete = min(complete, h.end); complete < h.end; {
		if complete = min(h.end, complete+1+event.Time(r.Int64N(10))); due && next <= complete {
			look()
		}
	}
	return said(w)
}
