package observe

import (
	"net/http"
	"net/url"
	"os/exec"
	"slices"
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
		for _, series := range []string{"freshet_stale_decisions_total", "freshet_staleness_at_use_seconds", "freshet_context_age_at_use_seconds", "freshet_versions_behind_at_use", "freshet_propagation_seconds"} {
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
					if !slices.Contains(s.sessions, e.Labels[metrics.TrailWorkflow]) || e.Labels[metrics.TrailDecision] == "" {
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

// stale checks that every stale use is counted once by kind and cause.
func (s *stage) stale(t *testing.T) {
	all, byKind := s.engine.Counted("freshet_decisions_total", map[string]string{"verdict": "stale"}), s.engine.Counted("freshet_stale_decisions_total", nil)
	if all != byKind || all == 0 {
		t.Errorf("%v uses were stale, %v are counted by kind and cause", all, byKind)
	}
}
