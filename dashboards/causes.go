package dashboards

func causes() Dashboard {
	const of = `{` + workflow + `,kind=~"$kind"}`
	return Dashboard{
		UID: "freshet-causes", Title: "Freshet / Causes", About: "Whose seconds staleness is made of, and where on its way a new version spends them.",
		Paragraph: "For who has to mend something. Every stale second belongs to one cause and one owner, so the largest area is what to mend first. Below: what could not be judged and why, " +
			"what open workflows hold that has become stale, and how long new versions take on each part of their way, beside what the contract bounds (dashed). Points on the lines are exemplars: each leads to a workflow that was there.",
		Variables: []Variable{ofWorkflow(), {"kind", "Kind", "freshet_stale_decisions_total"}},
		Rows: []Row{
			{"Stale", []Panel{
				{Title: "Stale seconds by cause", About: "Each decision's stale seconds are divided among causes, without rest. What is largest is what to mend first.", Shape: Stack, Unit: "s", Width: 12,
					Queries: []Query{q(`sum by (cause) (rate(freshet_stale_seconds_total{`+workflow+`}[$__rate_interval]))`, "{{cause}}")}, Alerts: []string{"FreshnessSLOBurn"},
					Links: []Link{{"Open workflows that are stale now", "{server}/ui/#/stale"}}, Idle: "nothing stale yet"},
				{Title: "Causes and owners", About: "Stale seconds of the time shown.", Shape: List, Unit: "s", Width: 12,
					Queries: []Query{q(`sort_desc(sum by (workflow_type, cause, owner) (increase(freshet_stale_seconds_total{`+workflow+`}[$__range])))`, "")},
					Links:   []Link{{"Open workflows of the type that are stale now", "{server}/ui/#/stale/${__data.fields.workflow_type}"}}, Idle: "nothing stale yet"},
				{Title: "Stale decisions by kind and cause", About: "Items that were stale when they were used, by their largest share.", Shape: Stack, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (kind, cause) (rate(freshet_stale_decisions_total`+of+`[$__rate_interval]))`, "{{kind}} {{cause}}")}, Idle: "nothing stale yet"},
				{Title: "Unknown, and why", About: "Decisions of which it could not be said whether their context held.", Shape: Stack, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (reason) (rate(freshet_unknown_decisions_total{`+workflow+`}[$__rate_interval]))`, "{{reason}}")}, Alerts: []string{"FreshetSLOBurn"}, Idle: "nothing unknown yet"},
			}},
			{"Held by open workflows", []Panel{
				{Title: "Detections opened and closed", About: "Open workflows that hold a stale item, from the instant a bound was crossed; closed by a reload, a drop, the end, or because what was known has changed.", Shape: Lines, Unit: "ops", Width: 24,
					Queries: []Query{q(`sum(rate(freshet_detections_opened_total[$__rate_interval]))`, "opened"), q(`sum by (by) (rate(freshet_detections_closed_total[$__rate_interval]))`, "closed by {{by}}")}, Idle: "nothing held that is stale"},
			}},
			{"On the way", []Panel{
				{Title: "Propagation by hop, p95", About: "How long a new version took at the source (published late), in serving (index, cache) and in the workflow's hands.", Shape: Lines, Unit: "s", Width: 12,
					Queries: []Query{{quantileBy("0.95", "hop", "freshet_propagation_seconds", `{kind=~"$kind"}`), "{{hop}}", true, false}}, Idle: "nothing superseded was used"},
				{Title: "Staleness when used", About: "Of judged items, beside the contract's max_staleness.", Shape: Lines, Unit: "s", Width: 12,
					Queries: append(quantiles("freshet_staleness_at_use_seconds", of), limit(`max by (workflow_type, kind) (freshet_bound_seconds{bound="max_staleness",`+workflow+`,kind=~"$kind"})`, "{{workflow_type}} {{kind}} at most"))},
				{Title: "Age when used", About: "Of judged items: how old what was seen was.", Shape: Heat, Unit: "s", Width: 12,
					Queries: []Query{q(`sum by (le) (increase(freshet_context_age_at_use_seconds_bucket`+of+`[$__rate_interval])) or sum(increase(freshet_context_age_at_use_seconds`+of+`[$__rate_interval]))`, "{{le}}")}},
				{Title: "Age when used, p95", About: "Of judged items, beside the contract's max_age.", Shape: Lines, Unit: "s", Width: 12,
					Queries: []Query{{quantileBy("0.95", "kind", "freshet_context_age_at_use_seconds", of), "{{kind}}", true, false}, limit(`max by (workflow_type, kind) (freshet_bound_seconds{bound="max_age",`+workflow+`,kind=~"$kind"})`, "{{workflow_type}} {{kind}} at most")}},
				{Title: "Versions behind when used", About: "Of judged items, beside the contract's max_versions_behind.", Shape: Lines, Unit: "short", Width: 24,
					Queries: append(quantiles("freshet_versions_behind_at_use", of), limit(`max by (workflow_type, kind) (freshet_bound_versions`+of+`)`, "{{workflow_type}} {{kind}} at most"))},
			}},
		},
	}
}
