package workflows

import (
	"slices"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// A change may be driven through the workflows again while the clock of whoever took the partition over still stands where the backlog is:
// what has been found later than that is not taken back, and is looked at when the clock has come there.
func TestAClockThatIsFurtherBackTakesNothingBack(t *testing.T) {
	for _, c := range []struct {
		what         string
		detections   []freshness.Detection
		before, want event.Time // the next look
		clock        event.Time
	}{
		{"open", []freshness.Detection{{Kind: "policy", Key: "p", Bound: freshness.Versions, Since: 500}}, 0, 500, 100},
		{"closed", []freshness.Detection{{Kind: "policy", Key: "p", Bound: freshness.Versions, Since: 50, Until: 500, ClosedBy: freshness.ByDrop}}, 0, 500, 100},
		{"looked at sooner", []freshness.Detection{{Kind: "policy", Key: "p", Bound: freshness.Versions, Since: 500}}, 300, 300, 100},
		{"looked at too soon", []freshness.Detection{{Kind: "policy", Key: "p", Bound: freshness.Versions, Since: 500}}, 100, 500, 100},
		{"before the clock is known", []freshness.Detection{{Kind: "policy", Key: "p", Bound: freshness.Versions, Since: 500}}, 0, 500, oldest / 2},
	} {
		l := newLedger(t, holdsPolicies)
		w := freshness.NewWorkflow("wf")
		lim := freshness.DefaultLimits()
		w.Fold(&event.Event{Type: event.TaskStarted, ID: "1", Source: "s", WorkflowType: "refund", Time: 10}, freshness.Position{}, &lim)
		w.Detections, w.Look = slices.Clone(c.detections), c.before
		r := newRow(w)
		r.from = 20
		l.pt.p.Rows.Put(w.ID, r)
		l.pt.detect(r, c.clock, false)
		if !slices.Equal(w.Detections, c.detections) || w.Look != c.want || r.from != 20 {
			t.Errorf("%s: %+v, looked at next at %d, from %d; want what there was, at %d, from 20", c.what, w.Detections, w.Look, r.from, c.want)
		}
	}
}

const holdsPolicies = `version: 1
owners: {a: {}}
contexts: {policy: {owner: a}}
workflows: {refund: {owner: a, bounds: {policy: {max_versions_behind: 0}}}}
`
