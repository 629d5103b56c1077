package slos

import (
	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo/budget"
)

// Burns returns what alerts are decided by: every burn-rate rule of every objective in force, over windows that end now. known is false
// while the buckets are still being read.
func (r *Reader) Burns(now event.Time) (burns []alerts.Burn, known bool) {
	states, known := r.States(now)
	for i := range states {
		for k := range states[i].Rules {
			burns = append(burns, burnOf(&states[i], &states[i].Rules[k]))
		}
	}
	return burns, known
}

func burnOf(s *budget.State, r *budget.Rule) alerts.Burn {
	b := alerts.Burn{
		SLO: s.SLO.Name, Rule: r.BurnRule, Holds: r.Outcome == budget.Holds, Few: r.Outcome == budget.FewEvents,
		Long: windowOf(&r.Long), Short: windowOf(&r.Short),
	}
	for _, c := range r.Shares {
		b.Causes = append(b.Causes, alerts.Share{Cause: c.Cause, Owner: c.Owner, Parts: c.Parts})
	}
	for _, e := range r.Evidence {
		b.Evidence = append(b.Evidence, alerts.Evidence{
			Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Workflow: e.Workflow, DecisionID: e.DecisionID, TraceID: e.Trace,
		})
	}
	return b
}

// windowOf leaves a window of which there is no burn rate at 0: nothing burns.
func windowOf(w *budget.Window) alerts.Window {
	out := alerts.Window{Good: w.Counted - w.Against, Bad: w.Against, Unknown: w.Unknown}
	if w.Counted > 0 {
		out.Burn = w.Burn
	}
	return out
}
