package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/await"
	"github.com/freshet-io/freshet/query/body"
)

// ErrBusy says that too many callers wait for a record to be applied.
var ErrBusy = errors.New("too many callers wait for records to be applied")

// Judge answers checks. Any number of goroutines may use it.
type Judge struct {
	Workflows Workflows
	Sources   Sources
	Contracts Contracts
	Now       func() event.Time
	// Waiters bounds the callers that wait: a place is taken by sending.
	Waiters chan struct{}
}

// poll is how often a record that has not been applied is looked for when no commit of the workflow's partition says so: those of the
// sources come through the view.
const poll = 5 * time.Millisecond

// Absent answers a check for which no instance has the rows now.
func Absent(r *Request, a *Answer, now event.Time) {
	a.reset(r.Workflow)
	if a.At = now; r.HasAt {
		a.At = r.At
	}
	a.conclude(Recovering, r)
}

// Check answers one check. The answer is whole unless an error is returned: *body.Error if the request cannot be, ErrBusy, or the
// context's.
func (j *Judge) Check(ctx context.Context, r *Request, a *Answer) error {
	now := j.Now()
	if r.HasAt && r.At > now {
		return &body.Error{Pointer: "/at", Detail: fmt.Sprintf("%s has not come yet, it is %s; leave it out to judge now", r.At, now)}
	}
	p := j.Workflows.Partition(r.Workflow)
	if !j.Workflows.Owner(p).Here {
		Absent(r, a, now)
		return nil
	}
	a.reset(r.Workflow)
	a.At = r.At
	reached := true
	if len(r.AtLeast) > 0 {
		var err error
		if reached, err = j.await(ctx, p, r); err != nil {
			return err
		}
		reached = reached || await.Off(await.UpToRule)
	}
	a.clocks = j.Sources.Clocks(a.clocks)
	a.Clock = j.Workflows.Clock(p)
	if !r.HasAt {
		a.At = j.Now()
	}
	w, err := j.Workflows.Workflow(p, r.Workflow)
	switch {
	case err != nil: // it has just gone
		Absent(r, a, j.Now())
		return nil
	case !reached:
		a.row = w
		a.conclude(NotUpToBound, r)
		return nil
	case w == nil:
		a.conclude(UnknownWorkflow, r)
		return nil
	}
	a.row = w
	if await.Off(await.ClockRule) {
		a.Clock.Applied = a.At
	}
	j.judge(r, a)
	return nil
}

