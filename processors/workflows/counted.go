package workflows

import (
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo/budget"
)

// counted is what a use has added to the buckets of its objectives. It stands in the use's row, so that exactly this can be taken out when
// the use is amended, whatever contract, class or time holds by then.
type counted struct {
	at         event.Time
	verdict    freshness.VerdictKind
	objectives []string
	shares     []budget.Share
	gone       bool // its buckets are past the objectives' windows and have been deleted: nothing is counted any more
}

// goneText is how a counted that is gone stands in the row.
const goneText = "-"

// append writes what stands in the row. Names of the contract have no control characters.
func (c *counted) append(b []byte) []byte {
	if c.gone {
		return append(b, goneText...)
	}
	if len(c.objectives) == 0 {
		return b
	}
	b = strconv.AppendInt(b, int64(c.at), 36)
	b = append(append(b, 0), '0'+byte(c.verdict))
	b = strconv.AppendInt(append(b, 0), int64(len(c.objectives)), 36)
	for _, name := range c.objectives {
		b = append(append(b, 0), name...)
	}
	for _, s := range c.shares {
		b = append(append(append(b, 0), s.Cause...), 0)
		b = append(append(b, s.Owner...), 0)
		b = strconv.AppendInt(b, s.Parts, 36)
	}
	return b
}

// parseCounted reads what append writes; ok is false for anything else.
func parseCounted(text string) (c counted, ok bool) {
	switch text {
	case "":
		return c, true
	case goneText:
		return counted{gone: true}, true
	}
	parts := strings.Split(text, "\x00")
	if len(parts) < 3 || len(parts[1]) != 1 {
		return c, false
	}
	at, bad := strconv.ParseInt(parts[0], 36, 64)
	n, worse := strconv.ParseInt(parts[2], 36, 32)
	rest := parts[3:]
	if bad != nil || worse != nil || n < 1 || int(n) > len(rest) || (len(rest)-int(n))%3 != 0 {
		return c, false
	}
	c = counted{at: event.Time(at), verdict: freshness.VerdictKind(parts[1][0] - '0'), objectives: rest[:n:n]}
	for rest = rest[n:]; len(rest) > 0; rest = rest[3:] {
		parts, err := strconv.ParseInt(rest[2], 36, 64)
		if err != nil {
			return counted{}, false
		}
		c.shares = append(c.shares, budget.Share{Cause: rest[0], Owner: rest[1], Parts: parts})
	}
	return c, true
}

// countedOf returns what a use that has just been judged has to add. Its objectives are those of b.hits, in the same order.
func (b *book) countedOf(u *freshness.Use, v *freshness.Verdict) counted {
	c := counted{at: u.Time, verdict: v.Kind, objectives: b.names[:0]}
	b.hits = b.hits[:0]
	if u.Traffic != event.Live || v.WorkflowType == "" {
		return c
	}
	for _, s := range b.pt.g.Contracts.Objectives(u.Time, v.WorkflowType) {
		if s.Counts(u.Kind, v.Class, v.HasClass) {
			c.objectives = append(c.objectives, s.Name)
			b.hits = append(b.hits, s)
		}
	}
	b.names = c.objectives
	if len(c.objectives) > 0 {
		c.shares = budget.Whose(v)
	}
	return c
}
