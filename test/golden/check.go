package golden

import (
	"encoding/json"
	"testing"

	"github.com/freshet-io/freshet/freshness"
)

// Check returns the body of the check that asks what a line says: at the instant of its use, with its class and items, over the workflow
// as it was folded. Given says that the use names its items.
func Check(t testing.TB, w *freshness.Workflow, line map[string]any) (body string, given bool) {
	t.Helper()
	id, kind := line["decision_id"].(string), freshness.Proposed
	if line["use"] == freshness.Executed.String() {
		kind = freshness.Executed
	}
	use := w.Use(id, kind)
	said := use
	if p := w.Use(id, freshness.Proposed); kind == freshness.Executed && !use.HasBasedOn && p != nil {
		said = p
	}
	q := map[string]any{"workflow": w.ID, "class": line["cls"], "at": use.Time.String()}
	if said.HasBasedOn {
		refs := []map[string]any{}
		for _, r := range said.BasedOn {
			ref := map[string]any{"kind": r.Kind, "key": r.Key}
			if r.HasSeq {
				ref["seq"] = r.Seq
			}
			if r.Version != "" {
				ref["version"] = r.Version
			}
			if r.HasAsOf {
				ref["as_of"] = r.AsOf.String()
			}
			refs = append(refs, ref)
		}
		q["items"] = refs
	}
	b, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), said.HasBasedOn
}

// Line turns an answer into the form of a line; what an answer does not say is that line's own.
func Line(answer, line map[string]any) map[string]any {
	got := map[string]any{}
	for _, k := range []string{"workflow", "workflow_type", "decision_id", "use", "traffic_class", "cls"} {
		got[k] = line[k]
	}
	for _, k := range []string{"verdict", "reasons", "staleness_s", "age_s", "versions_behind", "cause", "owner"} {
		got[k] = answer[k]
	}
	items := []any{}
	list, _ := answer["items"].([]any)
	for _, it := range list {
		it := it.(map[string]any)
		item := map[string]any{}
		used, _ := it["used"].(map[string]any)
		item["seq"] = used["seq"]
		for _, k := range []string{"kind", "key", "verdict", "reasons", "staleness_s", "age_s", "versions_behind", "causes"} {
			if v, ok := it[k]; ok {
				item[k] = v
			}
		}
		items = append(items, item)
	}
	got["items"] = items
	return got
}
