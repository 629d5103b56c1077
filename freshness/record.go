package freshness

import (
	"strconv"

	"github.com/freshet-io/freshet/event"
)

// AppendVerdict appends the data of a use's verdict record. Check is what it says of the check that the use carries, as JSON, "" for none.
func AppendVerdict(b []byte, w *Workflow, u *Use, v *Verdict, check string) []byte {
	b = AppendString(append(b, `{"workflow":`...), w.ID)
	b = AppendName(append(b, `,"workflow_type":`...), v.WorkflowType)
	b = AppendString(append(b, `,"decision_id":`...), u.DecisionID)
	b = append(b, `,"class":`...)
	if v.HasClass {
		b = AppendString(b, v.Class)
	} else {
		b = append(b, "null"...)
	}
	b = append(append(b, `,"use":"`...), u.Kind.String()...)
	b = AppendInstant(append(b, `","used_at":`...), u.Time, true)
	b = strconv.AppendInt(append(b, `,"revision":`...), int64(u.Said.Revision), 10)
	b = append(append(b, `,"verdict":"`...), v.Kind.String()...)
	b = AppendReasons(append(b, `","reasons":`...), v.Reasons)
	b = AppendSeconds(append(b, `,"staleness_s":`...), v.Staleness, v.HasStaleness)
	b = AppendSeconds(append(b, `,"age_s":`...), v.Age, v.HasAge)
	b = AppendCount(append(b, `,"versions_behind":`...), v.Behind, v.HasBehind)
	b = append(b, `,"cause":`...)
	if v.Cause == NoCause {
		b = append(b, `null,"owner":null`...)
	} else {
		b = append(append(append(b, '"'), v.Cause.String()...), `","owner":`...)
		b = AppendString(b, v.Owner)
	}
	b = append(append(b, `,"traffic_class":"`...), u.Traffic.String()...)
	b = append(b, `","contract":`...)
	if v.Contract != nil {
		b = AppendString(b, v.Contract.Hash)
	} else {
		b = append(b, "null"...)
	}
	b = AppendName(append(b, `,"trace_id":`...), u.TraceID())
	b = append(b, `,"items":[`...)
	for i := range v.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendItemVerdict(b, w, &v.Items[i], v.Kind == IsStale)
	}
	b = append(b, ']')
	if check != "" {
		b = append(append(b, `,"check":`...), check...)
	}
	b = AppendPosition(append(b, `,"at":`...), w.TopicOf(u.At))
	b = AppendInstant(append(b, `,"complete_through":`...), u.Said.CompleteThrough, u.Said.Revision > 0)
	b = AppendInstant(append(b, `,"judged_at":`...), u.Said.JudgedAt, u.Said.Revision > 0)
	return append(b, '}')
}

// TraceID returns the trace of the decision event, "" if it has none.
func (u *Use) TraceID() string {
	e := event.Event{TraceParent: u.TraceParent}
	return e.TraceID()
}
