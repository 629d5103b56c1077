package metrics

import (
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// Labels of an exemplar.
const (
	TrailWorkflow = "workflow"
	TrailDecision = "decision_id"
)

// Trail leads from a series to one of the decisions that it counts, which freshet explain explains.
type Trail struct{ Workflow, Decision string }

// Exemplar returns the labels of an exemplar, nil where ids are longer than an exemplar may be, or are no text: it is left out then.
func (t Trail) Exemplar() prometheus.Labels {
	const names = len(TrailWorkflow) + len(TrailDecision)
	if !utf8.ValidString(t.Workflow) || !utf8.ValidString(t.Decision) ||
		names+utf8.RuneCountInString(t.Workflow)+utf8.RuneCountInString(t.Decision) > prometheus.ExemplarMaxRunes {
		return nil
	}
	return prometheus.Labels{TrailWorkflow: strings.Clone(t.Workflow), TrailDecision: strings.Clone(t.Decision)}
}

// Observe adds an observation to a histogram, with an exemplar unless that is nil. An exemplar costs some ten allocations: callers pace them.
func Observe(o prometheus.Observer, v float64, exemplar prometheus.Labels) {
	if e, ok := o.(prometheus.ExemplarObserver); ok && exemplar != nil {
		e.ObserveWithExemplar(v, exemplar)
		return
	}
	o.Observe(v)
}

// Inc adds 1 to a counter, with an exemplar unless that is nil.
func Inc(c prometheus.Counter, exemplar prometheus.Labels) {
	if e, ok := c.(prometheus.ExemplarAdder); ok && exemplar != nil {
		e.AddWithExemplar(1, exemplar)
		return
	}
	c.Inc()
}
