package workflows

import (
	"strconv"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Attributes that every verdict record has in common.
var (
	specVersion = []byte("1.0")
	source      = []byte("/freshet")
	verdictType = []byte("freshet.verdict")
	jsonContent = []byte("application/json")
)

// publish makes a revision of a verdict part of the transaction.
func (pt *partition) publish(r *row, u *freshness.Use, v *freshness.Verdict, check *acted) {
	pt.buf = appendVerdict(pt.buf[:0], r.w, u, v, check)
	// Value, id and time lie in one piece of the partition's slab.
	value := len(pt.buf)
	pt.buf = appendVerdictID(pt.buf, r.w.ID, u)
	id := len(pt.buf)
	pt.buf = u.Said.JudgedAt.Append(pt.buf)
	b := pt.slab.Copy(pt.buf)
	pt.p.Emit(&kgo.Record{
		Topic: pt.g.Verdicts, Partition: pt.p.ID, Key: []byte(r.w.ID), Value: b[:value:value], Timestamp: u.Said.JudgedAt.Go(),
		Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: specVersion},
			{Key: "ce_id", Value: b[value:id:id]},
			{Key: "ce_source", Value: source},
			{Key: "ce_type", Value: verdictType},
			{Key: "ce_time", Value: b[id:]},
			{Key: "ce_subject", Value: []byte(r.w.ID)},
			{Key: "content-type", Value: jsonContent},
		},
	})
}

// appendVerdictID appends <workflow>/<decision_id>/<use>/<revision>, its parts percent-encoded.
func appendVerdictID(b []byte, workflow string, u *freshness.Use) []byte {
	b = append(appendPercent(b, workflow), '/')
	b = append(appendPercent(b, u.DecisionID), '/')
	b = append(append(b, u.Kind.String()...), '/')
	return strconv.AppendInt(b, int64(u.Said.Revision), 10)
}

// appendPercent encodes everything but RFC 3986's unreserved characters.
func appendPercent(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// appendVerdict appends the data of a verdict record.
func appendVerdict(b []byte, w *freshness.Workflow, u *freshness.Use, v *freshness.Verdict, check *acted) []byte {
	b = freshness.AppendString(append(b, `{"workflow":`...), w.ID)
	b = freshness.AppendName(append(b, `,"workflow_type":`...), v.WorkflowType)
	b = freshness.AppendString(append(b, `,"decision_id":`...), u.DecisionID)
	b = append(b, `,"class":`...)
	if v.HasClass {
		b = freshness.AppendString(b, v.Class)
	} else {
		b = append(b, "null"...)
	}
	b = append(append(b, `,"use":"`...), u.Kind.String()...)
	b = freshness.AppendInstant(append(b, `","used_at":`...), u.Time, true)
	b = strconv.AppendInt(append(b, `,"revision":`...), int64(u.Said.Revision), 10)
	b = append(append(b, `,"verdict":"`...), v.Kind.String()...)
	b = freshness.AppendReasons(append(b, `","reasons":`...), v.Reasons)
	b = freshness.AppendSeconds(append(b, `,"staleness_s":`...), v.Staleness, v.HasStaleness)
	b = freshness.AppendSeconds(append(b, `,"age_s":`...), v.Age, v.HasAge)
	b = freshness.AppendCount(append(b, `,"versions_behind":`...), v.Behind, v.HasBehind)
	b = append(b, `,"cause":`...)
	if v.Cause == freshness.NoCause {
		b = append(b, `null,"owner":null`...)
	} else {
		b = append(append(append(b, '"'), v.Cause.String()...), `","owner":`...)
		b = freshness.AppendString(b, v.Owner)
	}
	b = append(append(b, `,"traffic_class":"`...), u.Traffic.String()...)
	b = append(b, `","contract":`...)
	if v.Contract != nil {
		b = freshness.AppendString(b, v.Contract.Hash)
	} else {
		b = append(b, "null"...)
	}
	b = freshness.AppendName(append(b, `,"trace_id":`...), traceID(u))
	b = append(b, `,"items":[`...)
	for i := range v.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = freshness.AppendItemVerdict(b, w, &v.Items[i], v.Kind == freshness.IsStale)
	}
	b = append(b, ']')
	if check.carries {
		b = check.append(append(b, `,"check":`...))
	}
	b = freshness.AppendPosition(append(b, `,"at":`...), w.TopicOf(u.At))
	b = freshness.AppendInstant(append(b, `,"complete_through":`...), u.Said.CompleteThrough, true)
	b = freshness.AppendInstant(append(b, `,"judged_at":`...), u.Said.JudgedAt, true)
	return append(b, '}')
}

// traceID returns the trace of the decision event.
func traceID(u *freshness.Use) string {
	e := event.Event{TraceParent: u.TraceParent}
	return e.TraceID()
}
