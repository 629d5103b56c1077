package clock

import (
	"testing"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/gateway"
)

// A tick that began before a partition was revoked shows nothing of it afterwards: its series would stand for ever.
func TestNothingIsShownOfAPartitionThatIsGone(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := metrics.New(reg)
	g := NewGroup("workflows", nil, nil, nil, nil, nil, m, log.NewNopLogger())
	series := func() (n int) {
		all, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			for _, s := range f.GetMetric() {
				for _, l := range s.GetLabel() {
					if l.GetName() == "partition" {
						n++
					}
				}
			}
		}
		return n
	}
	p := &gateway.Partition{ID: 3}
	g.Assigned(p)
	parts := g.snapshot()
	parts[0].live.Store(true)
	g.export(parts[0])
	if n := series(); n < 2 {
		t.Fatalf("%d series of a partition that runs", n)
	}
	g.Revoked(p)
	m.DropPartition(metrics.Partition("workflows", p.ID))
	g.export(parts[0])
	if n := series(); n != 0 {
		t.Errorf("%d series of a partition that is gone", n)
	}
}