// await waits until the records that an answer must rest on have been applied, or the caller's time is over.
func (j *Judge) await(ctx context.Context, p int32, r *Request) (bool, error) {
	missing := make([]func() bool, 0, len(r.AtLeast))
	for i, at := range r.AtLeast {
		reached, known := j.Workflows.Reach(p, at)
		if !known {
			return false, &body.Error{Pointer: fmt.Sprintf("/at_least/%d", i), Detail: fmt.Sprintf("%s/%d is no partition of an input", at.Topic, at.Partition)}
		}
		missing = append(missing, reached)
	}
	done := func() bool {
		for len(missing) > 0 && missing[0]() {
			missing = missing[1:]
		}
		return len(missing) == 0
	}
	if done() || r.Wait == 0 {
		return len(missing) == 0, nil
	}
	select {
	case j.Waiters <- struct{}{}:
		defer func() { <-j.Waiters }()
	default:
		return false, ErrBusy
	}
	over := time.NewTimer(time.Duration(r.Wait) * time.Millisecond)
	defer over.Stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		next := j.Workflows.Next(p)
		if done() {
			return true, nil
		}
		select {
		case <-next:
		case <-tick.C:
		case <-over.C:
			return done(), nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// judge judges the workflow's row.
func (j *Judge) judge(r *Request, a *Answer) {
	c := j.Contracts.At(a.At)
	q := freshness.Question{At: a.At, Class: r.Class, HasClass: r.HasClass, Items: r.Items, HasItems: r.HasItems}
	if c != nil && len(r.Bounds) > 0 && a.row.Type.Name != "" {
		if rules := c.Rules(a.row.Type.Name, r.Class); rules != nil {
			q.Rules = rules.Tightened(r.Bounds)
		}
	}
	v := &a.Verdict
	a.row.Ask(&q, j.Sources, c, v)
	a.Judged, a.Kind = true, v.Kind
	for i := range v.Items {
		it := &v.Items[i]
		if !await.Off(await.ClockRule) {
			a.rest(a.clocks[j.Sources.Partition(it.Kind, it.Key)])
		}
	}
	if a.Kind == freshness.IsFresh && a.Clock.Live && a.At < a.Clock.Complete-event.Time(j.Contracts.DecisionRetention()) {
		// What was loaded then may have been let go of since.
		v.Reasons, a.Kind = freshness.HistoryTruncated, freshness.IsUnknown
	}
	a.conclude(0, r)
	if v.HasStaleness && a.Clock.Live {
		a.StalenessUpper, a.HasUpper = max(v.Staleness, j.unseen(c, a)), true
	}
	if a.Kind == freshness.IsFresh {
		a.ValidUntil, a.HasUntil = a.row.NextDeadline(&q, j.Sources, c, v)
	}
}

// rest notes a partition that the answer rests on.
func (a *Answer) rest(c Clock) {
	a.Clock.Live = a.Clock.Live && c.Live
	a.Clock.Applied = min(a.Clock.Applied, c.Applied)
	a.Clock.Complete = min(a.Clock.Complete, c.Complete)
}

// unseen is how stale an item can be at most by a version that has not been seen: one that was in force is seen once the clocks have
// passed it; one that counts from when it was published, once it has been applied.
func (j *Judge) unseen(c *freshness.Contract, a *Answer) freshness.Duration {
	through := a.Clock.Applied
	for i := range a.Verdict.Items {
		if said := c.Contexts[a.Verdict.Items[i].Kind]; said == nil || said.Basis != freshness.ByPublished {
			through = a.Clock.Complete
			break
		}
	}
	return max(0, freshness.Duration(a.At-through))
}

// conclude draws the verdict and the action from what the items say, a reason of the answer's own, and the clocks.
func (a *Answer) conclude(why Reason, r *Request) {
	a.Reasons = why
	if a.Clock.Live {
		a.Lag = max(0, freshness.Duration(a.At-a.Clock.Applied))
	}
	if why&Recovering == 0 && (!a.Clock.Live || a.Lag > r.MaxLag) && !await.Off(await.BehindRule) {
		a.Reasons |= EngineBehind
	}
	if a.Reasons != 0 && a.Kind == freshness.IsFresh {
		a.Kind = freshness.IsUnknown
	}
	switch {
	case a.Kind == freshness.IsFresh:
		a.Action = Proceed
	case a.Kind == freshness.IsStale && a.approved():
		a.Action = Reapprove
	case a.Kind == freshness.IsStale:
		a.Action = Reload
	case a.Reasons&(Recovering|NotUpToBound|EngineBehind) != 0:
		a.Action = Wait
	default:
		a.Action = Abstain
	}
}

// approved says whether the workflow's last approval, by the instant judged, was granted on a version that is superseded now: after it had
// been loaded.
func (a *Answer) approved() bool {
	granted, at := false, event.Time(0)
	for i := range a.row.Lines {
		l := &a.row.Lines[i]
		if l.Time > a.At {
			break
		}
		switch l.Type {
		case event.ApprovalGranted, event.ActionApproved:
			granted, at = true, l.Time
		case event.ApprovalDenied, event.ActionRejected:
			granted = false
		}
	}
	if !granted {
		return false
	}
	for i := range a.Verdict.Items {
		it := &a.Verdict.Items[i]
		retracted := it.Reasons.Has(freshness.RetractedVersion)
		if it.Verdict == freshness.IsStale && (it.Superseded || retracted) && it.HasLoad && it.LoadedAt <= at {
			return true
		}
	}
	return false
}
