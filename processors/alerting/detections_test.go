package alerting

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

func openDetection(workflow string, seq int, since event.Time) []byte {
	return fmt.Appendf(nil, `{"status":"open","workflow":%q,"workflow_type":"refund","count":1,"workflows":[%q],"kind":"policy","key":"p","since":%q,
"owner":"risk","cause":"hold_waiting","traffic_class":"live","used":{"at":{"topic":"workflow.context","partition":1,"offset":7}},
"current":{"seq":%d,"at":{"topic":"context.source","partition":2,"offset":9}}}`, workflow, workflow, since, seq)
}

// What is kept of detections is what alerts say of them, and nothing once they are closed.
func TestDetectionsAreKeptWhileTheyAreOpen(t *testing.T) {
	d := NewDetections(func(workflow string) string { return "workflows/" + workflow[:1] })
	apply := func(key string, data []byte) {
		t.Helper()
		if err := d.Apply(key, data); err != nil {
			t.Fatal(err)
		}
	}
	d.Caught()
	apply("1", openDetection("a1", 3, 1000))
	apply("2", openDetection("a2", 3, 2000))
	apply("3", openDetection("b1", 3, 3000))
	apply("3", openDetection("b1", 4, 3000)) // superseded once more
	apply("g", []byte(`{"status":"open","workflow":null,"workflow_type":"pricing","count":5000,"workflows":["x","y"],"kind":"price","key":"q","since":"2026-01-01T00:00:00Z"}`))
	if got := [2]int64{d.Open("refund"), d.Open("pricing")}; got != [2]int64{3, 5000} {
		t.Errorf("open: %v", got)
	}
	if len(d.subjects) != 3 { // of a, of b, of the group
		t.Errorf("%d subjects: %v", len(d.subjects), d.subjects)
	}

	s := alerts.Snapshot{Now: 100_000, Contract: &slo.File{Detections: []slo.Detection{{Name: "stale-refunds", Workflow: "refund"}}}}
	d.Fill(&s)
	if len(s.Holdings) != 2 {
		t.Fatalf("holdings: %+v", s.Holdings)
	}
	h := s.Holdings[0]
	if h.Seq != 3 || h.Count != 2 || h.Since != 1000 || strings.Join(h.Workflows, " ") != "a1 a2" || strings.Join(h.Rests, " ") != "workflows/a" || len(h.Causes) != 1 || h.Causes[0].Owner != "risk" {
		t.Errorf("holding: %+v", h)
	}
	want := []alerts.Evidence{{Topic: "workflow.context", Partition: 1, Offset: 7, Workflow: "a1"}, {Topic: "context.source", Partition: 2, Offset: 9}}
	if len(h.Evidence) != 4 || h.Evidence[0] != want[0] || h.Evidence[1] != want[1] {
		t.Errorf("evidence: %+v", h.Evidence)
	}

	apply("1", nil)
	apply("2", []byte(`{"status":"closed","workflow":"a2","workflows":["a2"]}`))
	apply("3", nil)
	apply("g", nil)
	if len(d.open)+len(d.subjects) > 0 || d.Open("refund") != 0 {
		t.Errorf("left: %v %v", d.open, d.subjects)
	}
}
