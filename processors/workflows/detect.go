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
	if found := w.Found(); found > complete {
		// Whoever had the partition before had a clock that was further on: until this one is, there is nothing to be taken back.
		if w.Look == 0 || w.Look <= complete || w.Look > found {
			w.Look = found
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
	if pt.detector.Unsettled() && !w.Unsettled {
		w.Unsettled = true
		pt.p.Rows.Touch(w.ID)
	}
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
			pt.blocked.push(waits, deadline{at: next, key: w.ID})
		}
	}
	// What a source is known to publish is not written into the rows of all that hold it: see crossings. But where a source's clock is waited for,
	// the partition's has passed the instant, and nobody else would come back to it after a restart.
	if next != w.Look && (settled || len(changed) > 0 || w.Last > complete || w.Look != 0 && w.Look <= complete || ok && next <= complete) {
		w.Look = next
		pt.p.Rows.Touch(w.ID)
	}
}

// change makes the change of a detection part of the transaction.
func (pt *partition) change(r *row, c freshness.DetectionChange, now event.Time) {
	d, workflowType := &r.w.Detections[c.At], r.w.Type.Name
	was := c.Was.Bound != 0 && c.Was.Open()
	grouped := false
	if was {
		pt.holds(workflowType, d.Kind, -1)
		pt.groups.leave(versionOf(r.w, &c.Was), d)
	}
	if d.Open() {
		pt.holds(workflowType, d.Kind, 1)
		grouped = pt.groups.enter(versionOf(r.w, d))
	}
	if d.DetectedAt == 0 {
		d.DetectedAt = now
	}
	pt.p.Rows.Touch(r.w.ID)
	switch {
	case d.Open() && grouped:
		if d.Revision > 0 && !d.Grouped {
			pt.sayGrouped(r, d, now)
		}
		d.Grouped = true
	case d.Open():
		d.Grouped = false
		pt.sayDetection(r, d, now)
	case !d.Grouped:
		pt.sayDetection(r, d, now)
	}
	if d.Open() {
		pt.g.Metrics.DetectionsOpened.WithLabelValues(d.Bound.Bound()).Inc()
	} else {
		pt.g.Metrics.DetectionsClosed.WithLabelValues(d.ClosedBy.String()).Inc()
	}
}

// sayDetection makes a record of a detection's own part of the transaction.
func (pt *partition) sayDetection(r *row, d *freshness.Detection, now event.Time) {
	d.Revision++
	by := ""
	if !d.Open() {
		by = d.ClosedBy.String()
	}
	pt.publishDetection(r, d, by, now)
}

// sayGrouped closes the record of an open detection for which its group speaks from now on.
func (pt *partition) sayGrouped(r *row, d *freshness.Detection, now event.Time) {
	d.Revision++
	closed := *d
	closed.Until = max(now, d.Since)
	pt.publishDetection(r, &closed, "grouped", now)
	pt.g.Metrics.DetectionsClosed.WithLabelValues("grouped").Inc()
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

// claimed is what a workflow's open detections are counted by, beside the item.
type claimed struct {
	name    string
	traffic event.TrafficClass
}

func (r *row) claimed() claimed { return claimed{r.w.Type.Name, r.w.Traffic} }

// reclaimed counts the open detections of a workflow anew, when an event has given it another type or class of traffic.
func (pt *partition) reclaimed(r *row, was claimed) {
	if was == r.claimed() {
		return
	}
	for i := range r.w.Detections {
		d := &r.w.Detections[i]
		if !d.Open() {
			continue
		}
		v := versionOf(r.w, d)
		pt.holds(v.workflow, d.Kind, 1)
		pt.groups.enter(v)
		v.workflow, v.traffic = was.name, was.traffic
		pt.holds(v.workflow, d.Kind, -1)
		pt.groups.leave(v, d)
	}
	pt.regroup(r)
}
