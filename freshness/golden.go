package freshness

import (
	"strconv"
	"unicode/utf8"
)

// AppendGolden appends the golden line of a use's verdict, without a newline: compact JSON, fields in the order of the golden sets, seconds
// as the shortest decimal with at least one place.
func AppendGolden(b []byte, w *Workflow, u *Use, v *Verdict) []byte {
	b = append(b, `{"workflow":`...)
	b = appendString(b, w.ID)
	b = append(b, `,"workflow_type":`...)
	b = appendStringOrNull(b, v.WorkflowType, v.WorkflowType != "")
	b = append(b, `,"decision_id":`...)
	b = appendString(b, u.DecisionID)
	b = append(b, `,"use":"`...)
	b = append(b, u.Kind.String()...)
	b = append(b, `","traffic_class":"`...)
	b = append(b, trafficName(u.Traffic)...)
	b = append(b, `","cls":`...)
	b = appendStringOrNull(b, v.Class, v.HasClass)
	b = append(b, `,"verdict":"`...)
	b = append(b, v.Kind.String()...)
	b = append(b, `","staleness_s":`...)
	b = appendSeconds(b, v.Staleness, v.HasStaleness)
	b = append(b, `,"age_s":`...)
	b = appendSeconds(b, v.Age, v.HasAge)
	b = append(b, `,"versions_behind":`...)
	b = appendCount(b, v.Behind, v.HasBehind)
	b = append(b, `,"cause":`...)
	b = appendStringOrNull(b, v.Cause.String(), v.Cause != NoCause)
	b = append(b, `,"owner":`...)
	b = appendStringOrNull(b, v.Owner, v.Cause != NoCause)
	b = append(b, `,"reasons":`...)
	b = appendReasons(b, v.Reasons)
	b = append(b, `,"items":[`...)
	for i := range v.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendItem(b, &v.Items[i], v.Kind == IsStale)
	}
	return append(b, "]}"...)
}

func appendItem(b []byte, iv *ItemVerdict, causes bool) []byte {
	b = append(b, `{"kind":`...)
	b = appendString(b, iv.Kind)
	b = append(b, `,"key":`...)
	b = appendString(b, iv.Key)
	b = append(b, `,"verdict":"`...)
	b = append(b, iv.Verdict.String()...)
	b = append(b, `","reasons":`...)
	b = appendReasons(b, iv.Reasons)
	b = append(b, `,"staleness_s":`...)
	b = appendSeconds(b, iv.Staleness, iv.HasStaleness)
	b = append(b, `,"age_s":`...)
	b = appendSeconds(b, iv.Age, iv.HasAge)
	b = append(b, `,"versions_behind":`...)
	b = appendCount(b, iv.Behind, iv.HasBehind)
	b = append(b, `,"seq":`...)
	b = appendCount(b, iv.Seq, iv.HasSeq)
	if causes {
		b = append(b, `,"causes":[`...)
		for i, s := range iv.Causes {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"cause":"`...)
			b = append(b, s.Cause.String()...)
			b = append(b, `","seconds":`...)
			b = appendSeconds(b, s.For, true)
			b = append(b, `,"owner":`...)
			b = appendString(b, s.Owner)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendReasons(b []byte, r Reason) []byte {
	b = append(b, '[')
	first := true
	r.Each(func(one Reason) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, '"')
		b = append(b, one.String()...)
		b = append(b, '"')
	})
	return append(b, ']')
}

func appendCount(b []byte, n int64, known bool) []byte {
	if !known {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, n, 10)
}

// appendSeconds appends a length of time in seconds, exact to the millisecond: 0.0, 34.5, 2.001.
func appendSeconds(b []byte, d Duration, known bool) []byte {
	if !known {
		return append(b, "null"...)
	}
	if d < 0 {
		b = append(b, '-')
		d = -d
	}
	b = strconv.AppendInt(b, int64(d/1000), 10)
	ms := int64(d % 1000)
	b = append(b, '.', byte('0'+ms/100))
	if ms%100 != 0 {
		b = append(b, byte('0'+ms/10%10))
		if ms%10 != 0 {
			b = append(b, byte('0'+ms%10))
		}
	}
	return b
}

func appendStringOrNull(b []byte, s string, known bool) []byte {
	if !known {
		return append(b, "null"...)
	}
	return appendString(b, s)
}

// appendString appends a JSON string. What is valid UTF-8 stays as it is, but for what JSON must have escaped; the rest becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		default:
			if c >= utf8.RuneSelf {
				b = utf8.AppendRune(b, utf8.RuneError)
			} else {
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
		}
		i += size
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

// Digest is a hash of what a golden line says beside the use's name, and of the check that the use carries. A use gets a new revision if and
// only if it changes.
func (v *Verdict) Digest(u *Use, check string) uint64 {
	h := hashStart.word(uint64(u.Traffic)).word(uint64(v.Kind)).word(uint64(v.Reasons)).word(uint64(v.Cause))
	h = h.text(v.WorkflowType).flag(v.HasClass).text(v.Class).text(v.Owner).text(check)
	h = h.number(int64(v.Staleness), v.HasStaleness).number(int64(v.Age), v.HasAge).number(v.Behind, v.HasBehind)
	h = h.word(uint64(len(v.Items)))
	for i := range v.Items {
		iv := &v.Items[i]
		h = h.text(iv.Kind).text(iv.Key).word(uint64(iv.Verdict)<<32 | uint64(iv.Reasons))
		h = h.number(iv.Seq, iv.HasSeq).number(int64(iv.Staleness), iv.HasStaleness)
		h = h.number(int64(iv.Age), iv.HasAge).number(iv.Behind, iv.HasBehind)
		if v.Kind != IsStale {
			continue
		}
		h = h.word(uint64(len(iv.Causes)))
		for _, s := range iv.Causes {
			h = h.word(uint64(s.Cause)).word(uint64(s.For)).text(s.Owner)
		}
	}
	return uint64(h)
}

// number returns the hash with a number added that may not be known.
func (h hash) number(n int64, known bool) hash {
	if !known {
		return h.flag(false)
	}
	return h.flag(true).word(uint64(n))
}
