package dashboards

const workflow = `workflow_type=~"$workflow_type"`

func overview() Dashboard {
	live := `{verdict="%",traffic_class="live",` + workflow + `}`
	share := func(verdict string) string {
		return `sum(increase(freshet_decisions_total` + replace(live, verdict) + `[$__range])) / sum(increase(freshet_decisions_total{traffic_class="live",` + workflow + `}[$__range]))`
	}
	return Dashboard{
		UID: "freshet-overview", Title: "Freshet / Overview", About: "Is anybody acting on stale context, who has to do something, and how much budget is left.",
		Paragraph: "The one to open first, and to hang on a wall. The numbers on top answer in one look: is anybody acting on stale context, is anybody about to (*Held now*), is somebody paged, " +
			"how much of the tightest budget is left, and can all this be believed (*Clocks behind*). Below: what is decided, whose seconds staleness is made of, and which alerts fire, for whom.",
		Variables: []Variable{ofWorkflow()},
		Rows: []Row{
			{"Is anybody acting on stale context?", []Panel{
				{Title: "Stale", About: "Share of the live decisions in the time shown that were taken on stale context. The causes say whose seconds they are.", Shape: Number, Unit: "percentunit", Width: 4,
					Queries: []Query{q(share("stale"), "stale")}, Steps: bad(0.001, 0.01), Idle: "no decisions in the time shown"},
				{Title: "Unknown", About: "Share of the live decisions of which it could not be said. Unknown is never fresh: the reasons are on the causes' dashboard.", Shape: Number, Unit: "percentunit", Width: 4,
					Queries: []Query{q(share("unknown"), "unknown")}, Steps: bad(0.01, 0.05), Idle: "no decisions in the time shown"},
				{Title: "Held now", About: "Open workflows × stale items that they hold: what would be acted on if nothing happens.", Shape: Number, Unit: "short", Width: 4,
					Queries: []Query{q(`sum(freshet_stale_holdings{`+workflow+`}) or vector(0)`, "held")}, Steps: bad(1, 50), Alerts: []string{"StaleContextHeld"},
					Links: []Link{{"Open workflows that are stale now", "{server}/ui/#/stale"}}},
				{Title: "Pages", About: "Alerts that page somebody now.", Shape: Number, Unit: "short", Width: 4,
					Queries: []Query{q(`sum(freshet_alerts{status="firing",severity="page"}) or vector(0)`, "pages")}, Steps: bad(1, 1)},
				{Title: "Least budget left", About: "Of all objectives, the smallest share of the error budget that is left in its window.", Shape: Number, Unit: "percentunit", Width: 4,
					Queries: []Query{q(`min(freshet_slo_budget_remaining_ratio)`, "left")}, Steps: []Step{{-1e9, "red"}, {0.1, "orange"}, {0.5, "green"}}, Idle: "the contract has no objectives, or they have counted nothing"},
				{Title: "Clocks behind", About: "How far the slowest partition is behind now. While it grows nothing is called fresh.", Shape: Number, Unit: "s", Width: 4,
					Queries: []Query{q(`time() - min(freshet_applied_through_timestamp_seconds)`, "behind")}, Steps: bad(10, 60), Alerts: []string{"EngineBlind"}},
			}},
			{"What is decided", []Panel{
				{Title: "Decisions by verdict", About: "Uses judged final, a second. Amended ones stay where they were first counted.", Shape: Stack, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (verdict) (rate(freshet_decisions_total{traffic_class="live",`+workflow+`}[$__rate_interval]))`, "{{verdict}}")}, Alerts: []string{"FreshnessSLOBurn"}},
				{Title: "Stale seconds by owner", About: "Whose seconds the staleness of decisions is made of: who has to do something.", Shape: Stack, Unit: "s", Width: 12,
					Queries: []Query{q(`sum by (owner) (rate(freshet_stale_seconds_total{`+workflow+`}[$__rate_interval]))`, "{{owner}}")}, Idle: "nothing stale yet"},
				{Title: "Open workflows", About: "Started and not ended.", Shape: Lines, Unit: "short", Width: 12,
					Queries: []Query{q(`sum by (workflow_type) (freshet_open_workflows{`+workflow+`})`, "{{workflow_type}}")}},
				{Title: "Held stale items by owner", About: "Open workflows × stale items, by the owner of the workflow's item.", Shape: Lines, Unit: "short", Width: 12,
					Queries: []Query{q(`sum by (owner) (freshet_stale_holdings{`+workflow+`})`, "{{owner}}")}, Idle: "nothing held that is stale"},
			}},
			{"Who has to do something", []Panel{
				{Title: "Alerts", About: "Every alert that fires, with its owner, but the Watchdog, which always does.", Shape: List, Unit: "short", Width: 12,
					Queries: []Query{q(`sum by (name, owner, severity) (freshet_alerts{status="firing",name!="Watchdog"}) > 0`, "")}, Idle: "nothing fires",
					Links: []Link{{"Runbook", "{runbooks}${__data.fields.name}.md"}, {"Why it fires", "{server}/ui/#/why/${__data.fields.name}"}}},
				{Title: "Objectives", About: "What is left of each error budget.", Shape: Bars, Unit: "percentunit", Width: 12, Min: number(0), Max: number(1),
					Queries: []Query{q(`min by (slo) (freshet_slo_budget_remaining_ratio)`, "{{slo}}")}, Steps: []Step{{-1e9, "red"}, {0.1, "orange"}, {0.5, "green"}},
					Links: []Link{{"Objective", "/d/freshet-slo?var-slo=${__field.labels.slo}"}}, Idle: "the contract has no objectives"},
			}},
		},
	}
}
