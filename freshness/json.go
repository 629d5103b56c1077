package freshness

import (
	"strconv"

	"github.com/freshet-io/freshet/event"
)

// AppendString appends a JSON string.
func AppendString(b []byte, s string) []byte { return appendString(b, s) }

// AppendName appends a JSON string, or null where there is none.
func AppendName(b []byte, s string) []byte { return appendStringOrNull(b, s, s != "") }

// AppendSeconds appends a length of time in seconds, exact to the millisecond, or null.
func AppendSeconds(b []byte, d Duration, known bool) []byte { return appendSeconds(b, d, known) }

// AppendCount appends a number, or null.
func AppendCount(b []byte, n int64, known bool) []byte { return appendCount(b, n, known) }

// AppendReasons appends a JSON list of reasons in their order.
func AppendReasons(b []byte, r Reason) []byte { return appendReasons(b, r) }

// AppendInstant appends an instant as a JSON string, or null.
func AppendInstant(b []byte, t event.Time, known bool) []byte {
	if !known {
		return append(b, "null"...)
	}
	return append(t.Append(append(b, '"')), '"')
}

// AppendPosition appends where a record lies.
func AppendPosition(b []byte, at Position) []byte {
	b = appendString(append(b, `{"topic":`...), at.Topic)
	b = strconv.AppendInt(append(b, `,"partition":`...), int64(at.Partition), 10)
	b = strconv.AppendInt(append(b, `,"offset":`...), at.Offset, 10)
	return append(b, '}')
}

// AppendVersion appends a version as the evidence of a verdict names it, or null.
func AppendVersion(b []byte, v *Version) []byte {
	if v == nil {
		return append(b, "null"...)
	}
	b = AppendName(append(b, `{"version":`...), v.Name)
	b = strconv.AppendInt(append(b, `,"seq":`...), v.Seq, 10)
	b = AppendInstant(append(b, `,"effective_at":`...), v.Effective, true)
	b = AppendInstant(append(b, `,"published_at":`...), v.Published, true)
	return append(AppendPosition(append(b, `,"at":`...), v.At), '}')
}

// AppendItemVerdict appends an item of a verdict with its evidence, as it stands in verdict records and in answers. Causes come with
// those of a stale use.
func AppendItemVerdict(b []byte, w *Workflow, it *ItemVerdict, stale bool) []byte {
	b = appendString(append(b, `{"kind":`...), it.Kind)
	b = appendString(append(b, `,"key":`...), it.Key)
	b = append(append(b, `,"verdict":"`...), it.Verdict.String()...)
	b = appendReasons(append(b, `","reasons":`...), it.Reasons)
	b = appendSeconds(append(b, `,"staleness_s":`...), it.Staleness, it.HasStaleness)
	b = appendSeconds(append(b, `,"age_s":`...), it.Age, it.HasAge)
	b = appendCount(append(b, `,"versions_behind":`...), it.Behind, it.HasBehind)
	b = AppendUsed(append(b, `,"used":`...), w, it)
	b = AppendVersion(append(b, `,"current":`...), it.Current)
	b = AppendInstant(append(b, `,"superseded_at":`...), it.SupersededAt, it.Superseded)
	if stale {
		b = append(b, `,"causes":[`...)
		for i := range it.Causes {
			if i > 0 {
				b = append(b, ',')
			}
			s := &it.Causes[i]
			b = append(append(b, `{"cause":"`...), s.Cause.String()...)
			b = appendSeconds(append(b, `","seconds":`...), s.For, true)
			b = append(appendString(append(b, `,"owner":`...), s.Owner), '}')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// AppendUsed appends the used version of an item as the evidence of a verdict names it.
func AppendUsed(b []byte, w *Workflow, it *ItemVerdict) []byte {
	b = AppendName(append(b, `{"version":`...), it.Version)
	b = appendCount(append(b, `,"seq":`...), it.Seq, it.HasSeq)
	b = AppendInstant(append(b, `,"as_of":`...), it.AsOf, it.HasAsOf)
	b = AppendInstant(append(b, `,"loaded_at":`...), it.LoadedAt, it.HasLoad)
	b = append(b, `,"at":`...)
	if it.HasLoad {
		b = AppendPosition(b, w.TopicOf(it.LoadAt))
	} else {
		b = append(b, "null"...)
	}
	return append(b, '}')
}
