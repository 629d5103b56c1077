package workflows

import (
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// closedLimit bounds how many closed detections a row keeps, whatever their age.
const closedLimit = 1024

// detect brings the detections of a workflow up to date with what the clocks have passed, and says in its row when to look again. Settled
// says that the row is written anyway; else it is written only for a detection that is another one, or an instant that would be missed.
func (pt *partition) detect(r *row, complete event.Time, settled bool) {
	w := r.w
	if !w.Begun.Set && len(w.Detections) == 0 {
		return
	}
	if len(w.Detections) == 0 && w.Begun.Time > complete {
		// Nothing of its life is certain yet, as in a backlog: it is looked at once, when that begins, and not at every event.
		if w.Look != w.Begun.Time {
			w.Look = w.Begun.Time
			pt.p.Rows.Touch(w.ID)
		}
		return
	}
	least, waits := complete, -1
	through := func(string, string) event.Time { return complete }
	if view := pt.g.View; view.Complete() < complete {
		through = func(kind, key string) event.Time {
			q := pt.g.Partitioner.PartitionString(kind+"/"+key, view.Partitions())
			_, at, _ := view.Clock(q)
			if at < least {
				least, waits = at, int(q)
			}
			return min(at, complete)
		}
	}
	pt.detector.Idle = pt.g.Contracts.WorkflowIdle()
	changed, next, ok := pt.detector.Detect(w, r.from, through)
	r.from = max(least+1, r.from)
	now := event.Of(pt.g.Now())
	for _, c := range changed {
		pt.change(r, c, now)
	}
	if before := complete - event.Time(pt.g.Contracts.DecisionRetention()); len(changed) > 0 {
		if over := w.Forget(max(before, oldest/2), closedLimit); over > 0 {
			pt.g.Metrics.LimitReached.WithLabelValues("detections").Add(float64(over))
		}
	}
	if !ok {
		next = 0
	}
	if ok && next <= complete && waits >= 0 {
		if next < r.blocked {
			r.blocked = next
			pt.blocked[waits].push(deadline{at: next, key: w.ID})
		}
	}
	// What a source is known to publish is not written into the rows of all that hold it: see crossings.
	if next != w.Look && (settled || len(changed) > 0 || w.Last > complete || w.Look != 0 && w.Look <= complete) {
		w.Look = next
		pt.p.Rows.Touch(w.ID)
	}
}

// change makes the change of a detection part of the transaction.
func (pt *partition) change(r *row, c freshness.DetectionChange, now event.Time) {
	d := &r.w.Detections[c.At]
	if was := c.Was.Bound != 0 && c.Was.Open(); was != d.Open() {
		n := int64(1)
		if was {
			n = -1
		}
		pt.holds(r.w.Type.Name, d.Kind, n)
	}
	if d.DetectedAt == 0 {
		d.DetectedAt = now
	}
	d.Revision++
	pt.p.Rows.Touch(r.w.ID)
	pt.publishDetection(r, d, now)
	if d.Open() {
		pt.g.Metrics.DetectionsOpened.WithLabelValues(d.Bound.Bound()).Inc()
	} else {
		pt.g.Metrics.DetectionsClosed.WithLabelValues(d.ClosedBy.String()).Inc()
	}
}

// look does what is due for a workflow besides judging its uses, and schedules what is not due yet.
func (pt *partition) look(r *row, complete event.Time, settled bool) {
	if !r.gone {
		pt.detect(r, complete, settled)
		pt.live(r, complete)
	}
	next := never
	if at := r.w.Look; at != 0 && at > complete {
		next = at
	}
	if at := r.w.Life; at != 0 {
		next = min(next, at)
	}
	if !r.gone && next < r.due {
		r.due = next
		pt.due.push(deadline{at: next, key: r.w.ID})
	}
}

// retyped moves the open detections of a workflow to another type.
func (pt *partition) retyped(r *row, was string) {
	if was == r.w.Type.Name {
		return
	}
	for i := range r.w.Detections {
		if d := &r.w.Detections[i]; d.Open() {
			pt.holds(was, d.Kind, -1)
			pt.holds(r.w.Type.Name, d.Kind, 1)
		}
	}
}
