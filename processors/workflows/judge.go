package workflows

import (
	"github.com/freshet-io/freshet/checkid"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/topology"
)

// tickUnit bounds how many due workflows one unit judges, and about how many of a partition a transaction has while input is live, so that input and
// the barrier wait no longer than for a batch.
const tickUnit = 384

// tick judges what the clocks have passed.
func (pt *partition) tick() error {
	complete := pt.clock.Complete()
	budget := tickUnit
	run := func(pop func(event.Time) (deadline, bool, error), through event.Time) error {
		for budget > 0 {
			x, ok, err := pop(through)
			if err != nil || !ok {
				return err
			}
			budget--
			r, err := pt.row(x.key)
			if err != nil {
				return err
			}
			if r == nil {
				continue
			}
			r.due, r.blocked, r.hushed = never, never, never
			if err := pt.final(r, complete); err != nil {
				return err
			}
			pt.look(r, complete, false)
		}
		return nil
	}
	if err := run(pt.due.pop, complete); err != nil {
		return err
	}
	for q := range pt.blocked.waits {
		if pt.blocked.waits[q].len() == 0 {
			continue
		}
		_, through, _ := pt.g.View.Clock(int32(q))
		blocked := func(now event.Time) (deadline, bool, error) {
			x, ok := pt.blocked.pop(q, now)
			return x, ok, nil
		}
		if err := run(blocked, min(through, complete)); err != nil {
			return err
		}
	}
	if err := pt.hushed.run(pt.g.View, run); err != nil {
		return err
	}
	pt.drive.tick()
	pt.crossings.tick(complete)
	pt.groups.tick()
	pt.relabel()
	more, err := pt.book.age()
	if err != nil {
		return err
	}
	if budget == 0 || more {
		pt.p.SendPaced(topology.ClockInput, tickUnit)
	}
	return nil
}

// hearClock has what waits for a source partition judged when its clock has passed it, and not at the next round of the poller. It runs on the
// goroutine that has read the clock.
func (pt *partition) hearClock(q int32, complete event.Time) {
	if pt.blocked.passed(q, complete) {
		pt.p.Send(topology.ClockInput, nil, true)
	}
}

// settle judges what a unit's records have touched, and makes final, or schedules, what is not final yet.
func (pt *partition) settle(r *row) error {
	touched := pt.touched
	pt.touched = pt.touched[:0]
	if r == nil {
		return nil
	}
	for i := range touched {
		for u := range r.w.Affected(touched[i]) {
			if u.Said.Revision == 0 {
				continue
			}
			if err := pt.judge(r, u); err != nil {
				return err
			}
		}
	}
	complete := pt.clock.Complete()
	if r.pending > 0 {
		if err := pt.final(r, complete); err != nil {
			return err
		}
	}
	if r.fresh {
		r.fresh = false
		pt.look(r, complete, true)
	}
	return nil
}

// final judges the uses of a workflow that are not final and that the partition's clock has passed; the earliest of the others is
// scheduled.
func (pt *partition) final(r *row, complete event.Time) error {
	next := never
	for i, left := len(r.w.Uses)-1, r.pending; i >= 0 && left > 0; i-- {
		u := &r.w.Uses[i]
		if u.Said.Revision > 0 {
			continue
		}
		left--
		switch {
		case u.Time > complete:
			next = u.Time
		default:
			if err := pt.judge(r, u); err != nil {
				return err
			}
		}
	}
	if next < r.due {
		r.due = next
		pt.due.push(deadline{at: next, key: r.w.ID})
	}
	return nil
}

// judge judges one use. The first time it is made final, unless a source it rests on has not been applied that far; after that a
// difference is a new revision.
func (pt *partition) judge(r *row, u *freshness.Use) error {
	v := &pt.verdict
	c := pt.g.Contracts.At(u.Time)
	r.w.Judge(u, pt.g.View, c, v)
	first := u.Said.Revision == 0
	if first {
		if q := pt.behind(u.Time, v); q >= 0 {
			if u.Time < r.blocked {
				r.blocked = u.Time
				pt.blocked.push(q, deadline{at: u.Time, key: r.w.ID})
			}
			return nil
		}
		if pt.hushed.wait(pt.g.View, r, u.Time, event.Of(pt.g.Now()), v) {
			return nil
		}
	}
	check := checkid.ActOf(pt.g.CheckKey, r.w, u, v)
	digest := v.Digest(u, check.Text())
	unsettled := v.Unsettled()
	if !first && digest == u.Said.Digest {
		if unsettled != u.Said.Unsettled {
			u.Said.Unsettled = unsettled
			pt.p.Rows.Touch(r.w.ID)
		}
		return nil
	}
	adds, err := pt.book.account(r.w, u, v)
	if err != nil {
		return err
	}
	before := u.Said.Verdict
	now := event.Of(pt.g.Now())
	u.Said = freshness.Said{
		Revision: u.Said.Revision + 1, Digest: digest, Contract: contractTag(c.Hash), Verdict: v.Kind,
		JudgedAt: now, CompleteThrough: min(pt.clock.Complete(), now), Unsettled: unsettled,
		Counted: adds,
	}
	if first {
		r.pending--
	}
	pt.p.Rows.Touch(r.w.ID)
	pt.publish(r, u, v, &check)
	if first {
		pt.counts.first(pt.g.Metrics, r.w.ID, u, v, &check, now)
	} else {
		pt.g.Metrics.Amendments.WithLabelValues(before.String(), v.Kind.String()).Inc()
	}
	return nil
}

// behind returns a source partition that has not been applied up to an instant and that the verdict rests on, -1 if there is none.
func (pt *partition) behind(t event.Time, v *freshness.Verdict) int {
	view := pt.g.View
	if view.Complete() >= t {
		return -1
	}
	for i := range v.Items {
		q := pt.g.Partitioner.PartitionString(v.Items[i].Kind+"/"+v.Items[i].Key, view.Partitions())
		if _, complete, _ := view.Clock(q); complete < t {
			return int(q)
		}
	}
	if v.Silent { // a heartbeat of the whole kind may lie in any partition
		for q := range view.Partitions() {
			if _, complete, _ := view.Clock(q); complete < t {
				return int(q)
			}
		}
	}
	return -1
}

// contractTag returns the first eight bytes of a contract's hash.
func contractTag(hash string) uint64 {
	const skip = len("sha256:")
	var tag uint64
	for i := skip; i < len(hash) && i < skip+16; i++ {
		c := hash[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		}
		tag = tag<<4 | uint64(c&15)
	}
	return tag
}
