package workflows

import (
	"strconv"

	"github.com/freshet-io/freshet/checkid"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
)

// acted is what an act says of the check that it rests on, by the id it carries.
type acted struct {
	carries    bool // an id
	valid      bool // it can be read, and is of a check of this workflow
	at         event.Time
	verdict    freshness.VerdictKind
	superseded bool // a judged item has been superseded between the check and the act
}

// actOf reads the check of a use. Only acts have one.
func (pt *partition) actOf(r *row, u *freshness.Use, v *freshness.Verdict) acted {
	if u.Kind != freshness.Executed || u.CheckID == "" {
		return acted{}
	}
	a := acted{carries: true}
	c, err := checkid.Decode(pt.g.CheckKey, u.CheckID)
	if err != nil || c.Workflow != r.w.ID {
		return a
	}
	a.valid, a.at, a.verdict = true, c.At, c.Verdict
	for i := range v.Items {
		a.superseded = a.superseded || v.Items[i].Superseded && v.Items[i].SupersededAt > c.At
	}
	return a
}

// append appends the check as a verdict record has it. It is part of what a revision is of.
func (a *acted) append(b []byte) []byte {
	if !a.valid {
		return append(b, `{"verdict":"invalid"}`...)
	}
	b = freshness.AppendInstant(append(b, `{"at":`...), a.at, true)
	b = append(append(append(b, `,"verdict":"`...), a.verdict.String()...), `","superseded_since":`...)
	return append(strconv.AppendBool(b, a.superseded), '}')
}

// text returns what append appends, "" for a use without a check.
func (a *acted) text() string {
	if !a.carries {
		return ""
	}
	return string(a.append(nil))
}

// outcome returns the value of the label check.
func (a *acted) outcome() string {
	switch {
	case !a.carries:
		return metrics.NoCheck
	case !a.valid:
		return metrics.InvalidCheck
	}
	return a.verdict.String()
}
