package buckets

import (
	"strings"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/slo/budget"
)

// A comparison that finds nothing has to be able to.
func TestEveryDifferenceIsFound(t *testing.T) {
	file, err := slo.Parse([]byte("version: 1\nowners: {a: {}}\nworkflows: {w: {owner: a}}\nslos: [{name: s, workflow: w, use: action.executed, objective: 0.9, window: 30d}]\n"), "c", nil)
	if err != nil {
		t.Fatal(err)
	}
	const at = event.Time(1_764_090_600_000)
	verdicts := []Verdict{{3, map[string]any{
		"workflow": "w1", "decision_id": "d", "use": "action.executed", "workflow_type": "w", "class": nil, "traffic_class": "live", "used_at": at.String(),
		"verdict": "stale", "reasons": []any{"staleness"}, "cause": "source_late", "owner": "a",
		"items": []any{map[string]any{"verdict": "stale", "causes": []any{map[string]any{"cause": "source_late", "seconds": 2.5, "owner": "a"}}}},
	}}}
	values := func(change func(*budget.Bucket)) map[string][]byte {
		b := budget.Bucket{Start: at, Size: freshness.Duration(10_000), Counts: budget.Counts{Bad: 1}, Shares: []budget.Share{{Cause: "source_late", Owner: "a", Parts: budget.Whole}},
			Evidence: []budget.Evidence{{Time: at, Verdict: freshness.IsStale, Workflow: "w1", DecisionID: "d"}}}
		change(&b)
		return map[string][]byte{budget.Key("s", 3, b.Start, b.Size): budget.AppendRecord(nil, "s", 3, &b, at)}
	}
	if found, sums := Compare(file, verdicts, values(func(*budget.Bucket) {})); found != nil || sums["s"] != (budget.Counts{Bad: 1}) {
		t.Errorf("%v, %+v", found, sums)
	}
	for want, change := range map[string]func(*budget.Bucket){
		"the verdicts {Good:0 Bad:1": func(b *budget.Bucket) { b.Bad++ },
		"negative":                   func(b *budget.Bucket) { b.Good-- },
		"parts for":                  func(b *budget.Bucket) { b.Shares[0].Parts-- },
		"evidence":                   func(b *budget.Bucket) { b.Evidence[0].Verdict = freshness.IsUnknown },
		"the verdicts nothing":       func(b *budget.Bucket) { b.Start += 24 * 60 * 60 * 1000 },
	} {
		if found, _ := Compare(file, verdicts, values(change)); !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("%s: %v", want, found)
		}
	}
	if found, _ := Compare(file, verdicts, nil); len(found) == 0 {
		t.Error("no buckets at all are the same as one")
	}
}
