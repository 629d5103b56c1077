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
