package query

import (
	"net/http"
	"reflect"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// How the objectives stand is not said before all buckets have been read.
func TestObjectives(t *testing.T) {
	f := refund(t)
	h := f.serve(t, Config{}).Handler(true)
	status, got := get(t, h, "/v1/slos")
	slos, _ := got["slos"].([]any)
	if status != http.StatusOK || len(slos) != 1 || walk(slos[0], "slo") != "refunds-fresh" || walk(slos[0], "budget_remaining_ratio") != -49.0 {
		t.Errorf("%d %v", status, got)
	}
	if status, got := get(t, h, "/v1/slos?window=1h"); status != http.StatusBadRequest {
		t.Errorf("a parameter that is not known: %d %v", status, got)
	}
	f.reading = true
	if status, got := get(t, h, "/v1/slos"); status != http.StatusServiceUnavailable || got["type"] != "urn:freshet:problem:not-here" {
		t.Errorf("while it is being read: %d %v", status, got)
	}
}

// What is said of a workflow has its open detections, what limits have left out, and that it is abandoned.
func TestWhatIsSaidOfAWorkflow(t *testing.T) {
	f := refund(t)
	row := f.batch.Workflow("w")
	h := f.serve(t, Config{}).Handler(true)
	if _, got := get(t, h, "/v1/workflows/w"); got["left_out"] != nil || len(got["detections"].([]any)) != 0 || got["state"] != "open" {
		t.Errorf("nothing is left out: %v", got)
	}
	row.Cut = freshness.Cut{Lines: 3, Uses: 2, UsesThrough: zero}
	row.Detections = []freshness.Detection{
		{Kind: "policy", Key: "p", Seq: 1, HasSeq: true, Bound: freshness.Versions, Since: zero + second, ClosedBy: freshness.ByReload, Until: zero + 2*second},
		{Kind: "policy", Key: "p", Seq: 2, HasSeq: true, Bound: freshness.Staleness, Since: zero + 3*second, Revision: 1, DetectedAt: zero + 4*second},
	}
	row.Abandoned = true
	_, got := get(t, h, "/v1/workflows/w")
	cut, detections := got["left_out"], got["detections"].([]any)
	if walk(cut, "events") != 3.0 || walk(cut, "uses_through") != at(0) || walk(cut, "loads_through") != nil || got["state"] != "abandoned" {
		t.Errorf("left out %v, state %v", cut, got["state"])
	}
	if len(detections) != 1 || walk(detections[0], "bound") != "staleness" || walk(detections[0], "detected_at") != at(4) || walk(detections[0], "seq") != 2.0 {
		t.Errorf("detections %v", detections)
	}
	conforms(t, described(t), walk(described(t), "components", "schemas", "Workflow"), any(got), "workflow")
	if _, got := get(t, h, "/v1/workflows?state=abandoned"); len(got["workflows"].([]any)) != 1 {
		t.Errorf("abandoned: %v", got)
	}
}

// The chain has the version that superseded the one used first, though neither the one used nor one that was current, and its record.
func TestWhatSupersededIsExplained(t *testing.T) {
	f := refund(t,
		tell("source.updated", "policy/p", 100, `{"kind":"policy","key":"p","version":"v2","seq":2}`),
		tell("source.available", "policy/p", 130, `{"kind":"policy","key":"p","seq":2,"consumer":"index"}`),
		tell("source.updated", "policy/p", 200, `{"kind":"policy","key":"p","version":"v3","seq":3}`),
		tell("action.executed", "w", 300, `{"decision_id":"d"}`))
	h := f.serve(t, Config{}).Handler(true)
	for _, reported := range []bool{false, true} {
		f.contract.Contexts["policy"].Reported = reported
		_, got := get(t, h, "/v1/decisions/w/d")
		by, _ := walk(got["uses"].([]any)[0], "superseded_by").([]any)
		if len(by) != 1 || walk(by[0], "version", "version") != "v2" || walk(by[0], "used_seq") != 1.0 {
			t.Fatalf("superseded by %v", by)
		}
		if at := walk(by[0], "available_at"); reported != (at == (zero+130*second).String()) || !reported && at != nil {
			t.Errorf("reported %v: served from %v", reported, at)
		}
		cited, served := 0, []any{}
		for _, e := range got["evidence"].([]any) {
			switch walk(e, "type") {
			case event.SourceUpdated.String():
				cited++
			case event.SourceAvailable.String():
				served = append(served, walk(e, "at"))
			}
		}
		if cited != 3 {
			t.Errorf("%d versions in %v", cited, got["evidence"])
		}
		where := map[string]any{"topic": "context.source", "partition": 0.0, "offset": 4.0}
		if by := walk(by[0], "available_by"); reported != reflect.DeepEqual(by, where) || reported != reflect.DeepEqual(served, []any{where}) || !reported && by != nil {
			t.Errorf("reported %v: by %v, in the evidence %v", reported, by, served)
		}
	}
}
