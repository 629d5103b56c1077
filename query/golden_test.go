package query

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/freshet-io/freshet/test/golden"
)

// Once everything has been applied, a check at the instant of a use, with its class and items, is the verdict of that use.
func TestAChecksAnswerIsTheGoldenLine(t *testing.T) {
	for _, set := range []string{"adversarial-1", "adversarial-2", "adversarial-3", "adversarial-4", "coding-sessions"} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, goldenDir+"/"+set+".contracts.yaml", testfile.Lines(t, goldenDir+"/"+set+".events.ndjson.gz"))
			h := f.serve(t, Config{}).Handler(true)
			given, wrong := 0, 0
			all := testfile.Lines(t, goldenDir+"/"+set+".verdicts.ndjson.gz")
			for _, line := range all {
				var want map[string]any
				if err := json.Unmarshal(line, &want); err != nil {
					t.Fatal(err)
				}
				body, items := golden.Check(t, f.batch.Workflow(want["workflow"].(string)), want)
				if items {
					given++
				}
				status, got := post(t, h, "/v1/check", body)
				if is := golden.Line(got, want); status != 200 || !reflect.DeepEqual(is, want) {
					if wrong++; wrong <= 3 {
						g, _ := json.Marshal(is)
						t.Errorf("%s\n %d\n got %s\nwant %s", body, status, g, line)
					}
				}
			}
			t.Logf("%d uses, %d of them with items, %d wrong", len(all), given, wrong)
			if len(all) == 0 {
				t.Error("no golden lines")
			}
		})
	}
}
