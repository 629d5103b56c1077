package workflows

import (
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/processors/sources"
)

// heard is a view of one kind. Its life counts once it is applied.
type heard struct {
	*freshness.Facts
	life    event.Time
	applied bool
}

func (h *heard) KindLife(string) (event.Time, bool) { return h.life, h.applied }
func (h *heard) KindHeard(_ string, now event.Time) (event.Time, bool) {
	return h.life, h.life != 0 && h.life <= now
}

// A use is not said to be silent while a heartbeat has been read that ends the silence: by the time it counts the use may be too old to be
// amended.
func TestASilentUseWaitsForAHeartbeatThatHasBeenRead(t *testing.T) {
	rules := &freshness.Rules{Owner: "a", Kinds: map[string]freshness.KindBounds{"policy": {Judged: true, Bounds: freshness.Bounds{HasStaleness: true}}}}
	c := &freshness.Contract{
		Contexts: map[string]*freshness.Context{"policy": {Owner: "a", ServingOwner: "a", HasMaxSilence: true, MaxSilence: 100, History: 10}},
		Classes:  map[string]map[string]*freshness.Rules{"w": {"": rules}},
	}
	view, lim := &heard{Facts: freshness.NewFacts()}, freshness.DefaultLimits()
	view.Apply(&event.Event{Type: event.SourceUpdated, Kind: "policy", Key: "p", Seq: 1, Time: 10}, freshness.Position{}, 0)
	w := freshness.NewWorkflow("wf")
	for i, e := range []*event.Event{
		{Type: event.TaskStarted, WorkflowType: "w", Time: 20},
		{Type: event.ContextLoaded, Time: 30, Refs: []event.Ref{{Kind: "policy", Key: "p", Seq: 1, HasSeq: true}}},
		{Type: event.ActionExecuted, Time: 1000, DecisionID: "d"},
	} {
		e.ID, e.Source = fmt.Sprint(i), "s"
		w.Fold(e, freshness.Position{}, &lim)
	}
	r, u := newRow(w), &w.Uses[0]
	var (
		h hushed
		v freshness.Verdict
	)
	judged := func(want freshness.VerdictKind) {
		t.Helper()
		if w.Judge(u, view, c, &v); v.Kind != want {
			t.Fatalf("judged %v, want %v", v.Kind, want)
		}
	}
	popped := func() (n int) {
		err := h.run(view, func(pop func(event.Time) (deadline, bool, error), through event.Time) error {
			for {
				x, ok, err := pop(through)
				if !ok || err != nil {
					return err
				}
				if x.key != "wf" {
					t.Errorf("popped %q", x.key)
				}
				r.hushed = never
				n++
			}
		})
		if err != nil {
			t.Error(err)
		}
		return n
	}
	judged(freshness.IsUnknown)
	if h.wait(view, r, u.Time, 2000, &v) {
		t.Error("it waits though nothing has been heard")
	}
	view.life = 899
	if h.wait(view, r, u.Time, 2000, &v) {
		t.Error("it waits for a heartbeat that is too old to help")
	}
	view.life = 2001
	if h.wait(view, r, u.Time, 2000, &v) {
		t.Error("it waits for a heartbeat of the future")
	}
	view.life = 900
	for range 3 {
		if !h.wait(view, r, u.Time, 2000, &v) {
			t.Error("it does not wait for the heartbeat that has been read")
		}
	}
	if n := popped(); n != 0 || len(h) != 1 {
		t.Errorf("%d judged before the heartbeat counts, %d kinds are waited for", n, len(h))
	}
	view.applied = true
	if n := popped(); n != 1 || len(h) != 0 {
		t.Errorf("%d judged once the heartbeat counts, %d kinds are waited for; want it once", n, len(h))
	}
	judged(freshness.IsFresh)
	if h.wait(view, r, u.Time, 2000, &v) {
		t.Error("it waits though it is fresh")
	}
}

// What was heard while nobody had the partition is driven by its next owner, and only that.
func TestLivesSurviveTheirRow(t *testing.T) {
	l := &lives{key: "k", kinds: map[string]event.Time{}}
	if !l.merge(map[string]event.Time{"policy": 50, "": 7}) || l.merge(map[string]event.Time{"policy": 40}) || !l.merge(map[string]event.Time{"policy": 60}) {
		t.Error("lives only grow, and it is said when they do")
	}
	var b []byte
	l.Records(func(_ string, appendTo func([]byte) []byte) { b = appendTo(nil) })
	got, err := decodeLives("k", b)
	if err != nil || fmt.Sprint(got.kinds) != fmt.Sprint(l.kinds) {
		t.Fatalf("read %+v: %v", got, err)
	}
	if c := got.behind(map[string]event.Time{"policy": 60}); len(c) != 0 {
		t.Errorf("%+v is driven again", c)
	}
	if c := got.behind(map[string]event.Time{"policy": 61}); len(c) != 1 || c[0] != (sources.Change{Kind: "policy", From: 60, Life: 61}) {
		t.Errorf("a heartbeat that nobody heard: %+v", c)
	}
	if c := got.behind(map[string]event.Time{"feature": 1}); len(c) != 1 || c[0].From != oldest {
		t.Errorf("a kind that nobody knew: %+v", c)
	}
	for n := range len(b) {
		if short, err := decodeLives("k", b[:n]); err == nil && len(short.kinds) == 2 {
			t.Errorf("%d of %d bytes were read as a whole row", n, len(b))
		}
	}
	for i := range 2 * livesLimit {
		l.merge(map[string]event.Time{fmt.Sprint(i): 1})
	}
	if len(l.kinds) != livesLimit {
		t.Errorf("%d kinds in a row", len(l.kinds))
	}
}

// Changes of an item that come between two markers are one, which reaches all that each of them does.
func TestChangesAreJoined(t *testing.T) {
	d := &driver{incoming: map[itemKey]change{}, marked: true}
	d.hear(sources.Change{Kind: "policy", Key: "p", From: 50, Cut: &sources.Cut{After: 1, Through: 3, From: 40}})
	d.hear(sources.Change{Kind: "policy", Key: "p", From: 60, Versions: true})
	d.hear(sources.Change{Kind: "policy", Key: "p", From: 70, Cut: &sources.Cut{After: 3, Through: 4, From: 45}})
	d.hear(sources.Change{Kind: "policy", From: 20, Life: 30})
	d.hear(sources.Change{Kind: "policy", From: 30, Life: 40})
	c := d.incoming[itemKey{"policy", "p"}]
	if c.uses != 50 || c.held != 60 || !c.versions || c.cut == nil || *c.cut != (sources.Cut{After: 1, Through: 4, From: 40}) {
		t.Errorf("joined: %+v, cut %+v", c, c.cut)
	}
	if c := d.incoming[itemKey{"policy", ""}]; c.uses != 20 || c.life != 40 || c.versions {
		t.Errorf("of the kind: %+v", c)
	}
}
