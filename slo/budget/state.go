package budget

import (
	"math"
	"slices"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
)

// Outcome says why a burn-rate rule holds, or why it does not. The zero value is the safe side: nothing is known.
type Outcome uint8

const (
	NotEvaluated Outcome = iota
	NoEvents             // no use counts in the long window, or none in the short one
	LongBelow            // the burn rate over the long window is below the rule's
	ShortBelow           // over the long window it is not, over the short one it is: it is over, or has just begun
	FewEvents            // both burn rates reach the rule's, and there are fewer uses than min_events in the long window
	Holds
)

func (o Outcome) String() string {
	switch o {
	case NotEvaluated:
		return "not_evaluated"
	case NoEvents:
		return "no_events"
	case FewEvents:
		return "few_events"
	case LongBelow:
		return "long_below"
	case ShortBelow:
		return "short_below"
	case Holds:
		return "holds"
	}
	return "unknown"
}

// Window is what an objective's uses came to over a window.
type Window struct {
	Length freshness.Duration
	Counts
	Against, Counted int64   // uses that count against the objective, and that count at all
	GoodRatio        float64 // share of good uses, NaN if none counts
	Burn             float64 // how many times as fast as the objective allows its budget is spent, NaN if none counts
}

// Rule is a burn-rate rule with what became of it.
type Rule struct {
	slo.BurnRule
	Outcome     Outcome
	Long, Short Window
	Shares      []Share    // of the uses of the short window that count against the objective, the largest first; only where the rule holds
	Evidence    []Evidence // the latest uses of the short window that count against the objective; only where the rule holds
}

// State is how an objective stands at an instant.
type State struct {
	SLO       *slo.SLO
	At        event.Time
	Windows   []Window // of all rules and the objective's own, the shortest first
	Rules     []Rule   // in the order of SLO.Rules
	Remaining float64  // of the error budget of the objective's window: 1 untouched, 0 spent, negative overspent
	Coverage  float64  // share of its uses whose verdict is known, NaN if there are none
}

// Lengths returns the windows of an objective, the shortest first.
func Lengths(s *slo.SLO) []freshness.Duration {
	lengths := []freshness.Duration{s.Window}
	for i := range s.Rules {
		lengths = append(lengths, s.Rules[i].Long, s.Rules[i].Short)
	}
	slices.Sort(lengths)
	return slices.Compact(lengths)
}

// Evaluate says how an objective stands at an instant, by what a ledger holds.
func Evaluate(s *slo.SLO, l *Ledger, now event.Time) State {
	lengths := Lengths(s)
	sums := make([]Counts, len(lengths))
	l.Sums(now, lengths, sums)
	st := Stand(s, now, lengths, sums)
	for i := range st.Rules {
		r := &st.Rules[i]
		if r.Outcome != Holds {
			continue
		}
		r.Shares, r.Evidence = l.Bad(now, r.BurnRule.Short)
		if s.OnUnknown == slo.Exclude {
			r.Shares = slices.DeleteFunc(r.Shares, ofUnknown)
			r.Evidence = slices.DeleteFunc(r.Evidence, func(e Evidence) bool { return e.Verdict != freshness.IsStale })
		}
	}
	return st
}

// Stand says how an objective stands at an instant by the sums over its windows: lengths are those of Lengths.
func Stand(s *slo.SLO, now event.Time, lengths []freshness.Duration, sums []Counts) State {
	st := State{SLO: s, At: now, Windows: make([]Window, len(lengths)), Rules: make([]Rule, len(s.Rules))}
	for i, length := range lengths {
		st.Windows[i] = window(s, length, sums[i])
	}
	own := st.Window(s.Window)
	st.Remaining = 1
	if own.Counted > 0 {
		st.Remaining = 1 - own.Burn
	}
	st.Coverage = ratio(own.Good+own.Bad, own.All())
	for i := range s.Rules {
		r := &st.Rules[i]
		r.BurnRule = s.Rules[i]
		r.Long, r.Short = st.Window(r.BurnRule.Long), st.Window(r.BurnRule.Short)
		r.Outcome = r.outcome(s)
	}
	return st
}

// Window returns the window of a length; it is one of Lengths.
func (s *State) Window(length freshness.Duration) Window {
	for i := range s.Windows {
		if s.Windows[i].Length == length {
			return s.Windows[i]
		}
	}
	return Window{Length: length, GoodRatio: math.NaN(), Burn: math.NaN()}
}

func window(s *slo.SLO, length freshness.Duration, c Counts) Window {
	bad, all := c.Against(s.OnUnknown)
	w := Window{Length: length, Counts: c, Against: bad, Counted: all}
	w.GoodRatio = ratio(all-bad, all)
	w.Burn = ratio(bad, all) / s.Budget
	return w
}

// rounding is what a burn rate may lack of a rule's and still reach it: the quotients of integers and decimals are not exact.
const rounding = 1e-9

func (r *Rule) outcome(s *slo.SLO) Outcome {
	enough := r.Burn * (1 - rounding)
	switch {
	case r.Long.Counted == 0 || r.Short.Counted == 0:
		return NoEvents
	case r.Long.Burn < enough:
		return LongBelow
	case r.Short.Burn < enough:
		return ShortBelow
	case r.Long.Counted < int64(s.MinEvents):
		return FewEvents
	}
	return Holds
}

// ofUnknown says whether a share is of uses that were unknown: their cause is a reason, and nobody's.
func ofUnknown(s Share) bool {
	for r := freshness.NoVersion; r <= freshness.NoContext; r <<= 1 {
		if s.Owner == "" && s.Cause == r.String() {
			return true
		}
	}
	return false
}
