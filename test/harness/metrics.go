package harness

import (
	"slices"

	"github.com/freshet-io/freshet/internal/metrics"
)

// Counted returns the sum of the engine's counters, or gauges, of a name whose labels have the values that are given.
func (e *Engine) Counted(name string, labels map[string]string) float64 {
	e.t.Helper()
	if !slices.ContainsFunc(metrics.Reference(), func(s metrics.Series) bool { return s.Name == name }) {
		e.t.Fatalf("there is no series %s", name)
	}
	families, err := e.App.Registry().Gather()
	if err != nil {
		e.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			fits := 0
			for _, l := range m.GetLabel() {
				if want, asked := labels[l.GetName()]; asked && want == l.GetValue() {
					fits++
				}
			}
			if fits == len(labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}
