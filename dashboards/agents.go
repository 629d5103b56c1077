package dashboards

func agents() Dashboard {
	return Dashboard{
		UID: "freshet-agents", Title: "Freshet / Agents", About: "What agents ask, what they are told, how fast, and what they then do.",
		Paragraph: "For who writes agents. Do they ask before they act, what are they told, how long does an answer take, and do they act on it: acts after `stale` or without any check are agents that do not listen, " +
			"and acts on context that was superseded between check and act are agents that wait too long after asking.",
		Variables: []Variable{ofWorkflow()},
		Rows: []Row{
			{"Checks", []Panel{
				{Title: "Checks by verdict", About: "Answers a second.", Shape: Stack, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (verdict) (rate(freshet_checks_total[$__rate_interval]))`, "{{verdict}}")}},
				{Title: "How long an answer takes", About: "From a check that has been read until its answer, waiting for records included.", Shape: Lines, Unit: "s", Width: 12,
					Queries: quantiles("freshet_check_duration_seconds", ""), Idle: "nobody asks"},
				{Title: "Denied requests", About: "By why: a token that is not known, a rate that is too high, too many who wait.", Shape: Lines, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (why) (rate(freshet_requests_denied_total[$__rate_interval])) > 0`, "{{why}}")}, Idle: "nothing denied"},
				{Title: "Open connections", About: "To the HTTP server.", Shape: Lines, Unit: "short", Width: 12, Queries: []Query{q(`sum(freshet_http_connections)`, "connections")}},
			}},
			{"Acts", []Panel{
				{Title: "Acts by what had been answered", About: "Executed actions by the answer of the check they name; none: the agent did not ask. stale and unknown: it acted against the answer.", Shape: Stack, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (check) (rate(freshet_acts_total{`+workflow+`}[$__rate_interval]))`, "{{check}}")}},
				{Title: "Superseded between check and act", About: "Share of the acts after a fresh answer whose context was superseded before they happened: agents that wait too long after asking.", Shape: Lines, Unit: "percentunit", Width: 12, Min: number(0),
					Queries: []Query{q(`sum(rate(freshet_acts_total{check="fresh",superseded_since="true",`+workflow+`}[$__rate_interval])) / sum(rate(freshet_acts_total{check="fresh",`+workflow+`}[$__rate_interval]))`, "superseded")}, Idle: "no acts after a fresh answer"},
			}},
		},
	}
}
