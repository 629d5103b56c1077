//go:build unix

package torture

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/slo/budget"
	"github.com/freshet-io/freshet/test/buckets"
)

// counted are the objectives of contracts of sets that have none. Their windows hold all that there is.
const counted = `
slos:
  - {name: refunds, workflow: refund, use: action.executed, objective: 0.9, window: 10y}
  - {name: proposals, workflow: refund, use: decision.proposed, objective: 0.5, window: 10y, on_unknown: exclude}
`

// withObjectives returns the path of a set's contract, with objectives.
func withObjectives(t *testing.T, dir, set string) string {
	t.Helper()
	path := filepath.Join(golden, contractOf(set)+".contracts.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "\nslos:") {
		return path
	}
	own := filepath.Join(dir, "contracts.yaml")
	if err := os.WriteFile(own, append(text, counted...), 0o600); err != nil {
		t.Fatal(err)
	}
	return own
}

// countedRight compares what the objectives have counted with what a batch finds in the last revisions of all verdicts: whatever has been
// killed, moved or read again, they are the same. Buckets are written with the verdicts that they count, so there is nothing to wait for.
func (w *world) countedRight(ctx context.Context, l *ledger) {
	w.t.Helper()
	if len(w.file.SLOs) == 0 || w.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var verdicts []buckets.Verdict
	for _, v := range l.verdicts {
		verdicts = append(verdicts, v)
	}
	differences, sums := buckets.Compare(w.file, verdicts, w.values(ctx, w.graph.Buckets))
	for i, d := range differences {
		if i == mostFaults {
			w.t.Errorf("and %d more differences", len(differences)-i)
			break
		}
		w.t.Errorf("buckets: %s", d)
	}
	total := budget.Counts{}
	for _, counts := range sums {
		total = total.Plus(counts)
	}
	if total == (budget.Counts{}) {
		w.t.Error("the objectives have counted nothing")
	}
	w.t.Logf("objectives counted %+v, as the verdicts say", total)
}
