package metrics_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/freshet-io/freshet/internal/metrics"
)

var rewrite = flag.Bool("rewrite", false, "write docs/metrics.md anew")

func TestReferenceIsCurrent(t *testing.T) {
	const file = "../../docs/metrics.md"
	want := metrics.Markdown()
	if *rewrite {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the code says; go test ./internal/metrics -run Reference -rewrite", file)
	}
}

func TestEverySeriesIsRegisteredAndLintFree(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := metrics.New(reg)
	m.Events.WithLabelValues("workflow.tool", metrics.Applied).Inc()
	m.Staleness.WithLabelValues("refund", "policy").Observe(3)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	seen := map[string]bool{}
	for _, s := range metrics.Reference() {
		if seen[s.Name] {
			t.Errorf("%s is defined twice", s.Name)
		}
		seen[s.Name] = true
		if !strings.HasSuffix(s.Help, ".") {
			t.Errorf("%s: the help is no sentence: %q", s.Name, s.Help)
		}
		if strings.HasSuffix(s.Name, "_total") != (s.Type == "counter") {
			t.Errorf("%s is a %s", s.Name, s.Type)
		}
	}
	for _, f := range families {
		if !seen[f.GetName()] {
			t.Errorf("%s is exported and not in the reference", f.GetName())
		}
	}
}

func TestHistogramsAreClassicAndNative(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics.New(reg).Staleness.WithLabelValues("refund", "policy").Observe(3)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "freshet_staleness_at_use_seconds" {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		if len(h.GetBucket()) == 0 || len(h.GetPositiveSpan()) == 0 {
			t.Errorf("classic buckets %d, native spans %d: both must be there", len(h.GetBucket()), len(h.GetPositiveSpan()))
		}
		return
	}
	t.Fatal("the histogram is not exported")
}

func TestLabelsTakeNamesFromTheContractOnly(t *testing.T) {
	var l metrics.Labels
	if got := l.Kind("policy"); got != metrics.Other {
		t.Errorf("before a contract: %q", got)
	}
	l.Set([]string{"refund"}, []string{"policy"}, []string{"risk"})
	for _, c := range []struct{ got, want string }{
		{l.Workflow("refund"), "refund"}, {l.Workflow("policy"), metrics.Other}, {l.Workflow(""), metrics.Unset},
		{l.Kind("policy"), "policy"}, {l.Kind("refund"), metrics.Other}, {l.Kind(""), metrics.Unset},
		{l.Owner("risk"), "risk"}, {l.Owner("mallory"), metrics.Other}, {l.Owner(""), metrics.Unset},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestPartitionSeriesGoWithThePartition(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := metrics.New(reg)
	p := metrics.Partition("workflows", 3)
	if p != "workflows/3" {
		t.Fatalf("partition label %q", p)
	}
	m.AppliedThrough.WithLabelValues(p).Set(1)
	m.CompleteThrough.WithLabelValues(p).Set(1)
	m.RestoreRemaining.WithLabelValues(p).Set(1)
	m.HeldSince.WithLabelValues(p, "freshet.dead-letter", string(metrics.RefusedTooLarge)).Set(1)
	m.SetPartitionState(p, metrics.Recovering)
	m.SetPartitionState(p, metrics.LiveState)
	want := []string{`catching_up 0`, `failed 0`, `held 0`, `live 1`, `recovering 0`, `restoring 0`}
	if got := values(t, reg, "freshet_partition_state"); !slices.Equal(got, want) {
		t.Errorf("states %q, want %q", got, want)
	}
	m.DropPartition(p)
	for _, name := range []string{"freshet_partition_state", "freshet_applied_through_timestamp_seconds",
		"freshet_complete_through_timestamp_seconds", "freshet_restore_remaining_records", "freshet_partition_held_since_timestamp_seconds"} {
		if left := values(t, reg, name); len(left) != 0 {
			t.Errorf("%s has %q of a partition that is gone", name, left)
		}
	}
}

func TestOneContractIsInForce(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := metrics.New(reg)
	m.SetContract("sha256:1")
	m.SetContract("sha256:2")
	if got, want := values(t, reg, "freshet_contract_info"), []string{"sha256:2 1"}; !slices.Equal(got, want) {
		t.Errorf("contracts %q, want %q", got, want)
	}
}

// values returns "last label value" of every series of a gauge, in the registry's order.
func values(t *testing.T, reg *prometheus.Registry, name string) []string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := m.GetLabel()
			got = append(got, fmt.Sprint(labels[len(labels)-1].GetValue(), " ", m.GetGauge().GetValue()))
		}
	}
	return got
}
