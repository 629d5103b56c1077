package dispatch

import (
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/internal/metrics"
)

// How long it took to tell somebody leads to what he was told of, unless its ids are too long to be an exemplar: then it is counted all the
// same.
func TestDelaysLeadToEvidence(t *testing.T) {
	a := newReceiver(t)
	k := start(t, func(c *Config) { c.Alertmanagers = a.URL })
	told := func(id string, evidence ...alerts.Evidence) (count uint64, exemplars map[string]string) {
		t.Helper()
		r := row(id)
		r.Evidence = evidence
		k.Offer(k.notifications(r, alerts.Tell, "payments"), false)
		before := len(k.acks)
		exemplars = map[string]string{}
		k.until(func() string {
			if len(k.acks) == before {
				return "nothing is acknowledged"
			}
			var m dto.Metric
			if err := k.m.NotificationDelay.Write(&m); err != nil {
				t.Fatal(err)
			}
			if n := m.GetHistogram().GetSampleCount(); n != uint64(before)+1 {
				return "the delay is not observed"
			}
			count = m.GetHistogram().GetSampleCount()
			for _, b := range m.GetHistogram().GetBucket() {
				labels := map[string]string{}
				for _, l := range b.GetExemplar().GetLabel() {
					labels[l.GetName()] = l.GetValue()
				}
				if w := labels[metrics.TrailWorkflow]; w != "" {
					exemplars[w] = labels[metrics.TrailDecision]
				}
			}
			return ""
		})
		return count, exemplars
	}
	if n, e := told("SourceSilent/a", alerts.Evidence{Topic: "context.source"}, alerts.Evidence{Workflow: strings.Repeat("w", 300), DecisionID: "d"}); n != 1 || len(e) != 0 {
		t.Errorf("%d delays, exemplars %v", n, e)
	}
	if n, e := told("SourceSilent/b", alerts.Evidence{Topic: "context.source"}, alerts.Evidence{Workflow: "wf-1", DecisionID: "d-1"}); n != 2 || e["wf-1"] != "d-1" {
		t.Errorf("%d delays, exemplars %v", n, e)
	}
}
