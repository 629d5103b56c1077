package freshness

import (
	"bytes"
	"fmt"
	"math/rand"
	"testing"

	"github.com/freshet-io/freshet/event"
)

// crowd makes histories in which everything happens at a few instants, under a few ids: every tie and every edge comes up.
type crowd struct {
	r     *rand.Rand
	dense bool // one item of each kind, three versions
}

func newCrowd(seed int64) crowd { return crowd{r: rand.New(rand.NewSource(seed)), dense: seed%4 == 0} }

func (c crowd) time() event.Time { return event.Time(c.r.Intn(16)*10 + c.r.Intn(2)) }
func (c crowd) id() string       { return string(rune('a' + c.r.Intn(4))) }
func (c crowd) maybe(n int) bool { return c.r.Intn(n) == 0 }
func (c crowd) name() string     { return fmt.Sprint("v", c.r.Intn(4)) }
func (c crowd) item() (k, s string) {
	kinds := []string{"p", "d", "d", "q", "x"}
	if c.dense {
		return []string{"p", "d"}[c.r.Intn(2)], "1"
	}
	return kinds[c.r.Intn(len(kinds))], []string{"1", "2"}[c.r.Intn(2)]
}

// seq returns one of the first n seqs.
func (c crowd) seq(n int) int64 {
	if c.dense {
		n = 3
	}
	return int64(1 + c.r.Intn(n))
}

// contract judges kind p by staleness and versions, d by age and a short history, q by age under silence; x is not judged but required by
// one class.
func crowdContract() *Contract {
	rules := func(require ...string) *Rules {
		return &Rules{Owner: "w", Require: require, Kinds: map[string]KindBounds{
			"p": judged(both(staleness(30), versions(1))),
			"d": judged(both(age(70), versions(2))),
			"q": judged(age(40)),
		}}
	}
	return &Contract{
		Contexts: map[string]*Context{
			"p": {Owner: "po", ServingOwner: "ps", Reported: true, HasMaxSilence: true, MaxSilence: 60},
			"d": {Owner: "do", Basis: ByPublished, History: 2},
			"q": {Owner: "qo", HasMaxSilence: true, MaxSilence: 45, VersionsLimit: 4},
		},
		Classes: map[string]map[string]*Rules{"t": {"": rules(), "c": rules("p", "x")}},
	}
}

func (c crowd) event() *event.Event {
	e := &event.Event{Time: c.time(), ID: c.id(), Source: []string{"s", "s", "r"}[c.r.Intn(3)], Subject: "w"}
	e.Appended = e.Time + event.Time(c.r.Intn(20))
	switch n := c.r.Intn(20); {
	case n < 5:
		c.source(e)
	case n < 9:
		e.Type = []event.Type{event.ContextLoaded, event.ToolResult}[c.r.Intn(2)]
		e.CallID = c.id()
		for range 1 + c.r.Intn(2) {
			e.Refs = append(e.Refs, c.ref())
		}
	case n < 10:
		e.Type = event.ContextDropped
		k, s := c.item()
		e.Refs = []event.Ref{{Kind: k, Key: s}}
	case n < 14:
		steps := []event.Type{event.ApprovalRequested, event.ApprovalGranted, event.ToolCalled, event.ToolResult, event.ToolRetryScheduled,
			event.TaskWaiting, event.TaskResumed, event.TaskCompleted, event.TaskStarted}
		e.Type, e.CallID = steps[c.r.Intn(len(steps))], c.id()
	default:
		e.Type = []event.Type{event.DecisionProposed, event.ActionExecuted}[c.r.Intn(2)]
		e.DecisionID = fmt.Sprint("d", c.r.Intn(6))
		if c.maybe(3) {
			e.Class, e.HasClass = "c", true
		}
		if c.maybe(3) {
			e.HasBasedOn = true
			for range c.r.Intn(3) {
				e.Refs = append(e.Refs, c.ref())
			}
		}
	}
	if c.maybe(6) {
		e.WorkflowType = []string{"t", "t", "t", "u"}[c.r.Intn(4)]
	}
	e.Data = fmt.Sprint(e.Type, e.HasBasedOn, e.WorkflowType, e.CallID, e.DecisionID, e.HasClass, e.Refs, e.Kind, e.Key, e.Seq, e.Version, e.EffectiveAt, e.Change, e.Through)
	return e
}

