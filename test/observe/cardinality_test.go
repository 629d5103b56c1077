package observe

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/test/harness"
)

const bounded = `
version: 1
owners: {risk: {}, payments: {}}
contexts: {policy: {owner: risk}}
workflows: {refund: {owner: payments, bounds: {"*": {max_staleness: 0s, max_age: 1m}}}}
slos: [{name: refunds, workflow: refund, use: action.executed, objective: 0.99, window: 30d}]
retention: {decisions: 87600h, workflow_idle: 87600h}
lateness: {default: 100ms}
`

// one returns the events of one workflow: an action on an item of a kind of its own, which has been superseded; every other one is of a
// type that the contract does not name.
func one(i int, at time.Time, id string) [][]byte {
	typ, kind := "refund", fmt.Sprintf("kind-%d", i)
	if i%2 == 1 {
		typ = fmt.Sprintf("type-%d", i)
	}
	if i%10 == 0 {
		kind = "policy"
	}
	key, attributes := fmt.Sprintf("key-%d", i), func(n int) string {
		return fmt.Sprintf(`"specversion":"1.0","id":"%d-%d","source":"/test","time":%q`, i, n, at.Add(time.Duration(n)*time.Millisecond).Format(time.RFC3339Nano))
	}
	var lines [][]byte
	for seq := 1; seq <= 2; seq++ {
		lines = append(lines, fmt.Appendf(nil, `{%s,"type":"source.updated","subject":"%s/%s","data":{"kind":%[2]q,"key":%[3]q,"version":"v%[4]d","seq":%[4]d}}`, attributes(seq), kind, key, seq))
	}
	return append(lines, fmt.Appendf(nil, `{%s,"type":"action.executed","subject":%q,"workflowtype":%q,"data":{"decision_id":"d","class":"class-%d","based_on":[{"kind":%q,"key":%q,"seq":1}]}}`,
		attributes(3), id, typ, i, kind, key))
}

// What workflows, kinds, types and decisions are called does not become series, however many there are. Ids that no exemplar can hold are
// counted like others.
func TestSeriesDoNotGrowWithWorkflows(t *testing.T) {
	ctx := within(t, 4*time.Minute)
	contract := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(contract, []byte(bounded), 0o600); err != nil {
		t.Fatal(err)
	}
	e := harness.New(t, harness.Options{Contract: contract, Partitions: 2})
	e.Start(ctx)
	at := time.Now().Add(-time.Hour).UTC()
	load := func(from, to int) {
		var sources, uses [][]byte
		for i := from; i < to; i++ {
			id := fmt.Sprintf("wf-%d", i)
			if i%3 == 0 {
				id += strings.Repeat("ü", 200)
			}
			lines := one(i, at, id)
			last := len(lines) - 1
			sources, uses = append(sources, lines[:last]...), append(uses, lines[last])
		}
		for _, lines := range [][][]byte{sources, uses} { // what is first judged is judged with its sources known
			e.Load(ctx, lines)
			e.AwaitNow(ctx)
		}
		e.Until(ctx, func() string {
			if n := e.Counted("freshet_decisions_total", nil); n < float64(to) {
				return fmt.Sprintf("%v of %d uses are judged", n, to)
			}
			return ""
		})
	}
	load(0, 5_000)
	// What comes with the first tick of objectives and alerts comes once, however many workflows there are.
	e.Until(ctx, func() string {
		families, err := e.App.Registry().Gather()
		if err != nil {
			return err.Error()
		}
		for _, name := range []string{"freshet_slo_burn_rate", "freshet_alerts"} {
			if !slices.ContainsFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == name }) {
				return name + " is not exported yet"
			}
		}
		return ""
	})
	before := exported(t, e)
	load(5_000, 10_000)
	after := exported(t, e)
	t.Logf("%d series with 5000 workflows, %d with 10000", before, after)
	if after > before+20 || after > 400 { // a verdict or reason that was not met before is a new series
		t.Errorf("%d series with 5000 workflows, %d with 10000", before, after)
	}
	for series, labels := range map[string]map[string]string{
		"freshet_decisions_total":          {"workflow_type": metrics.Other},
		"freshet_stale_decisions_total":    {"workflow_type": "refund", "kind": metrics.Other},
		"freshet_refs_without_as_of_total": {"kind": metrics.Other},
	} {
		if e.Counted(series, labels) == 0 {
			t.Errorf("%s%v is 0: what the contract does not name is counted nowhere", series, labels)
		}
	}
	if stale, counted := e.Counted("freshet_decisions_total", map[string]string{"verdict": "stale"}), e.Counted("freshet_stale_decisions_total", nil); stale != counted || stale == 0 {
		t.Errorf("%v uses were stale, %v are counted by kind and cause", stale, counted)
	}
}

