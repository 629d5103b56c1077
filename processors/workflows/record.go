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
func (pt *partition) publish(r *row, u *freshness.Use, v *freshness.Verdict) {
	pt.buf = appendVerdict(pt.buf[:0], r.w, u, v)
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
func appendVerdict(b []byte, w *freshness.Workflow, u *freshness.Use, v *freshness.Verdict) []byte {
	b = freshness.AppendString(append(b, `{"workflow":`...), w.ID)
	b = appendName(append(b, `,"workflow_type":`...), v.WorkflowType)
	b = freshness.AppendString(append(b, `,"decision_id":`...), u.DecisionID)
	b = append(b, `,"class":`...)
	if v.HasClass {
		b = freshness.AppendString(b, v.Class)
	} else {
		b = append(b, "null"...)
	}
	b = append(append(b, `,"use":"`...), u.Kind.String()...)
	b = appendTime(append(b, `","used_at":`...), u.Time, true)
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
	b = appendName(append(b, `,"trace_id":`...), traceID(u))
	b = append(b, `,"items":[`...)
	for i := range v.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendItemVerdict(b, w, &v.Items[i], v.Kind == freshness.IsStale)
	}
	b = appendPosition(append(b, `],"at":`...), w.TopicOf(u.At))
	b = appendTime(append(b, `,"complete_through":`...), u.Said.CompleteThrough, true)
	b = appendTime(append(b, `,"judged_at":`...), u.Said.JudgedAt, true)
	return append(b, '}')
}

func appendItemVerdict(b []byte, w *freshness.Workflow, it *freshness.ItemVerdict, stale bool) []byte {
	b = freshness.AppendString(append(b, `{"kind":`...), it.Kind)
	b = freshness.AppendString(append(b, `,"key":`...), it.Key)
	b = append(append(b, `,"verdict":"`...), it.Verdict.String()...)
	b = freshness.AppendReasons(append(b, `","reasons":`...), it.Reasons)
	b = freshness.AppendSeconds(append(b, `,"staleness_s":`...), it.Staleness, it.HasStaleness)
	b = freshness.AppendSeconds(append(b, `,"age_s":`...), it.Age, it.HasAge)
	b = freshness.AppendCount(append(b, `,"versions_behind":`...), it.Behind, it.HasBehind)
	b = appendName(append(b, `,"used":{"version":`...), it.Version)
	b = freshness.AppendCount(append(b, `,"seq":`...), it.Seq, it.HasSeq)
	b = appendTime(append(b, `,"as_of":`...), it.AsOf, it.HasAsOf)
	b = appendTime(append(b, `,"loaded_at":`...), it.LoadedAt, it.HasLoad)
	b = append(b, `,"at":`...)
	if it.HasLoad {
		b = appendPosition(b, w.TopicOf(it.LoadAt))
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `},"current":`...)
	if c := it.Current; c != nil {
		b = appendName(append(b, `{"version":`...), c.Name)
		b = strconv.AppendInt(append(b, `,"seq":`...), c.Seq, 10)
		b = appendTime(append(b, `,"effective_at":`...), c.Effective, true)
		b = appendTime(append(b, `,"published_at":`...), c.Published, true)
		b = append(appendPosition(append(b, `,"at":`...), c.At), '}')
	} else {
		b = append(b, "null"...)
	}
	b = appendTime(append(b, `,"superseded_at":`...), it.SupersededAt, it.Superseded)
	if stale {
		b = append(b, `,"causes":[`...)
		for i := range it.Causes {
			if i > 0 {
				b = append(b, ',')
			}
			s := &it.Causes[i]
			b = append(append(b, `{"cause":"`...), s.Cause.String()...)
			b = freshness.AppendSeconds(append(b, `","seconds":`...), s.For, true)
			b = append(freshness.AppendString(append(b, `,"owner":`...), s.Owner), '}')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// appendName appends a string, or null where there is none.
func appendName(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return freshness.AppendString(b, s)
}

func appendTime(b []byte, t event.Time, known bool) []byte {
	if !known {
		return append(b, "null"...)
	}
	return append(t.Append(append(b, '"')), '"')
}

func appendPosition(b []byte, at freshness.Position) []byte {
	b = freshness.AppendString(append(b, `{"topic":`...), at.Topic)
	b = strconv.AppendInt(append(b, `,"partition":`...), int64(at.Partition), 10)
	b = strconv.AppendInt(append(b, `,"offset":`...), at.Offset, 10)
	return append(b, '}')
}

// traceID returns the trace of the decision event.
func traceID(u *freshness.Use) string {
	e := event.Event{TraceParent: u.TraceParent}
	return e.TraceID()
}
