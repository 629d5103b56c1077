package metrics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/freshet-io/freshet/internal/metrics"
)

// One exemplar a second is let through, and one that cannot be shown is as good as any other for that.
func TestExemplarsArePaced(t *testing.T) {
	var p metrics.Pace
	at := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		after time.Duration
		id    string
		shown bool
	}{{0, "wf-1", true}, {time.Millisecond, "wf-2", false}, {999 * time.Millisecond, "wf-3", false}, {time.Second, "wf-4", true}, {2 * time.Second, "", false}, {3 * time.Second, "wf-5", true}} {
		if labels := p.Exemplar(metrics.Trail{Workflow: c.id}, at.Add(c.after)); (labels != nil) != c.shown {
			t.Errorf("after %v: %v", c.after, labels)
		}
	}
}

// BenchmarkLag is what the engine's lag costs for each event.
func BenchmarkLag(b *testing.B) {
	m := metrics.New(prometheus.NewRegistry())
	var p metrics.Pace
	now, about := time.Now(), metrics.Trail{Workflow: "wf-7f3", Decision: "d1"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		metrics.Observe(m.EngineLag, float64(i%1000)/1000, p.Exemplar(about, now))
	}
}

// The longest ids that an exemplar holds are shown; longer ones, and what is no text, are left out, and counted all the same.
func TestExemplarsHoldWhatTheyCan(t *testing.T) {
	const room = prometheus.ExemplarMaxRunes - len(metrics.TrailWorkflow) - len(metrics.TrailDecision)
	for _, c := range []struct {
		name  string
		trail metrics.Trail
		shown bool
	}{
		{"ids", metrics.Trail{Workflow: "wf-1", Decision: "d-1"}, true},
		{"the longest", metrics.Trail{Workflow: strings.Repeat("ü", room-1), Decision: "d"}, true},
		{"one more", metrics.Trail{Workflow: strings.Repeat("ü", room), Decision: "d"}, false},
		{"no text", metrics.Trail{Workflow: "wf\xff", Decision: "d"}, false},
		{"a workflow alone", metrics.Trail{Workflow: strings.Repeat("ü", room+len(metrics.TrailDecision))}, true},
		{"one more alone", metrics.Trail{Workflow: strings.Repeat("ü", room+len(metrics.TrailDecision)+1)}, false},
		{"nothing", metrics.Trail{}, false},
		{"no workflow", metrics.Trail{Decision: "d"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := metrics.New(prometheus.NewPedanticRegistry())
			h, n := m.Staleness.WithLabelValues("refund", "policy"), m.StaleDecisions.WithLabelValues("refund", "policy", "hold_tool", "risk")
			metrics.Observe(h, 3, c.trail.Exemplar())
			metrics.Inc(n, c.trail.Exemplar())
			var histogram, counter dto.Metric
			if err := h.(prometheus.Metric).Write(&histogram); err != nil {
				t.Fatal(err)
			}
			if err := n.Write(&counter); err != nil {
				t.Fatal(err)
			}
			var inBucket *dto.Exemplar
			for _, b := range histogram.GetHistogram().GetBucket() {
				if b.Exemplar != nil {
					inBucket = b.Exemplar
				}
			}
			if histogram.GetHistogram().GetSampleCount() != 1 || counter.GetCounter().GetValue() != 1 {
				t.Errorf("not counted: %v, %v", &histogram, &counter)
			}
			for where, e := range map[string]*dto.Exemplar{"histogram": inBucket, "counter": counter.GetCounter().GetExemplar()} {
				if (e != nil) != c.shown {
					t.Errorf("%s has exemplar %v", where, e)
				}
				for _, l := range e.GetLabel() {
					if want := map[string]string{metrics.TrailWorkflow: c.trail.Workflow, metrics.TrailDecision: c.trail.Decision}[l.GetName()]; l.GetValue() != want {
						t.Errorf("%s: %s is %q, want %q", where, l.GetName(), l.GetValue(), want)
					}
				}
			}
		})
	}
}