// named are the names that the contract has, and those for what it has not.
var named = map[string][]string{
	"workflow_type": {"refund", metrics.Other, metrics.Unset}, "kind": {"policy", metrics.Other, metrics.Unset, metrics.RowRecord, metrics.OutputRecord},
	"owner": {"risk", "payments", metrics.Other, metrics.Unset, "freshet"}, "slo": {"refunds"},
}

// exported returns how many of Freshet's series there are, and checks the names in their labels.
func exported(t *testing.T, e *harness.Engine) int {
	t.Helper()
	families, err := e.App.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "freshet_") {
			continue
		}
		n += len(f.GetMetric())
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if names, ok := named[l.GetName()]; ok && !slices.Contains(names, l.GetValue()) {
					t.Errorf("%s has %s=%q, which the contract does not name", f.GetName(), l.GetName(), l.GetValue())
				}
			}
		}
	}
	return n
}

// Series of partitions go with them: those of an instance are of the partitions that it has, while another one comes and goes.
func TestSeriesGoWithTheirPartitions(t *testing.T) {
	if os.Getenv(env) == "" {
		t.Skip("SKIPPED: it takes some rebalances: make test-observe")
	}
	ctx := within(t, 4*time.Minute)
	const partitions = 4
	contract := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(contract, []byte(bounded), 0o600); err != nil {
		t.Fatal(err)
	}
	one := harness.New(t, harness.Options{Contract: contract, Partitions: partitions})
	two := one.Another("two")
	one.Start(ctx)
	one.AwaitNow(ctx)
	alone := len(one.App.Partitions())
	settled(ctx, t, one, alone, alone)
	two.Start(ctx)
	settled(ctx, t, one, 1, alone-1)
	settled(ctx, t, two, 1, alone-1)
	two.Stop()
	settled(ctx, t, one, alone, alone)
}

// settled waits until an instance has some partitions, beside that of alerts, and its series are of those and of no others, and all live.
func settled(ctx context.Context, t *testing.T, e *harness.Engine, least, most int) {
	t.Helper()
	e.Until(ctx, func() string {
		own := map[string]bool{}
		for _, p := range e.App.Partitions() {
			own[metrics.Partition(p.Group, p.ID)] = true
		}
		shown, live := map[string]bool{}, map[string]bool{}
		families, err := e.App.Registry().Gather()
		if err != nil {
			return err.Error()
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if l.GetName() == "partition" {
						shown[l.GetValue()] = true
					}
				}
				if labels := m.GetLabel(); f.GetName() == "freshet_partition_state" && labels[1].GetValue() == string(metrics.LiveState) && m.GetGauge().GetValue() == 1 {
					live[labels[0].GetValue()] = true
				}
			}
		}
		n := len(own)
		if alerts := metrics.Partition(e.Graph().Alerting.Name, 0); shown[alerts] {
			own[alerts] = true
		}
		if n < least || n > most || !maps.Equal(own, shown) || !maps.Equal(own, live) {
			return fmt.Sprintf("it has %v, its series are of %v, live are %v", slices.Sorted(maps.Keys(own)), slices.Sorted(maps.Keys(shown)), slices.Sorted(maps.Keys(live)))
		}
		return ""
	})
}
