package checkid

import (
	"strconv"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Act is what an act says of the check that it rests on, by the id it carries.
type Act struct {
	Carries    bool // an id
	Valid      bool // it can be read, and is of a check of this workflow
	At         event.Time
	Verdict    freshness.VerdictKind
	Superseded bool // a judged item has been superseded between the check and the act
}

// ActOf reads the check of a use with a verdict. Only acts have one.
func ActOf(key []byte, w *freshness.Workflow, u *freshness.Use, v *freshness.Verdict) Act {
	if u.Kind != freshness.Executed || u.CheckID == "" {
		return Act{}
	}
	a := Act{Carries: true}
	c, err := Decode(key, u.CheckID)
	if err != nil || c.Workflow != w.ID {
		return a
	}
	a.Valid, a.At, a.Verdict = true, c.At, c.Verdict
	for i := range v.Items {
		a.Superseded = a.Superseded || v.Items[i].Superseded && v.Items[i].SupersededAt > c.At
	}
	return a
}

// Text returns the check as a verdict record has it, "" for a use without one. It is part of what a revision is of.
func (a *Act) Text() string {
	switch {
	case !a.Carries:
		return ""
	case !a.Valid:
		return `{"verdict":"invalid"}`
	}
	b := freshness.AppendInstant([]byte(`{"at":`), a.At, true)
	b = append(append(append(b, `,"verdict":"`...), a.Verdict.String()...), `","superseded_since":`...)
	return string(append(strconv.AppendBool(b, a.Superseded), '}'))
}
