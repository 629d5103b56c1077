package workflows

import (
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/slo/budget"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log/level"
)

// erase lets go of a workflow because somebody has asked for it: its row with its index entries and deadlines, its detections, and its name
// in the evidence of the buckets. What has been counted of its uses stays. All of it is one unit with the mark of the record that asked,
// so it happens once, whatever comes of the session; an event that comes later is the first of a workflow that nobody knows.
func (pt *partition) erase(r *row, e *event.Event, in *gateway.In) error {
	known := r != nil
	if known {
		if err := pt.eraseRow(r); err != nil {
			return err
		}
		pt.g.Metrics.Erased.Inc()
	}
	pt.intake.Applied(!known, metrics.Trail{}, pt.g.Now())
	_ = level.Info(pt.g.Logger).Log("msg", "workflow erased on request", "workflow", e.Subject, "by", e.Why, "known", known,
		"topic", in.Msg.Topic, "partition", in.Msg.Partition, "offset", in.Msg.Offset)
	return pt.book.forget(e.Subject)
}

func (pt *partition) eraseRow(r *row) error {
	pt.recount(pt.openType(r), openType{})
	now := event.Of(pt.g.Now())
	for i := range r.w.Detections {
		d := &r.w.Detections[i]
		if d.Open() {
			c := freshness.DetectionChange{At: i, Was: *d}
			d.Until, d.ClosedBy = max(d.Since, now), freshness.ByEnd
			pt.change(r, c, now)
		}
		pt.tombstone(r, d, now)
	}
	if err := pt.book.forgetUses(r.w); err != nil {
		return err
	}
	r.gone, r.pending = true, 0
	pt.p.Rows.Touch(r.w.ID)
	return nil
}

// forgetUses takes a workflow's uses out of the evidence of the buckets that they are counted in, which need not be committed yet.
func (b *book) forgetUses(w *freshness.Workflow) error {
	for i := range w.Uses {
		c, ok := parseCounted(w.Uses[i].Said.Counted)
		if !ok || c.gone {
			continue
		}
		for _, objective := range c.objectives {
			if err := b.forgetAround(bucketName{objective: objective, start: c.at}, w.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// forget takes a workflow out of the evidence of every bucket that is committed: its row no longer has uses that are older than decisions
// are kept.
func (b *book) forget(workflow string) error {
	from := topology.ControlPrefix + bucketRows
	it, err := b.pt.p.Rows.IteratorWithRange([]byte(from), []byte(from[:len(from)-1]+"0"))
	if err != nil {
		return err
	}
	defer it.Release()
	var named []bucketName
	for it.Next() {
		value, err := it.Value()
		if err != nil {
			return err
		}
		r, err := decodeBucket(string(it.Key()), value)
		if err != nil {
			return err
		}
		if budget.Names(r.bucket.Evidence, workflow) {
			named = append(named, r.name)
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	for _, n := range named {
		if err := b.forgetAround(n, workflow); err != nil {
			return err
		}
	}
	return nil
}

// forgetAround takes a workflow out of the evidence of the buckets of all sizes around an instant: what is committed may have grown coarser
// since.
func (b *book) forgetAround(n bucketName, workflow string) error {
	for _, size := range budget.Sizes() {
		r, err := b.bucket(bucketName{n.objective, budget.Start(n.start, size), size}, false)
		if err != nil {
			return err
		}
		if r != nil && budget.Names(r.bucket.Evidence, workflow) {
			r.bucket.Evidence = budget.DropWorkflow(r.bucket.Evidence, workflow)
			b.touch(r)
		}
	}
	return nil
}
