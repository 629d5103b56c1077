package workflows

import (
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// openType returns the type of an open workflow; open is false for every other.
func (pt *partition) openType(r *row) openType {
	return openType{r.w.Type.Name, r.w.Open()}
}

type openType struct {
	name string
	open bool
}

// openTypes bounds the workflow types that are counted apart: their names come from events.
const openTypes = 1024

// recount keeps the number of open workflows of each type. It is part of the cursor, which is written with every row that changes it.
func (pt *partition) recount(was, is openType) {
	if was == is {
		return
	}
	add := func(t openType, n int64) {
		if !t.open {
			return
		}
		name := t.name
		if _, known := pt.cursor.open[name]; !known && len(pt.cursor.open) >= openTypes {
			name = metrics.Other
		}
		pt.cursor.open[name] += n
		pt.cursor.opened = true
		pt.labels.open(pt.g, name).Add(float64(n))
	}
	add(was, -1)
	add(is, 1)
}

// holds counts a stale item that an open workflow holds, or holds no longer.
func (pt *partition) holds(workflowType, kind string, n int64) {
	h := holding{workflowType, kind}
	if _, known := pt.cursor.stale[h]; !known && len(pt.cursor.stale) >= openTypes {
		h = holding{metrics.Other, metrics.Other}
	}
	pt.cursor.stale[h] += n
	pt.cursor.opened = true
	pt.labels.stale(pt.g, h).Add(float64(n))
}

// labels are the gauges of what a partition has open, as the contract in force names them.
type labels struct {
	contract string // its hash
	types    map[string]prometheus.Gauge
	holdings map[holding]prometheus.Gauge
}

func (l *labels) open(g *Group, workflowType string) prometheus.Gauge {
	if l.types == nil {
		l.types = map[string]prometheus.Gauge{}
	}
	if l.types[workflowType] == nil {
		l.types[workflowType] = g.Metrics.OpenWorkflows.WithLabelValues(g.Metrics.Labels.Workflow(workflowType))
	}
	return l.types[workflowType]
}

func (l *labels) stale(g *Group, h holding) prometheus.Gauge {
	if l.holdings == nil {
		l.holdings = map[holding]prometheus.Gauge{}
	}
	if l.holdings[h] == nil {
		owner := ""
		if c := g.Contracts.At(always); c != nil {
			owner = c.ContextOf(h.kind, "").Owner
		}
		names := &g.Metrics.Labels
		l.holdings[h] = g.Metrics.StaleHoldings.WithLabelValues(names.Workflow(h.workflow), names.Kind(h.kind), names.Owner(owner))
	}
	return l.holdings[h]
}

// showOpen adds what the partition has open to the gauges, or takes it away.
func (pt *partition) showOpen(sign float64) {
	for name, n := range pt.cursor.open {
		pt.labels.open(pt.g, name).Add(sign * float64(n))
	}
	for h, n := range pt.cursor.stale {
		pt.labels.stale(pt.g, h).Add(sign * float64(n))
	}
}

// relabel shows the gauges anew when another contract may have given names to types, or other owners to kinds.
func (pt *partition) relabel() {
	c := pt.g.Contracts.At(always)
	if c == nil || c.Hash == pt.labels.contract {
		return
	}
	pt.showOpen(-1)
	pt.labels = labels{contract: c.Hash}
	pt.showOpen(1)
}