func (c crowd) source(e *event.Event) {
	e.Kind, e.Key = c.item()
	e.Subject = e.Kind + "/" + e.Key
	e.Seq = c.seq(8)
	switch {
	case c.maybe(5):
		e.Type = event.SourceAvailable
	case c.maybe(5):
		e.Type, e.Through = event.SourceHeartbeat, c.time()
		if c.maybe(4) {
			e.WholeKind, e.Key = true, ""
		}
	default:
		e.Type, e.Version, e.EffectiveAt = event.SourceUpdated, c.name(), c.time()
		e.Change = event.Change(c.r.Intn(8) % 4 % 3)
		if c.maybe(3) {
			e.Recorded, e.HasRecorded = c.time(), true
		}
	}
}

func (c crowd) ref() event.Ref {
	k, s := c.item()
	r := event.Ref{Kind: k, Key: s}
	if c.maybe(2) {
		r.Seq, r.HasSeq = c.seq(9), true
	}
	if !c.maybe(4) {
		r.Version = c.name()
	}
	if c.maybe(2) {
		r.AsOf, r.HasAsOf = c.time(), true
	}
	return r
}

func (c crowd) events(n int) []*event.Event {
	out := make([]*event.Event, n)
	for i := range out {
		out[i] = c.event()
	}
	return out
}

// crowdSeeds is how many histories each test goes through.
func crowdSeeds(tb testing.TB, n int64) int64 {
	if testing.Short() {
		return n / 10
	}
	return n
}

// TestCrowdedHistoriesTouchWhatChanges is TestOnlyWhatIsTouchedChanges where every instant is an edge.
func TestCrowdedHistoriesTouchWhatChanges(t *testing.T) {
	changes := 0
	for seed := int64(1); seed <= crowdSeeds(t, 1500); seed++ {
		c := newCrowd(seed)
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			lim := DefaultLimits()
			if seed%3 == 0 {
				lim = tight(c.r)
			}
			watch := watcher{t: t, b: NewBatch(crowdContract(), lim)}
			for i, e := range shuffled(c.r, c.events(60)) {
				watch.add(e, Position{Offset: int64(i)})
			}
			changes += watch.changes
		})
	}
	if !testing.Short() && changes < 5000 {
		t.Fatalf("only %d changes: the test proves little", changes)
	}
}

// tight are limits that crowded histories go beyond in every way.
func tight(r *rand.Rand) Limits {
	return Limits{Items: 2 + r.Intn(6), LoadsPerItem: 1 + r.Intn(4), Loads: r.Intn(6), Uses: 3 + r.Intn(8), Refs: 2 + r.Intn(8), Steps: 1 + r.Intn(8), Lines: 1 + r.Intn(40)}
}

// TestCrowdedHistoriesInAnyOrder folds histories in several orders and united from parts, with and without limits in reach: the verdicts are
// the same.
func TestCrowdedHistoriesInAnyOrder(t *testing.T) {
	for seed := int64(1); seed <= crowdSeeds(t, 1500); seed++ {
		c := newCrowd(seed)
		events := c.events(80)
		lim := DefaultLimits()
		if seed%3 != 0 {
			lim = tight(c.r)
		}
		want := goldenOf(t, crowdBatch(lim, events))
		what := func(how string) string { return fmt.Sprintf("seed %d, limits %+v, %s", seed, lim, how) }
		for range 3 {
			mustEqual(t, what("shuffled"), goldenOf(t, crowdBatch(lim, shuffled(c.r, events))), want)
		}
		a, b := NewBatch(crowdContract(), lim), NewBatch(crowdContract(), lim)
		for i, e := range shuffled(c.r, events) {
			into := a
			if c.maybe(2) {
				into = b
			}
			into.Add(e, Position{Offset: int64(i)})
		}
		if seed%2 == 0 {
			stored(t, a)
			stored(t, b)
		}
		unite(a, b)
		mustEqual(t, what("united"), goldenOf(t, a), want)
	}
}

func crowdBatch(lim Limits, events []*event.Event) *Batch {
	b := NewBatch(crowdContract(), lim)
	for i, e := range events {
		b.Add(e, Position{Offset: int64(i)})
	}
	return b
}

