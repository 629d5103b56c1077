package exact

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/slo/budget"
	"github.com/freshet-io/freshet/test/buckets"
	"github.com/freshet-io/freshet/test/harness"
)

// objectives are added to the contracts of the sets that have none.
const objectives = `slos:
  - {name: refunds, workflow: refund, use: action.executed, objective: 0.9, window: 10y}
  - {name: refunds-proposed, workflow: refund, use: decision.proposed, objective: 0.9, window: 10y, on_unknown: exclude}
  - {name: large refunds, workflow: refund, class: large, use: action.executed, objective: 0.9, window: 10y}
  - {name: triage, workflow: triage, use: action.executed, objective: 0.5, window: 1y}
`

// withObjectives returns the path of a set's contract, with objectives.
func withObjectives(t *testing.T, set string) string {
	t.Helper()
	path := filepath.Join(golden, set+".contracts.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "\nslos:") {
		return path
	}
	own := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(own, append(text, objectives...), 0o600); err != nil {
		t.Fatal(err)
	}
	return own
}

// compareBuckets compares the sums of the buckets with what a batch finds in the last revisions of all verdicts.
func compareBuckets(ctx context.Context, t *testing.T, e *harness.Engine, contract string, said *harness.Verdicts) {
	t.Helper()
	text, err := os.ReadFile(contract)
	if err != nil {
		t.Fatal(err)
	}
	file, err := slo.Parse(text, contract, nil)
	if err != nil {
		t.Fatal(err)
	}
	var last []buckets.Verdict
	for _, v := range said.Last {
		last = append(last, buckets.Verdict{Partition: v.Partition, Data: v.Data})
	}
	differences, sums := buckets.Compare(file, last, lastBuckets(ctx, t, e))
	for i, d := range differences {
		if t.Error(d); i == 10 {
			t.Fatalf("and %d more", len(differences)-i-1)
		}
	}
	total := budget.Counts{}
	for _, counts := range sums {
		total = total.Plus(counts)
	}
	if total.Good == 0 || total.Bad == 0 || total.Unknown == 0 {
		t.Errorf("nothing to compare: %+v", total)
	}
	t.Logf("objectives counted %+v", total)
	compareStates(ctx, t, e, file, sums)
}

// lastBuckets returns the last value of each key, without those that have been deleted.
func lastBuckets(ctx context.Context, t *testing.T, e *harness.Engine) map[string][]byte {
	t.Helper()
	last := map[string][]byte{}
	ids := map[string]string{}
	for _, r := range e.ReadAll(ctx, e.Graph().Buckets) {
		key := string(r.Key)
		if r.Value == nil {
			delete(last, key)
			continue
		}
		last[key] = r.Value
		for _, h := range r.Headers {
			if h.Key != "ce_id" {
				continue
			}
			if before, known := ids[string(h.Value)]; known && before != string(r.Value) {
				t.Errorf("id %s names two contents:\n%s\n%s", h.Value, before, r.Value)
			}
			ids[string(h.Value)] = string(r.Value)
		}
	}
	return last
}

// compareStates waits until the engine's own sums, which it reads back from the topic, are those of the batch.
func compareStates(ctx context.Context, t *testing.T, e *harness.Engine, file *slo.File, want buckets.Sums) {
	t.Helper()
	for i := range file.SLOs {
		s := file.SLOs[i]
		s.Window = 90 * 365 * 24 * 60 * 60 * 1000
		all := want[s.Name]
		e.Until(ctx, func() string {
			state := e.App.Objectives().Book().State(&s, event.Of(time.Now()))
			if got := state.Window(s.Window).Counts; got != all {
				return fmt.Sprintf("%s: the engine has read %+v, want %+v", s.Name, got, all)
			}
			return ""
		})
	}
}
