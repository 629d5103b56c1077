package dashboards

func objectives() Dashboard {
	const slo = `{slo=~"$slo"}`
	return Dashboard{
		UID: "freshet-slo", Title: "Freshet / Objectives", About: "How fast each objective spends its error budget, and on what it rests.",
		Paragraph: "For who promises freshness. It says for each objective of the contract what is left of its error budget, how fast that is spent over every window that a rule of the contract looks at, " +
			"from which rate on somebody is told (the dashed lines), how many uses that rests on, and which share of them anything is known of. Amendments are in it, except in *Events*, which counts uses as they were first judged.",
		Variables: []Variable{{"slo", "Objective", "freshet_slo_objective_ratio"}},
		Rows: []Row{
			{"Budget", []Panel{
				{Title: "Budget left", About: "What is left of the error budget of the objective's window: 1 untouched, 0 spent, negative overspent.", Shape: Bars, Unit: "percentunit", Width: 8, Min: number(0), Max: number(1),
					Queries: []Query{q(`min by (slo) (freshet_slo_budget_remaining_ratio`+slo+`)`, "{{slo}}")}, Steps: []Step{{-1e9, "red"}, {0.1, "orange"}, {0.5, "green"}}, Idle: "no uses in the window"},
				{Title: "Good ratio and objective", About: "Share of good uses over each window, amendments included, beside what is promised.", Shape: Lines, Unit: "percentunit", Width: 16, Max: number(1),
					Queries: []Query{q(`min by (slo, window) (freshet_slo_good_ratio`+slo+`)`, "{{slo}} {{window}}"), limit(`max by (slo) (freshet_slo_objective_ratio`+slo+`)`, "{{slo}} objective")}},
			}},
			{"Burn", []Panel{
				{Title: "Burn rate", About: "How many times as fast as the objective allows its budget is spent. A rule holds when its long and its short window are both above its threshold (dashed).", Shape: Lines, Unit: "short", Width: 16, Min: number(0),
					Queries: []Query{q(`max by (slo, window) (freshet_slo_burn_rate`+slo+`)`, "{{slo}} {{window}}"), limit(`min by (slo, severity, window) (freshet_slo_burn_threshold`+slo+`)`, "{{slo}} {{severity}} from, {{window}}")},
					Alerts:  []string{"FreshnessSLOBurn", "FreshetSLOBurn"}, Idle: "no uses in the windows"},
				{Title: "Coverage", About: "Share of the uses whose verdict is known. An objective that is met with little coverage says little.", Shape: Bars, Unit: "percentunit", Width: 8, Min: number(0), Max: number(1),
					Queries: []Query{q(`min by (slo) (freshet_slo_coverage_ratio`+slo+`)`, "{{slo}}")}, Steps: []Step{{0, "red"}, {0.9, "orange"}, {0.99, "green"}}, Idle: "no uses in the window"},
			}},
			{"Events", []Panel{
				{Title: "Events", About: "Uses that the objective counts, as they were first judged.", Shape: Stack, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (result) (rate(freshet_slo_events_total`+slo+`[$__rate_interval]))`, "{{result}}")}},
				{Title: "Amendments", About: "Verdicts that were changed by what came later, by what they were and became. Many of them from fresh to stale: sources publish late.", Shape: Lines, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (from, to) (rate(freshet_verdict_amendments_total[$__rate_interval]))`, "{{from}} → {{to}}")}, Alerts: []string{"FreshetSLOBurn"}, Idle: "nothing amended"},
			}},
		},
	}
}
