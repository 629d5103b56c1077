package backtest

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/slo/budget"
)

// Report is what an objective would have shown.
type Report struct {
	SLO      *slo.SLO
	From, To event.Time // of the record: of all objectives the same
	Counts   budget.Counts
	Least    float64 // the least that was ever left of the error budget
	Left     float64 // what is left of it at the end
	Alerts   []Alert
	Columns  []Column // the time line
}

// Alert is a time during which a rule of a severity held.
type Alert struct {
	Severity  slo.Severity
	From, To  event.Time
	Rule      slo.BurnRule // the first that held
	Burn      float64      // the greatest burn rate over its long window
	Decisions int64        // bad uses of its short window when it began
	Shares    []budget.Share
}

// Column is a part of the time line.
type Column struct {
	From   event.Time
	Counts budget.Counts
	Left   float64 // the least that was left of the error budget
	Page   bool
	Ticket bool
}

// columns is how many parts a time line has.
const columns = 240

// maxSteps bounds the instants at which an objective is evaluated: a longer record gets longer steps.
const maxSteps = 1 << 20

// use is one use that counts.
type use struct {
	at      event.Time
	verdict freshness.VerdictKind
	shares  []budget.Share
}

// Run evaluates every objective of a contract over the uses of a batch, every step of event time.
func Run(f *slo.File, b *freshness.Batch, step freshness.Duration) ([]Report, error) {
	uses := make([][]use, len(f.SLOs))
	from, to := event.Time(math.MaxInt64), event.Time(math.MinInt64)
	err := b.Each(func(_ *freshness.Workflow, u *freshness.Use, v *freshness.Verdict) error {
		for i := range f.SLOs {
			s := &f.SLOs[i]
			if u.Traffic != event.Live || s.Workflow != v.WorkflowType || !s.Counts(u.Kind, v.Class, v.HasClass) {
				continue
			}
			uses[i] = append(uses[i], use{u.Time, v.Kind, budget.Whose(v)})
			from, to = min(from, u.Time), max(to, u.Time)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if from > to {
		from, to = 0, 0
	}
	reports := make([]Report, 0, len(f.SLOs))
	for i := range f.SLOs {
		reports = append(reports, run(&f.SLOs[i], uses[i], from, to, step))
	}
	return reports, nil
}

// record is the uses of one objective, ready to be summed.
type record struct {
	uses []use
	sums []budget.Counts // of the first n
}

func newRecord(uses []use) record {
	slices.SortStableFunc(uses, func(a, b use) int { return cmp.Compare(a.at, b.at) })
	r := record{uses: uses, sums: make([]budget.Counts, len(uses)+1)}
	for i := range uses {
		r.sums[i+1] = r.sums[i].Plus(budget.Of(uses[i].verdict))
	}
	return r
}

// before returns how many uses there are before an instant.
func (r *record) before(t event.Time) int {
	return sort.Search(len(r.uses), func(i int) bool { return r.uses[i].at >= t })
}

// window sums up the uses in [now − length, now).
func (r *record) window(now event.Time, length freshness.Duration) budget.Counts {
	return r.sums[r.before(now)].Minus(r.sums[r.before(now-event.Time(length))])
}

func run(s *slo.SLO, uses []use, from, to event.Time, step freshness.Duration) Report {
	rec := newRecord(uses)
	rep := Report{SLO: s, From: from, To: to, Counts: rec.sums[len(uses)], Least: 1, Left: 1}
	lengths := budget.Lengths(s)
	end := to + 1
	for i := range s.Rules { // an alert ends when its short window has gone by
		end = max(end, to+event.Time(s.Rules[i].Short))
	}
	span := max(end-from, 1)
	rep.Columns = make([]Column, columns)
	for i := range rep.Columns {
		rep.Columns[i] = Column{From: from + event.Time(int64(span)*int64(i)/columns), Left: 1}
	}
	for i := range uses {
		c := &rep.Columns[int64(uses[i].at-from)*columns/int64(span+1)]
		c.Counts = c.Counts.Plus(budget.Of(uses[i].verdict))
	}
	step = max(step, freshness.Duration(int64(span)/maxSteps), 1)
	open := map[slo.Severity]int{} // index in Alerts
	sums := make([]budget.Counts, len(lengths))
	for now := from + event.Time(step); ; now += event.Time(step) {
		now = min(now, end)
		for i, length := range lengths {
			sums[i] = rec.window(now, length)
		}
		state := budget.Stand(s, now, lengths, sums)
		column := &rep.Columns[int64(now-from)*columns/int64(span+1)]
		column.Left = min(column.Left, state.Remaining)
		rep.Least, rep.Left = min(rep.Least, state.Remaining), state.Remaining
		rep.alerts(&state, &rec, open, column)
		if now == end {
			break
		}
	}
	return rep
}

// alerts opens and closes alerts at an instant.
func (rep *Report) alerts(state *budget.State, rec *record, open map[slo.Severity]int, column *Column) {
	holds := map[slo.Severity]*budget.Rule{}
	for i := range state.Rules {
		r := &state.Rules[i]
		if r.Outcome == budget.Holds && holds[r.Severity] == nil {
			holds[r.Severity] = r
		}
	}
	for _, severity := range []slo.Severity{slo.Page, slo.Ticket} {
		rule, at := holds[severity], state.At
		i, is := open[severity]
		switch {
		case rule == nil && is:
			rep.Alerts[i].To = at
			delete(open, severity)
		case rule != nil && !is:
			open[severity] = len(rep.Alerts)
			rep.Alerts = append(rep.Alerts, Alert{
				Severity: severity, From: at, To: at, Rule: rule.BurnRule, Burn: rule.Long.Burn, Decisions: rule.Short.Against,
				Shares: rec.shares(at, rule.BurnRule.Short),
			})
		case rule != nil:
			a := &rep.Alerts[i]
			a.To, a.Burn = at, max(a.Burn, rule.Long.Burn)
		}
	}
	column.Page = column.Page || holds[slo.Page] != nil
	column.Ticket = column.Ticket || holds[slo.Ticket] != nil
}

// shares says whose the uses of a window were that were not fresh, the largest share first.
func (r *record) shares(now event.Time, length freshness.Duration) (all []budget.Share) {
	for _, u := range r.uses[r.before(now-event.Time(length)):r.before(now)] {
		all = budget.AddShares(all, u.shares, 1)
	}
	slices.SortStableFunc(all, func(a, b budget.Share) int { return cmp.Compare(b.Parts, a.Parts) })
	return all
}

// Count returns how many alerts of a severity there were.
func (rep *Report) Count(severity slo.Severity) (n int) {
	for i := range rep.Alerts {
		if rep.Alerts[i].Severity == severity {
			n++
		}
	}
	return n
}

// Whose returns the owner of the largest share of an alert: the objective's where there is none.
func (rep *Report) Whose(a *Alert) string {
	if len(a.Shares) > 0 && a.Shares[0].Owner != "" {
		return a.Shares[0].Owner
	}
	return rep.SLO.Owner
}

// Ratio is the share of good uses over the whole record, NaN if none counts.
func (rep *Report) Ratio() float64 {
	bad, all := rep.Counts.Against(rep.SLO.OnUnknown)
	if all == 0 {
		return math.NaN()
	}
	return float64(all-bad) / float64(all)
}