// TestLimitsNeverSayFresh compares verdicts under tight limits with those without: fresh stays fresh or becomes unknown, what was not fresh
// never becomes fresh, and what becomes stale nowhere was not.
func TestLimitsNeverSayFresh(t *testing.T) {
	truncated, kept := 0, 0
	for seed := int64(1); seed <= crowdSeeds(t, 1500); seed++ {
		c := newCrowd(seed)
		events, lim := c.events(80), tight(c.r)
		lim.Uses, lim.Refs = 4096, 4096 // decisions that lost to one that is gone are other uses
		c.r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		full, cut := crowdBatch(DefaultLimits(), events), crowdBatch(lim, events)
		w, s := full.workflows["w"], cut.workflows["w"]
		if w == nil {
			continue
		}
		var v, n Verdict
		for i := range s.Uses {
			u := &s.Uses[i]
			w.Judge(w.Use(u.DecisionID, u.Kind), full.facts, full.contract, &v)
			s.Judge(u, cut.facts, cut.contract, &n)
			switch {
			case n.Reasons.Has(HistoryTruncated) && !v.Reasons.Has(HistoryTruncated):
				truncated++
			case n.Kind == IsStale && v.Kind != IsStale, n.Kind == IsFresh && v.Kind != IsFresh:
				t.Fatalf("seed %d, limits %+v: %s\nwithout limits %s", seed, lim, AppendGolden(nil, s, u, &n), AppendGolden(nil, w, u, &v))
			default:
				kept++
			}
		}
	}
	if !testing.Short() && (truncated < 500 || kept < 500) {
		t.Fatalf("%d uses truncated, %d kept: the test proves little", truncated, kept)
	}
}

// TestDeadlines looks for the next turn of a verdict instant by instant and demands that NextDeadline says the same.
func TestDeadlines(t *testing.T) {
	turns, none := 0, 0
	for seed := int64(1); seed <= crowdSeeds(t, 600); seed++ {
		c := newCrowd(seed)
		b := crowdBatch(DefaultLimits(), c.events(60))
		w := b.workflows["w"]
		if w == nil {
			continue
		}
		var v, n Verdict
		for range 6 {
			q := Question{At: c.time()}
			if c.maybe(3) {
				q.Class, q.HasClass = "c", true
			}
			if c.maybe(3) {
				q.HasItems = true
				for range 2 {
					q.Items = append(q.Items, c.ref())
				}
			}
			w.Ask(&q, b.facts, b.contract, &v)
			got, ok := w.NextDeadline(&q, b.facts, b.contract, &v)
			want, found := event.Time(0), false
			for x := q; !found && x.At < 400; {
				x.At++
				w.Ask(&x, b.facts, b.contract, &n)
				want, found = x.At, turned(&v, &n)
			}
			if found != ok || found && got != want {
				t.Fatalf("seed %d: after %+v the verdict turns at %d %v, not at %d %v", seed, q, want, found, got, ok)
			}
			if found {
				turns++
			} else {
				none++
			}
		}
	}
	if !testing.Short() && (turns < 300 || none < 100) {
		t.Fatalf("%d turns, %d without: the test proves little", turns, none)
	}
}

// TestLiveIsTheVerdictOfAUse asks for a live judgement at the instant of each use, with its class and items.
func TestLiveIsTheVerdictOfAUse(t *testing.T) {
	for seed := int64(1); seed <= crowdSeeds(t, 300); seed++ {
		c := newCrowd(seed)
		b := crowdBatch(DefaultLimits(), c.events(60))
		w := b.workflows["w"]
		if w == nil {
			continue
		}
		var v, live Verdict
		for i := range w.Uses {
			u := &w.Uses[i]
			if u.HasBasedOn || w.proposal(u) != nil && w.proposal(u).HasBasedOn {
				continue
			}
			w.Judge(u, b.facts, b.contract, &v)
			w.JudgeAt(u.Time, v.Class, b.facts, b.contract, &live)
			if said, now := AppendGolden(nil, w, u, &v), AppendGolden(nil, w, u, &live); !bytes.Equal(said, now) {
				t.Fatalf("seed %d: live %s\nsaid %s", seed, now, said)
			}
		}
	}
}
