package state

import (
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Sections behind the parts of a workflow's row.
const (
	lifeSection      = 1 // when to look at the workflow next, its traffic
	detectionSection = 2
)

// sections appends what there is behind the parts.
func (w *writer) sections(f *freshness.Workflow) {
	if f.Look != 0 || f.Life != 0 || f.Abandoned || f.Traffic != 0 || f.Unsettled {
		w.byte(lifeSection)
		w.flags(f.Look != 0, f.Life != 0, f.Abandoned, f.Traffic != 0, f.Unsettled)
		if f.Life != 0 {
			w.time(f.Life)
		}
		if f.Look != 0 {
			w.time(f.Look)
		}
		if f.Traffic != 0 {
			w.byte(byte(f.Traffic))
		}
	}
	if len(f.Detections) == 0 && f.Forgotten == 0 {
		return
	}
	w.byte(detectionSection)
	w.time(f.Forgotten)
	w.uint(uint64(len(f.Detections)))
	for i := range f.Detections {
		w.detection(&f.Detections[i])
	}
}

func (w *writer) detection(d *freshness.Detection) {
	w.flags(d.HasSeq, d.HasFirm, d.Firm == d.Since, !d.Open(), d.Grouped)
	w.name(d.Kind)
	w.name(d.Key)
	w.name(d.Version)
	if d.HasSeq {
		w.int(d.Seq)
	}
	w.uint(uint64(d.Bound))
	w.time(d.Since)
	if d.HasFirm && d.Firm != d.Since {
		w.time(d.Firm)
	}
	if !d.Open() {
		w.byte(byte(d.ClosedBy))
		w.time(d.Until)
	}
	w.uint(uint64(d.Revision))
	w.time(d.DetectedAt)
}

// sections reads what there is behind the parts of a row.
func (r *reader) sections(f *freshness.Workflow) {
	for r.err == nil && len(r.b) > 0 {
		switch section := r.byte(); section {
		case lifeSection:
			v := r.byte()
			if r.flag(v, 1) {
				f.Life = r.time()
			}
			if r.flag(v, 0) {
				f.Look = r.time()
			}
			f.Abandoned, f.Unsettled = r.flag(v, 2), r.flag(v, 4)
			if r.flag(v, 3) {
				f.Traffic = event.TrafficClass(r.byte())
			}
		case detectionSection:
			f.Forgotten = r.time()
			if n := r.count(); n > 0 {
				f.Detections = make([]freshness.Detection, n)
				for i := range f.Detections {
					r.detection(&f.Detections[i])
				}
			}
		default:
			r.fail("section")
		}
	}
}

func (r *reader) detection(d *freshness.Detection) {
	v := r.byte()
	d.HasSeq, d.HasFirm, d.Grouped = r.flag(v, 0), r.flag(v, 1), r.flag(v, 4)
	d.Kind, d.Key, d.Version = r.name(), r.name(), r.name()
	if d.HasSeq {
		d.Seq = r.int()
	}
	d.Bound = freshness.Reason(r.uint())
	d.Since = r.time()
	switch {
	case d.HasFirm && r.flag(v, 2):
		d.Firm = d.Since
	case d.HasFirm:
		d.Firm = r.time()
	}
	if r.flag(v, 3) {
		d.ClosedBy = freshness.Closing(r.byte())
		d.Until = r.time()
	}
	d.Revision = int32(r.uint())
	d.DetectedAt = r.time()
}
