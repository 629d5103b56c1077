package workflows

import (
	"strconv"

	"github.com/freshet-io/freshet/checkid"
	"github.com/freshet-io/freshet/event"
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
	ofStale, ofOthers    metrics.Pace // of exemplars
}

// exemplar returns what leads to the use from the series of an item, nil if another use has just been shown.
func (s *itemCounts) exemplar(t metrics.Trail, stale bool, now event.Time) prometheus.Labels {
	if stale {
		return s.ofStale.Exemplar(t, now.Go())
	}
	return s.ofOthers.Exemplar(t, now.Go())
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
func (c *counts) first(m *metrics.Metrics, id string, u *freshness.Use, v *freshness.Verdict, check *checkid.Act, now event.Time) {
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
	trail, worst := metrics.Trail{Workflow: id, Decision: u.DecisionID}, deciding(v)
	for i := range v.Items {
		it := &v.Items[i]
		s := c.of(m, v.WorkflowType, it.Kind, contract)
		exemplar := s.exemplar(trail, it.Verdict == freshness.IsStale, now)
		if it.HasAge {
			metrics.Observe(s.age, it.Age.Seconds(), exemplar)
		}
		if it.HasStaleness {
			metrics.Observe(s.stale, it.Staleness.Seconds(), exemplar)
			metrics.Observe(s.versions, float64(it.Behind), exemplar)
		}
		if !it.HasSeq {
			m.RefsUnresolved.WithLabelValues(s.kind).Inc()
		}
		for j := range it.Causes {
			share := &it.Causes[j]
			m.StaleSeconds.WithLabelValues(workflow, share.Cause.String(), m.Labels.Owner(share.Owner)).Add(share.For.Seconds())
			metrics.Observe(m.Propagation.WithLabelValues(s.kind, hop(share.Cause)), share.For.Seconds(), exemplar)
		}
		if i == worst {
			metrics.Inc(m.StaleDecisions.WithLabelValues(workflow, s.kind, v.Cause.String(), m.Labels.Owner(v.Owner)), exemplar)
		}
	}
}

// deciding returns the item that the cause of a stale verdict is taken from: of the stale ones, the first that has the longest time divided
// among causes. It is -1 for other verdicts, and where nothing is divided.
func deciding(v *freshness.Verdict) int {
	found, longest := -1, freshness.Duration(0)
	for i := range v.Items {
		it := &v.Items[i]
		if v.Kind != freshness.IsStale || it.Verdict != freshness.IsStale {
			continue
		}
		divided := freshness.Duration(0)
		for j := range it.Causes {
			divided += it.Causes[j].For
		}
		if divided > longest {
			found, longest = i, divided
		}
	}
	return found
}

// refs counts what REFs of an event do not say.
func (c *counts) refs(m *metrics.Metrics, e *event.Event) {
	if e.Type == event.ContextDropped {
		return
	}
	for i := range e.Refs {
		r := &e.Refs[i]
		if !r.HasSeq {
			m.RefsWithoutSeq.WithLabelValues(m.Labels.Kind(r.Kind)).Inc()
		}
		if !r.HasAsOf {
			m.RefsWithoutAsOf.WithLabelValues(m.Labels.Kind(r.Kind)).Inc()
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
