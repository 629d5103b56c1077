package observe

import (
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/internal/metrics"
)

// An engine is looked at while recorded sessions play.
func TestAnEngineAtWorkIsSeen(t *testing.T) {
	ctx := within(t, 4*time.Minute)
	s := newStage(ctx, t)
	s.play(ctx, t)
	t.Run("promtool check metrics", s.lint)
	t.Run("exemplars", s.exemplars)
	t.Run("series", s.series)
	t.Run("stale decisions", s.stale)
	t.Run("panels", func(t *testing.T) {
		t.Run("classic histograms", func(t *testing.T) { s.panels(t, s.classic) })
		t.Run("native histograms", func(t *testing.T) { s.panels(t, s.native) })
	})
}

// lint has Prometheus' own tool look at what is exported.
func (s *stage) lint(t *testing.T) {
	path := program(t, "promtool")
	res, err := http.Get("http://" + s.engine.App.HTTPAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	cmd := exec.Command(path, "check", "metrics")
	cmd.Stdin = res.Body
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// exemplars lead from histograms and from what was stale to decisions.
func (s *stage) exemplars(t *testing.T) {
	for name, server := range map[string]*server{"classic": s.classic, "native": s.native} {
		for _, series := range []string{"freshet_stale_decisions_total", "freshet_staleness_at_use_seconds", "freshet_context_age_at_use_seconds", "freshet_versions_behind_at_use", "freshet_propagation_seconds", "freshet_engine_lag_seconds", "freshet_check_duration_seconds"} {
			if name == "native" && series != "freshet_stale_decisions_total" {
				continue // this Prometheus takes exemplars of counters and of classic histograms only
			}
			suffix := ""
			if series != "freshet_stale_decisions_total" {
				suffix = "_bucket"
			}
			var found []struct {
				Exemplars []struct{ Labels map[string]string }
			}
			query := url.Values{"query": {series + suffix}, "start": {seconds(s.began.Add(-time.Minute))}, "end": {seconds(time.Now())}}
			if err := server.get("/api/v1/query_exemplars", query, &found); err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, f := range found {
				for _, e := range f.Exemplars {
					n++
					decides := strings.Contains(series, "_at_use") || strings.Contains(series, "propagation") || strings.Contains(series, "stale")
					if !slices.Contains(s.sessions, e.Labels[metrics.TrailWorkflow]) || decides && e.Labels[metrics.TrailDecision] == "" {
						t.Errorf("%s: an exemplar leads to %v", series, e.Labels)
					}
				}
			}
			t.Logf("%s: %s has %d exemplars", name, series, n)
			if n == 0 {
				t.Errorf("%s: %s has no exemplars", name, series)
			}
		}
	}
}

// quiet says of series why an engine at work need not export them.
var quiet = map[string]string{
	"freshet_dead_letters_total":                     "everything can be used",
	"freshet_source_conflicts_total":                 "no two updates have the same seq",
	"freshet_source_clock_ahead_total":               "no producer's clock is ahead",
	"freshet_verdict_amendments_total":               "everything comes in time",
	"freshet_unknown_decisions_total":                "everything may be known",
	"freshet_refs_without_seq_total":                 "every REF may have one",
	"freshet_refs_without_as_of_total":               "every REF may have one",
	"freshet_refs_unresolved_total":                  "every version may be known",
	"freshet_max_silence_seconds":                    "the contract has no max_silence",
	"freshet_bound_versions":                         "the contract may bound times only",
	"freshet_workflows_abandoned_total":              "nobody is silent for days",
	"freshet_purged_total":                           "nothing is days old",
	"freshet_refused_total":                          "no topic refuses a record",
	"freshet_partition_held_since_timestamp_seconds": "no partition is held back",
	"freshet_detections_closed_total":                "what is held may be held to the end",
	"freshet_requests_denied_total":                  "nobody is denied anything",
	"freshet_notifications_total":                    "nobody is to be told",
	"freshet_otlp_exports_total":                     "no endpoint is named",
}

// series checks that an engine at work exports every series that is documented, and no other.
func (s *stage) series(t *testing.T) {
	families, err := s.engine.App.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string]bool{}
	for _, f := range families {
		exported[f.GetName()] = true
	}
	known := map[string]bool{}
	for _, series := range metrics.Reference() {
		known[series.Name] = true
		if !exported[series.Name] && quiet[series.Name] == "" {
			t.Errorf("%s is not exported by an engine at work", series.Name)
		}
	}
	for name := range exported {
		if strings.HasPrefix(name, "freshet_") && !known[name] {
			t.Errorf("%s is exported and in no document", name)
		}
	}
	for name := range quiet {
		if !known[name] {
			t.Errorf("a reason is given for %s, which is no series", name)
		}
	}
}

// stale checks that every stale use is counted once by kind and cause.
func (s *stage) stale(t *testing.T) {
	all, byKind := s.engine.Counted("freshet_decisions_total", map[string]string{"verdict": "stale"}), s.engine.Counted("freshet_stale_decisions_total", nil)
	if all != byKind || all == 0 {
		t.Errorf("%v uses were stale, %v are counted by kind and cause", all, byKind)
	}
}
