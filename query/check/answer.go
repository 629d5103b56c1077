package check

import (
	"fmt"
	"hash/fnv"

	"github.com/freshet-io/freshet/checkid"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Answer is what is said to a check. It is reused: what it held before is gone.
type Answer struct {
	Workflow string
	At       event.Time // the instant judged
	Kind     freshness.VerdictKind
	Reasons  Reason
	Action   Action

	// Verdict is what the workflow's items come to, if Judged. Its kind is that before Reasons.
	Verdict freshness.Verdict
	Judged  bool

	// What the answer rests on. Clock is the earliest of the partitions'.
	Clock Clock
	Lag   freshness.Duration // valid if Clock.Live

	StalenessUpper freshness.Duration // valid if HasUpper
	HasUpper       bool
	ValidUntil     event.Time // valid if HasUntil
	HasUntil       bool

	row    *freshness.Workflow
	clocks []Clock // of the source partitions
}

// Type returns the workflow's type, "" if it is not known.
func (a *Answer) Type() string {
	if a.row == nil {
		return ""
	}
	return a.row.Type.Name
}

// Known says whether the workflow is known.
func (a *Answer) Known() bool { return a.row != nil }

func (a *Answer) reset(workflow string) {
	a.Workflow, a.At, a.Kind, a.Reasons, a.Action, a.Judged = workflow, 0, freshness.IsUnknown, 0, Abstain, false
	a.Clock, a.Lag = Clock{}, 0
	a.StalenessUpper, a.HasUpper, a.ValidUntil, a.HasUntil = 0, false, 0, false
	a.row, a.clocks = nil, a.clocks[:0]
}

// Append appends the answer's members, without the braces around them. Key, if there is one, signs the check's id.
func (a *Answer) Append(b, key []byte) []byte {
	v, stale := &a.Verdict, a.Kind == freshness.IsStale
	b = append(append(b, `"verdict":"`...), a.Kind.String()...)
	b = append(append(b, `","action":"`...), a.Action.String()...)
	b = a.appendReasons(append(b, `","reasons":`...))
	b = append(b, `,"items":[`...)
	if a.Judged {
		for i := range v.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = freshness.AppendItemVerdict(b, a.row, &v.Items[i], stale)
		}
	}
	b = freshness.AppendSeconds(append(b, `],"staleness_s":`...), v.Staleness, a.Judged && v.HasStaleness)
	b = freshness.AppendSeconds(append(b, `,"staleness_upper_s":`...), a.StalenessUpper, a.HasUpper)
	b = freshness.AppendSeconds(append(b, `,"age_s":`...), v.Age, a.Judged && v.HasAge)
	b = freshness.AppendCount(append(b, `,"versions_behind":`...), v.Behind, a.Judged && v.HasBehind)
	if a.Judged && v.Cause != freshness.NoCause {
		b = append(append(b, `,"cause":"`...), v.Cause.String()...)
		b = freshness.AppendString(append(b, `","owner":`...), v.Owner)
	} else {
		b = append(b, `,"cause":null,"owner":null`...)
	}
	b = freshness.AppendInstant(append(b, `,"applied_through":`...), a.Clock.Applied, a.Clock.Live)
	b = freshness.AppendInstant(append(b, `,"complete_through":`...), a.Clock.Complete, a.Clock.Live)
	b = freshness.AppendSeconds(append(b, `,"engine_lag_s":`...), a.Lag, a.Clock.Live)
	b = freshness.AppendInstant(append(b, `,"valid_until":`...), a.ValidUntil, a.HasUntil)
	b = freshness.AppendSeconds(append(b, `,"valid_for_s":`...), freshness.Duration(a.ValidUntil-a.At), a.HasUntil)
	b = freshness.AppendString(append(b, `,"workflow":`...), a.Workflow)
	b = freshness.AppendInstant(append(b, `,"at":`...), a.At, true)
	b = checkid.Append(append(b, `,"check_id":"`...), key, checkid.Check{Workflow: a.Workflow, At: a.At, Verdict: a.Kind})
	return append(b, '"')
}

// Digest is a hash of what a caller acts on: not of the clocks, and not of what grows by itself.
func (a *Answer) Digest() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %d %d", a.Kind, a.Reasons, a.Action, a.Verdict.Reasons)
	if !a.Judged {
		return h.Sum64()
	}
	for i := range a.Verdict.Items {
		it := &a.Verdict.Items[i]
		fmt.Fprintf(h, " %q %q %d %d %d %v", it.Kind, it.Key, it.Verdict, it.Reasons, it.Seq, it.HasSeq)
		if it.Current != nil {
			fmt.Fprintf(h, " %d", it.Current.Seq)
		}
	}
	return h.Sum64()
}

// appendReasons appends the verdict's reasons and the answer's own.
func (a *Answer) appendReasons(b []byte) []byte {
	b = append(b, '[')
	if a.Judged {
		b = freshness.AppendReasons(b[:len(b)-1], a.Verdict.Reasons)
		b = b[:len(b)-1]
	}
	for one := UnknownWorkflow; one <= EngineBehind; one <<= 1 {
		if a.Reasons&one == 0 {
			continue
		}
		if b[len(b)-1] != '[' {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), one.String()...), '"')
	}
	return append(b, ']')
}
