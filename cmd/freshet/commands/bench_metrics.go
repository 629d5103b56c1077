package commands

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// sumCounters adds up counters over their labels; those of commits by kind of record too, as name/kind.
func sumCounters(reg prometheus.Gatherer) (map[string]float64, error) {
	families, err := reg.Gather()
	if err != nil {
		return nil, fmt.Errorf("read the metrics: %w", err)
	}
	sums := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetCounter() == nil {
				continue
			}
			sums[f.GetName()] += m.GetCounter().GetValue()
			for _, l := range m.GetLabel() {
				if l.GetName() == "kind" {
					sums[f.GetName()+"/"+l.GetValue()] += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sums, nil
}

// labels are those of a series.
type labels map[string]string

// summed sums up the series of a name that are wanted, and says how many they are.
func summed(reg prometheus.Gatherer, name string, wanted func(labels) bool) (sum float64, n int, err error) {
	families, err := reg.Gather()
	if err != nil {
		return 0, 0, fmt.Errorf("read the metrics: %w", err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			l := labels{}
			for _, pair := range m.GetLabel() {
				l[pair.GetName()] = pair.GetValue()
			}
			if wanted(l) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				n++
			}
		}
	}
	return sum, n, nil
}

// total sums up all series of a name.
func total(reg prometheus.Gatherer, name string) (float64, error) {
	sum, _, err := summed(reg, name, func(labels) bool { return true })
	return sum, err
}
