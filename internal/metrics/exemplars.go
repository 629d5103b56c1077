package metrics

import (
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// Labels of an exemplar.
const (
	TrailWorkflow = "workflow"
	TrailDecision = "decision_id"
)

// Trail leads from a series to one of the decisions that it counts, which freshet explain explains. What is about no decision leads to
// the workflow, what is about no workflow nowhere.
type Trail struct{ Workflow, Decision string }

// Exemplar returns the labels of an exemplar, nil where there is no workflow, or ids are longer than an exemplar may be, or are no text:
// it is left out then.
func (t Trail) Exemplar() prometheus.Labels {
	labels := prometheus.Labels{}
	runes := 0
	for _, l := range []struct{ name, value string }{{TrailWorkflow, t.Workflow}, {TrailDecision, t.Decision}} {
		if l.value == "" {
			continue
		}
		if runes += len(l.name) + utf8.RuneCountInString(l.value); runes > prometheus.ExemplarMaxRunes || !utf8.ValidString(l.value) {
			return nil
		}
		labels[l.name] = strings.Clone(l.value)
	}
	if t.Workflow == "" {
		return nil
	}
	return labels
}

// exemplarPace is how often something becomes an exemplar: each costs more than what it is an example of.
const exemplarPace = time.Second

// Pace lets an exemplar through once a second. The zero value is ready, and it is safe for concurrent use.
type Pace struct{ last atomic.Int64 }

// Exemplar returns what leads to a trail, nil if another one was shown within the last second.
func (p *Pace) Exemplar(t Trail, now time.Time) prometheus.Labels {
	last, at := p.last.Load(), now.UnixNano()
	if at < last+int64(exemplarPace) || !p.last.CompareAndSwap(last, at) {
		return nil
	}
	return t.Exemplar()
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
