package workflows

import (
	"strconv"

	"github.com/freshet-io/freshet/checkid"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// counts remembers the series of what a partition's verdicts are about: finding one by its labels costs more than counting.
type counts struct {
	items map[itemSeries]*itemCounts
	hash  string // of the contract whose names the series have
}

type itemSeries struct{ workflow, kind string }

type itemCounts struct {
	workflow, kind       string // label values
	age, stale, versions prometheus.Observer
}

// seriesLimit bounds the names that are remembered: they come from events.
const seriesLimit = 1024

func (c *counts) of(m *metrics.Metrics, workflow, kind, contract string) *itemCounts {
	if c.items == nil || c.hash != contract || len(c.items) >= seriesLimit {
		c.items, c.hash = map[itemSeries]*itemCounts{}, contract
	}
	if s := c.items[itemSeries{workflow, kind}]; s != nil {
		return s
	}
	w, k := m.Labels.Workflow(workflow), m.Labels.Kind(kind)
	s := &itemCounts{
		workflow: w, kind: k,
		age: m.ContextAge.WithLabelValues(w, k), stale: m.Staleness.WithLabelValues(w, k), versions: m.VersionsBehind.WithLabelValues(w, k),
	}
	c.items[itemSeries{workflow, kind}] = s
	return s
}

// first counts a first final verdict.
func (c *counts) first(m *metrics.Metrics, u *freshness.Use, v *freshness.Verdict, check *checkid.Act) {
	workflow, contract := m.Labels.Workflow(v.WorkflowType), ""
	if v.Contract != nil {
		contract = v.Contract.Hash
	}
	m.Decisions.WithLabelValues(workflow, u.Kind.String(), v.Kind.String(), u.Traffic.String()).Inc()
	if u.Kind == freshness.Executed {
		m.Acts.WithLabelValues(workflow, outcome(check), strconv.FormatBool(check.Superseded)).Inc()
	}
	if v.Kind == freshness.IsUnknown {
		v.Reasons.Each(func(reason freshness.Reason) {
			m.UnknownDecisions.WithLabelValues(workflow, reason.String()).Inc()
		})
	}
	for i := range v.Items {
		it := &v.Items[i]
		s := c.of(m, v.WorkflowType, it.Kind, contract)
		if it.HasAge {
			s.age.Observe(it.Age.Seconds())
		}
		if it.HasStaleness {
			s.stale.Observe(it.Staleness.Seconds())
			s.versions.Observe(float64(it.Behind))
		}
		for j := range it.Causes {
			share := &it.Causes[j]
			m.StaleSeconds.WithLabelValues(workflow, share.Cause.String(), m.Labels.Owner(share.Owner)).Add(share.For.Seconds())
			m.Propagation.WithLabelValues(s.kind, hop(share.Cause)).Observe(share.For.Seconds())
		}
		if v.Kind == freshness.IsStale && it.Verdict == freshness.IsStale && len(it.Causes) > 0 {
			m.StaleDecisions.WithLabelValues(workflow, s.kind, v.Cause.String(), m.Labels.Owner(v.Owner)).Inc()
		}
	}
}

func hop(c freshness.Cause) string {
	switch c {
	case freshness.SourceLate, freshness.SilentSource:
		return metrics.HopSource
	case freshness.ConsumerLag, freshness.ServingStale:
		return metrics.HopServing
	}
	return metrics.HopHold
}
