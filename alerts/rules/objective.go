package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
)

// SLOBurn is the alert of an objective whose error budget is spent too fast, as Prometheus sees it.
const SLOBurn = "FreshetSLOBurn"

// objective records the share of bad uses over every window, and alerts by the objective's rules.
func (o Options) objective(s *slo.SLO) Group {
	g := Group{Name: "freshet-slo-" + s.Name}
	var windows []freshness.Duration
	for _, r := range s.Rules {
		windows = append(windows, r.Short, r.Long)
	}
	slices.Sort(windows)
	for _, w := range slices.Compact(windows) {
		g.Rules = append(g.Rules, Rule{
			Record: ratio(w), Labels: map[string]string{"slo": s.Name},
			Expr: fmt.Sprintf("sum(rate(%s[%s])) / sum(rate(%s[%[2]s]))", events(s, against(s)), slo.FormatDuration(w), events(s, counted(s))),
		})
	}
	g.Rules = append(g.Rules, Rule{Record: "freshet:slo_objective:ratio", Expr: "vector(" + decimal(s.Objective) + ")", Labels: map[string]string{"slo": s.Name}})
	for _, severity := range []slo.Severity{slo.Page, slo.Ticket} {
		if expr := burning(s, severity); expr != "" {
			g.Rules = append(g.Rules, Rule{
				Alert: SLOBurn, Expr: expr,
				Labels: map[string]string{"severity": severity.String(), "slo": s.Name, "owner": s.Owner, "workflow_type": s.Workflow},
				Annotations: o.runbook(s, map[string]string{
					"summary":     fmt.Sprintf("%s spends its error budget too fast.", s.Name),
					"description": fmt.Sprintf("{{ if ge $value 0.0 }}{{ $value | humanizePercentage }} of the uses were bad, %s are allowed (%s over %s).{{ else }}It fired when Freshet stopped seeing what happens, and nothing says that it is over.{{ end }}", percent(s.Budget), s.Name, slo.FormatDuration(s.Window)),
				}),
			})
		}
	}
	return g
}

func (o Options) runbook(s *slo.SLO, annotations map[string]string) map[string]string {
	if s.Runbook != "" {
		annotations["runbook_url"] = s.Runbook
		return annotations
	}
	return o.linked(SLOBurn, annotations)
}

// ratio is the name of the recorded share of bad uses.
func ratio(w freshness.Duration) string { return "freshet:slo_bad:ratio_rate" + slo.FormatDuration(w) }

// burning holds while one of the rules of a severity does; "" if there are none. What fires when the engine stops seeing goes on firing, with
// a negative value, until the engine has seen again for as long as the shortest window: no data is not good data.
func burning(s *slo.SLO, severity slo.Severity) string {
	label := "{slo=" + strconv.Quote(s.Name) + "}"
	var rules []string
	var shortest freshness.Duration
	for _, r := range s.Rules {
		if shortest == 0 || r.Short < shortest {
			shortest = r.Short
		}
		if r.Severity != severity {
			continue
		}
		limit := "(" + decimal(r.Burn) + " * " + decimal(s.Budget) + ")"
		rules = append(rules, fmt.Sprintf("(\n  %s%s >= %s\n  and\n  %s%s >= %s\n  and on ()\n  sum(increase(%s[%s])) >= %d\n)",
			ratio(r.Long), label, limit, ratio(r.Short), label, limit, events(s, counted(s)), slo.FormatDuration(r.Long), s.MinEvents))
	}
	if rules == nil {
		return ""
	}
	rules = append(rules, fmt.Sprintf("(\n  -max by (slo) (ALERTS{alertname=%q,alertstate=\"firing\",severity=%q,slo=%s})\n  and on ()\n  min_over_time(%s[%s]) < 1\n)",
		SLOBurn, severity, strconv.Quote(s.Name), sees, slo.FormatDuration(shortest)))
	return strings.Join(rules, "\nor\n")
}

// events selects the counters of an objective.
func events(s *slo.SLO, results string) string {
	return fmt.Sprintf("freshet_slo_events_total{slo=%s,result=~%s}", strconv.Quote(s.Name), strconv.Quote(results))
}

// against are the results that count against the objective.
func against(s *slo.SLO) string {
	if s.OnUnknown == slo.Exclude {
		return "bad"
	}
	return "bad|unknown"
}

// counted are the results that count at all.
func counted(s *slo.SLO) string { return "good|" + against(s) }

func decimal(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func percent(x float64) string { return strconv.FormatFloat(x*100, 'g', 6, 64) + "%" }
