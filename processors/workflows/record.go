package workflows

import (
	"strconv"

	"github.com/freshet-io/freshet/checkid"
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
func (pt *partition) publish(r *row, u *freshness.Use, v *freshness.Verdict, check *checkid.Act) {
	pt.buf = freshness.AppendVerdict(pt.buf[:0], r.w, u, v, check.Text())
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
