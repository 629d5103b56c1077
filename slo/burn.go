package slo

import (
	"math/big"
	"strconv"
)

// burnRule is a burn-rate rule with where it is written.
type burnRule struct {
	BurnRule
	burn, long value
}

// check looks at a rule by itself.
func (b *burnRule) check(r *reader, has entries, s Severity) {
	b.Severity = s
	b.burn, _ = has.read("burn")
	b.long, _ = has.read("long")
	_, ok := has.read("short")
	if ok && b.long.node != nil && b.Short >= b.Long {
		r.at(has["short"].value, BurnWindows, "the short window (%s) has to be shorter than the long one (%s)", has["short"].node.Value, b.long.node.Value)
	}
}

// usual are the rules that hold where none are written: the multiwindow, multi-burn-rate alerts of the SRE Workbook, chapter 5.
func usual() []BurnRule {
	return []BurnRule{
		{Page, 14.4, hour, 5 * minute},
		{Page, 6, 6 * hour, 30 * minute},
		{Ticket, 3, day, 2 * hour},
		{Ticket, 1, 3 * day, 6 * hour},
	}
}

// errorBudget is the share of bad events that an objective allows, exactly: 1 − 0.95 is 0.05, which no float64 is.
func errorBudget(objective *big.Rat) *big.Rat { return new(big.Rat).Sub(big.NewRat(1, 1), objective) }

// canFire says whether a burn rate can be reached. It is the share of bad events divided by the error budget, so it is greatest, at
// 1 / budget, when all events are bad.
func canFire(burn, budget *big.Rat) bool {
	return new(big.Rat).Mul(burn, budget).Cmp(big.NewRat(1, 1)) <= 0
}

// decimalOf is a number as it is written, 0 if it is none.
func decimalOf(text string) *big.Rat {
	x, ok := new(big.Rat).SetString(text)
	if !ok {
		return new(big.Rat)
	}
	return x
}

func short(x *big.Rat) string {
	f, _ := x.Float64()
	return strconv.FormatFloat(f, 'g', 4, 64)
}

// resolveRules fills in the rules that hold for an objective, and refuses written ones that cannot fire.
func (s *SLO) resolveRules(r *reader, has entries) {
	s.MinEvents = s.alerting.minEvents
	var budget *big.Rat
	objective, ok := has.read("objective")
	if ok {
		budget = errorBudget(decimalOf(objective.node.Value))
		s.Budget, _ = budget.Float64()
	}
	window, windowed := has.read("window")
	if !s.alerting.written {
		for _, u := range usual() {
			if ok && canFire(decimalOf(strconv.FormatFloat(u.Burn, 'g', -1, 64)), budget) && u.Long <= s.Window {
				s.Rules = append(s.Rules, u)
			}
		}
		return
	}
	for _, b := range append(s.alerting.page[:len(s.alerting.page):len(s.alerting.page)], s.alerting.ticket...) {
		if ok && b.burn.node != nil && !canFire(decimalOf(b.burn.node.Value), budget) {
			r.at(b.burn, CannotFire, "a burn rate of %s cannot be reached: objective %s leaves an error budget of 1 − %[2]s = %s, so even with every event bad the burn rate is 1 / %[3]s = %s",
				b.burn.node.Value, objective.node.Value, short(budget), short(new(big.Rat).Inv(budget)))
		}
		if windowed && b.long.node != nil && b.Long > s.Window {
			r.at(b.long, BurnWindows, "the long window (%s) is longer than the window of the objective (%s)", b.long.node.Value, window.node.Value)
		}
		s.Rules = append(s.Rules, b.BurnRule)
	}
}

// MaxBurn is the burn rate when every event is bad: no rule above it can fire.
func (s *SLO) MaxBurn() float64 { return 1 / s.Budget }
