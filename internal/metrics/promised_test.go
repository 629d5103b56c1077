package metrics_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/internal/metrics"
)

// promised are the series that others build on, as they are written down: name, labels, and the values of those that are closed sets.
// They are never renamed. What is not in the list is the engine's own affair.
const promised = `
freshet_events_total{topic,result="applied|duplicate|rerouted|dead_letter|late"}
freshet_dead_letters_total{topic,reason}
freshet_decisions_total{workflow_type,use,verdict,traffic_class}
freshet_verdict_amendments_total{from,to}
freshet_stale_decisions_total{workflow_type,kind,cause,owner}
freshet_stale_seconds_total{workflow_type,cause,owner}
freshet_unknown_decisions_total{workflow_type,reason}
freshet_context_age_at_use_seconds{workflow_type,kind}
freshet_staleness_at_use_seconds{workflow_type,kind}
freshet_versions_behind_at_use{workflow_type,kind}
freshet_propagation_seconds{kind,hop="source|serving|hold"}
freshet_open_workflows{workflow_type}
freshet_stale_holdings{workflow_type,kind,owner}
freshet_source_last_update_timestamp_seconds{kind}
freshet_source_last_life_timestamp_seconds{kind}
freshet_source_conflicts_total{kind}
freshet_slo_events_total{slo,result="good|bad|unknown"}
freshet_slo_good_ratio{slo,window}
freshet_slo_objective_ratio{slo}
freshet_slo_burn_rate{slo,window}
freshet_slo_budget_remaining_ratio{slo}
freshet_slo_coverage_ratio{slo}
freshet_alerts{name,owner,severity,status}
freshet_notifications_total{destination,result}
freshet_notification_delay_seconds
freshet_applied_through_timestamp_seconds{partition}
freshet_engine_lag_seconds
freshet_partition_state{partition,state}
freshet_acts_total{workflow_type,check="fresh|stale|unknown|invalid|none",superseded_since}
freshet_restore_remaining_records{partition}
freshet_check_duration_seconds
freshet_checks_total{verdict}
freshet_contract_info{hash}
freshet_build_info
`

// what stands in a line: the name, and labels with or without values. build_info says more than is promised.
var promise = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})?$`)

func TestWhatIsPromisedIsExported(t *testing.T) {
	known := map[string]metrics.Series{}
	for _, s := range metrics.Reference() {
		known[s.Name] = s
	}
	for line := range strings.Lines(strings.TrimSpace(promised)) {
		m := promise.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Fatalf("cannot be read: %q", line)
		}
		s, ok := known[m[1]]
		if !ok {
			t.Errorf("%s is not exported", m[1])
			continue
		}
		var labels []string
		for _, part := range strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' }) {
			label, values, closed := strings.Cut(part, "=")
			labels = append(labels, label)
			if want := strings.Split(strings.Trim(values, `"`), "|"); closed && !slices.Equal(s.Values[label], want) {
				t.Errorf("%s: %s is one of %q, want %q", s.Name, label, s.Values[label], want)
			}
		}
		if !slices.Equal(s.Labels, labels) && s.Name != "freshet_build_info" {
			t.Errorf("%s has labels %q, want %q", s.Name, s.Labels, labels)
		}
		histogram := strings.HasPrefix(s.Type, "histogram")
		if isHistogram := strings.Contains(s.Name, "_at_use") || strings.HasSuffix(s.Name, "_seconds") && !strings.Contains(s.Name, "timestamp"); histogram != isHistogram {
			t.Errorf("%s is a %s", s.Name, s.Type)
		}
	}
}
