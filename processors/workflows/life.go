package workflows

import (
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
)

// live closes a workflow that has been without events for too long, and lets go of what is older than decisions are kept. All of it is
// decided by event times and the clock.
func (pt *partition) live(r *row, complete event.Time) {
	w := r.w
	idle, retention := event.Time(pt.g.Contracts.WorkflowIdle()), event.Time(pt.g.Contracts.DecisionRetention())
	if complete <= oldest/2 || len(w.Lines) == 0 {
		return
	}
	waits := false
	if w.Life == 0 || complete >= w.Life {
		if idle > 0 && w.Open() && complete >= w.Last+idle {
			was := pt.openType(r)
			w.Abandoned = true
			pt.recount(was, pt.openType(r))
			pt.p.Rows.Touch(w.ID)
			pt.g.Metrics.Abandoned.WithLabelValues(pt.g.Metrics.Labels.Workflow(w.Type.Name)).Inc()
		}
		floor := complete - retention
		if pt.over(w, complete, idle) && w.Last < floor && r.pending == 0 {
			if r.from > pt.ended(w, idle) {
				pt.purge(r)
				return
			}
			waits = true // a source's clock is behind: what it held is not known until its end, and a detection of it may be open
		}
		if purged := w.Shrink(floor); purged.Decisions > 0 || purged.Lines > 0 {
			pt.g.Metrics.Purged.WithLabelValues(metrics.PurgedDecisions).Add(float64(purged.Decisions))
			r.count()
			pt.p.Rows.Touch(w.ID)
		}
	}
	next := w.Last + retention + 1
	switch {
	case w.Open():
		next = min(w.Last+idle, w.Lines[0].Time+retention+retention/2+1)
		if idle <= 0 {
			next = w.Lines[0].Time + retention + retention/2 + 1
		}
	case !w.Begun.Set:
		next = max(w.Last+idle, next)
	}
	next = max(next, complete+1)
	if waits {
		next = max(next, complete+purgeAgain)
	}
	if w.Life == 0 || next < w.Life || w.Life <= complete {
		w.Life = next
		pt.p.Rows.Touch(w.ID)
	}
}

// purgeAgain is after how long a workflow is looked at again that cannot be let go of yet: sooner, if a detection of it is
// closed meanwhile.
const purgeAgain = event.Time(60_000)

// ended returns the last instant at which a workflow may have held something stale.
func (pt *partition) ended(w *freshness.Workflow, idle event.Time) event.Time {
	switch {
	case !w.Begun.Set && len(w.Detections) == 0:
		return oldest
	case w.Over.Set:
		return w.Over.Time
	}
	return w.Last + idle
}

// over says whether nothing more is expected of a workflow.
func (pt *partition) over(w *freshness.Workflow, complete, idle event.Time) bool {
	if w.Begun.Set {
		return !w.Open()
	}
	return complete >= w.Last+idle
}

// purge lets go of a workflow. What comes of it later is late, but for what is of another life.
func (pt *partition) purge(r *row) {
	pt.g.Metrics.Purged.WithLabelValues(metrics.PurgedWorkflows).Inc()
	pt.g.Metrics.Purged.WithLabelValues(metrics.PurgedDecisions).Add(float64(len(r.w.Uses)))
	r.gone = true
	pt.p.Rows.Touch(r.w.ID)
}
