package budget

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

// MarshalJSON writes a state as answers show it: durations as Prometheus writes them, null for a ratio of nothing.
func (s State) MarshalJSON() ([]byte, error) {
	out := stateJSON{
		SLO: s.SLO.Name, Workflow: s.SLO.Workflow, Class: orNull(s.SLO.Class), Use: s.SLO.Use.String(), Owner: s.SLO.Owner,
		Objective: s.SLO.Objective, Window: slo.FormatDuration(s.SLO.Window), OnUnknown: s.SLO.OnUnknown.String(), MinEvents: s.SLO.MinEvents, At: s.At,
		Remaining: s.Remaining, Coverage: number(s.Coverage), Windows: []windowJSON{}, Rules: []ruleJSON{},
	}
	for _, w := range s.Windows {
		out.Windows = append(out.Windows, windowJSON{
			Window: slo.FormatDuration(w.Length), Counts: w.Counts, Against: w.Against, Counted: w.Counted, GoodRatio: number(w.GoodRatio), Burn: number(w.Burn),
		})
	}
	for _, r := range s.Rules {
		out.Rules = append(out.Rules, ruleJSON{
			Severity: r.Severity.String(), Burn: r.Burn, Long: slo.FormatDuration(r.BurnRule.Long), Short: slo.FormatDuration(r.BurnRule.Short),
			Outcome: r.Outcome.String(), Holds: r.Outcome == Holds, Shares: shares(r.Shares), Evidence: append([]Evidence{}, r.Evidence...),
		})
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("write the state of %s: %w", s.SLO.Name, err)
	}
	return b, nil
}

type stateJSON struct {
	SLO       string       `json:"slo"`
	Workflow  string       `json:"workflow"`
	Class     *string      `json:"class"`
	Use       string       `json:"use"`
	Owner     string       `json:"owner"`
	Objective float64      `json:"objective"`
	Window    string       `json:"window"`
	OnUnknown string       `json:"on_unknown"`
	MinEvents int          `json:"min_events"`
	At        event.Time   `json:"at"`
	Remaining float64      `json:"budget_remaining_ratio"`
	Coverage  *float64     `json:"coverage_ratio"`
	Windows   []windowJSON `json:"windows"`
	Rules     []ruleJSON   `json:"rules"`
}

type windowJSON struct {
	Window string `json:"window"`
	Counts
	Against   int64    `json:"against"` // of counted, by on_unknown
	Counted   int64    `json:"counted"`
	GoodRatio *float64 `json:"good_ratio"`
	Burn      *float64 `json:"burn_rate"`
}

type ruleJSON struct {
	Severity string      `json:"severity"`
	Burn     float64     `json:"burn"`
	Long     string      `json:"long"`
	Short    string      `json:"short"`
	Outcome  string      `json:"outcome"`
	Holds    bool        `json:"holds"`
	Shares   []shareJSON `json:"cause_shares"`
	Evidence []Evidence  `json:"evidence"`
}

type shareJSON struct {
	Cause string  `json:"cause"`
	Owner *string `json:"owner"`
	Share float64 `json:"share"` // of all uses that count against the objective
}

// shares is never nil.
func shares(list []Share) []shareJSON {
	var all int64
	for _, s := range list {
		all += s.Parts
	}
	out := make([]shareJSON, 0, len(list))
	for _, s := range list {
		out = append(out, shareJSON{s.Cause, orNull(s.Owner), float64(s.Parts) / float64(all)})
	}
	return out
}

func number(x float64) *float64 {
	if math.IsNaN(x) {
		return nil
	}
	return &x
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
