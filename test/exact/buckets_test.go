package exact

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/slo/budget"
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

// span is the coarsest size of buckets: all others divide it.
const span = freshness.Duration(6 * 60 * 60 * 1000)

// cell is where sums are compared: an objective, a partition, six hours.
type cell struct {
	objective string
	partition int32
	from      event.Time
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
	want, shares, uses := batch(t, file, said)
	got, shared := map[cell]budget.Counts{}, map[string]map[string]int64{}
	for key, value := range lastBuckets(ctx, t, e) {
		objective, partition, b, err := budget.ParseRecord(value)
		if err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		if again := budget.Key(objective, partition, b.Start, b.Size); again != key {
			t.Errorf("key %s of %s", key, value)
		}
		if b.Good < 0 || b.Bad < 0 || b.Unknown < 0 {
			t.Errorf("negative: %s", value)
		}
		c := cell{objective, partition, budget.Start(b.Start, span)}
		got[c] = got[c].Plus(b.Counts)
		for _, s := range b.Shares {
			who := s.Cause + " " + s.Owner
			if shared[objective] == nil {
				shared[objective] = map[string]int64{}
			}
			shared[objective][who] += s.Parts
		}
		for _, ev := range b.Evidence {
			if use := uses[ev.Workflow+" "+ev.DecisionID]; !use[ev.Verdict.String()+" "+ev.Time.String()] {
				t.Errorf("evidence %+v: the decision's uses are %v", ev, use)
			}
		}
	}
	total := budget.Counts{}
	for c, counts := range want {
		if got[c] != counts {
			t.Errorf("%+v: the buckets say %+v, the verdicts %+v", c, got[c], counts)
		}
		total = total.Plus(counts)
	}
	for c, counts := range got {
		if _, ok := want[c]; !ok && counts != (budget.Counts{}) {
			t.Errorf("%+v: the buckets say %+v, the verdicts nothing", c, counts)
		}
	}
	for name, want := range shares {
		for who, n := range want {
			if got := shared[name][who]; got != n {
				t.Errorf("%s: %d parts for %q in the buckets, %d in the verdicts", name, got, who, n)
			}
		}
	}
	if total.Good == 0 || total.Bad == 0 || total.Unknown == 0 {
		t.Errorf("nothing to compare: %+v", total)
	}
	t.Logf("objectives counted %+v, in %d sums", total, len(want))
	compareStates(ctx, t, e, file, want)
}

// batch adds up the last revisions: the sums, whose the uses are that were not fresh, and what was said of each decision's uses.
func batch(t *testing.T, file *slo.File, said *harness.Verdicts) (map[cell]budget.Counts, map[string]map[string]int64, map[string]map[string]bool) {
	t.Helper()
	kinds := map[string]freshness.UseKind{"decision.proposed": freshness.Proposed, "action.executed": freshness.Executed}
	verdicts := map[string]freshness.VerdictKind{"fresh": freshness.IsFresh, "stale": freshness.IsStale, "unknown": freshness.IsUnknown}
	sums, shares, uses := map[cell]budget.Counts{}, map[string]map[string]int64{}, map[string]map[string]bool{}
	for _, v := range said.Last {
		d := v.Data
		at, ok := event.ParseTime(d["used_at"].(string))
		if !ok {
			t.Fatalf("used_at %v", d["used_at"])
		}
		decision := fmt.Sprint(d["workflow"], " ", d["decision_id"])
		if uses[decision] == nil {
			uses[decision] = map[string]bool{}
		}
		uses[decision][fmt.Sprint(d["verdict"], " ", at)] = true
		if d["traffic_class"] != "live" {
			continue
		}
		workflow, _ := d["workflow_type"].(string)
		class, classed := d["class"].(string)
		for i := range file.SLOs {
			s := &file.SLOs[i]
			if s.Workflow != workflow || s.Use != kinds[d["use"].(string)] || s.Class != "" && (!classed || class != s.Class) {
				continue
			}
			c := cell{s.Name, v.Partition, budget.Start(at, span)}
			sums[c] = sums[c].Plus(budget.Of(verdicts[d["verdict"].(string)]))
			if shares[s.Name] == nil {
				shares[s.Name] = map[string]int64{}
			}
			whose(d, shares[s.Name])
		}
	}
	return sums, shares, uses
}

// whose adds one use to the shares, if it was not fresh: divided as the seconds of the item are that it was longest stale for, else for its
// first reason.
func whose(d map[string]any, shares map[string]int64) {
	if d["verdict"] == "fresh" {
		return
	}
	var worst []freshness.Share
	var longest float64
	for _, it := range d["items"].([]any) {
		it := it.(map[string]any)
		if it["verdict"] != "stale" {
			continue
		}
		var causes []freshness.Share
		sum := 0.0
		for _, c := range it["causes"].([]any) {
			c := c.(map[string]any)
			seconds := c["seconds"].(float64)
			sum += seconds
			causes = append(causes, freshness.Share{Cause: causeOf(c["cause"]), Owner: c["owner"].(string), For: freshness.Duration(math.Round(seconds * 1000))})
		}
		if sum > longest+1e-6 { // items are sorted by kind and key
			worst, longest = causes, sum
		}
	}
	if d["verdict"] == "stale" && longest > 0 {
		for _, s := range budget.SharesOf(worst) {
			shares[s.Cause+" "+s.Owner] += s.Parts
		}
		return
	}
	shares[fmt.Sprint(d["reasons"].([]any)[0], " ")] += budget.Whole
}

func causeOf(name any) freshness.Cause {
	for c := freshness.SourceLate; c <= freshness.SilentSource; c++ {
		if c.String() == name {
			return c
		}
	}
	return freshness.NoCause
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
func compareStates(ctx context.Context, t *testing.T, e *harness.Engine, file *slo.File, want map[cell]budget.Counts) {
	t.Helper()
	for i := range file.SLOs {
		s := file.SLOs[i]
		s.Window = 90 * 365 * 24 * 60 * 60 * 1000
		var all budget.Counts
		for c, counts := range want {
			if c.objective == s.Name {
				all = all.Plus(counts)
			}
		}
		e.Until(ctx, func() string {
			state := e.App.Objectives().Book().State(&s, event.Of(time.Now()))
			if got := state.Window(s.Window).Counts; got != all {
				return fmt.Sprintf("%s: the engine has read %+v, want %+v", s.Name, got, all)
			}
			return ""
		})
	}
}
