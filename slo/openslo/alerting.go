package openslo

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
)

// pageWords are severities that wake somebody. Every other one is a ticket.
var pageWords = []string{"page", "critical", "sev1", "sev-1", "p1", "high"}

// alerting turns the alert policies of an SLO into burn-rate rules. Without any that can be expressed there are none: the usual rules of a
// contract are not what the document says.
func (c *conversion) alerting(spec value, target *big.Rat, window freshness.Duration) []string {
	rules := map[slo.Severity][]string{}
	policies := spec.get("alertPolicies").each()
	for _, p := range policies {
		if policy := c.policy(p); policy.there() {
			for _, condition := range policy.get("conditions").each() {
				if severity, rule := c.rule(condition, target, window); rule != "" {
					rules[severity] = append(rules[severity], rule)
				}
			}
		}
	}
	if len(policies) > 0 && len(rules) == 0 {
		c.note(spec.get("alertPolicies"), "none of the policies can be expressed: the objective alerts nobody")
	}
	if len(rules) == 0 {
		return []string{"alerting: {page: []} # add rules, or leave the key out for the usual ones"}
	}
	lines := []string{"alerting:"}
	for _, s := range []slo.Severity{slo.Page, slo.Ticket} {
		if len(rules[s]) > 0 {
			lines = append(lines, fmt.Sprintf("  %s: [%s]", s, strings.Join(rules[s], ", ")))
		}
	}
	return lines
}

// policy returns the spec of an alert policy that an SLO names or holds; it is not there if a contract cannot have it.
func (c *conversion) policy(p value) value {
	ref := p
	if r := p.get("alertPolicyRef"); r.there() {
		ref = r
	}
	policy := p
	if !p.has("spec") {
		name := ref.take()
		d := c.byName["AlertPolicy "+name]
		if d == nil {
			c.note(ref, "the alert policy %s is in none of the files: it is left out", name)
			return value{}
		}
		c.used[d] = true
		policy = d.root
	}
	policy.get("kind").done()
	policy.get("metadata").get("name").done()
	spec := policy.get("spec")
	targets := spec.get("notificationTargets")
	c.note(targets, "who is told is said by the owner's entry, and where by the flags -alerts.…")
	targets.done()
	for key, usual := range map[string]string{"alertWhenNoData": "false", "alertWhenResolved": "true"} {
		if v := spec.get(key); v.take() != usual {
			c.note(v, "%s: %s cannot be expressed: alerts of objectives are resolved aloud, and no data is no alert", key, v.word())
		}
	}
	if v := spec.get("alertWhenBreaching"); v.take() == "false" {
		c.note(v, "a policy that does not alert when the condition holds cannot be expressed: it is left out")
		return value{}
	}
	return spec
}

// rule turns an alert condition into a burn-rate rule; "" if a contract cannot have it.
func (c *conversion) rule(condition value, target *big.Rat, window freshness.Duration) (slo.Severity, string) {
	if ref := condition.get("conditionRef"); ref.there() {
		name := ref.take()
		d := c.byName["AlertCondition "+name]
		if d == nil {
			c.note(ref, "the alert condition %s is in none of the files: it is left out", name)
			return 0, ""
		}
		c.used[d] = true
		condition = d.root
	}
	if op := condition.get("operator"); op.there() {
		op.done() // of the only condition
	}
	condition.get("kind").done()
	condition.get("metadata").get("name").done()
	spec := condition.get("spec")
	severity, word := slo.Ticket, spec.get("severity")
	if oneOf(pageWords, strings.ToLower(word.take())) {
		severity = slo.Page
	}
	if word.there() && word.word() != severity.String() {
		c.note(word, "severity %q becomes %s", word.word(), severity)
	}
	is := spec.get("condition")
	is.get("kind").done()
	return severity, c.burn(is, target, window)
}

func (c *conversion) burn(is value, target *big.Rat, window freshness.Duration) string {
	op, threshold, lookback := is.get("op"), is.get("threshold"), is.get("lookbackWindow")
	if !threshold.there() || !durationForm.MatchString(lookback.word()) {
		c.note(is, "only a burn rate with threshold and lookbackWindow can be expressed: it is left out")
		is.done()
		return ""
	}
	switch op.take() {
	case "gte":
	case "gt":
		c.note(op, "gt becomes gte")
	case "":
		c.note(is, "op is missing: it becomes gte")
	default:
		c.note(op, "an alert on a burn rate that is low (%s) cannot be expressed: it is left out", op.word())
		is.done()
		return ""
	}
	long := c.duration(lookback)
	if after := is.get("alertAfter"); after.there() {
		if !strings.HasPrefix(after.take(), "0") {
			c.note(after, "alertAfter cannot be expressed: a rule holds as soon as both of its windows burn")
		}
	}
	factor, ok := new(big.Rat).SetString(threshold.take())
	if !ok || factor.Sign() <= 0 {
		c.note(threshold, "a burn rate of %s cannot be expressed: it is left out", threshold.word())
		return ""
	}
	budget := new(big.Rat).Sub(big.NewRat(1, 1), target)
	if new(big.Rat).Mul(factor, budget).Cmp(big.NewRat(1, 1)) > 0 {
		c.note(threshold, "a burn rate of %s can never be reached with an objective of %s: it is left out", threshold.word(), decimal(target))
		return ""
	}
	if long > window {
		c.note(lookback, "a window of %s is longer than the objective's (%s): it is left out", lookback.word(), slo.FormatDuration(window))
		return ""
	}
	short := max(long/12, 1000)
	c.note(lookback, "the short window, which OpenSLO does not have, is a twelfth of it: %s", slo.FormatDuration(short))
	return fmt.Sprintf("{burn: %s, long: %s, short: %s}", decimal(factor), slo.FormatDuration(long), slo.FormatDuration(short))
}
