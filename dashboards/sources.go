package dashboards

func sources() Dashboard {
	const kind = `{kind=~"$kind"}`
	return Dashboard{
		UID: "freshet-sources", Title: "Freshet / Sources", About: "Whether the sources of context live, how they publish, and who holds old versions.",
		Paragraph: "For who owns a kind of context. Is the source alive (silence beyond the dashed line makes what rests on it unknown), how late does it publish, does it say all that it could " +
			"(versions with `seq`, times with `as_of`, clocks that are right), and who still holds what it has replaced.",
		Variables: []Variable{{"kind", "Kind", "freshet_source_last_update_timestamp_seconds"}},
		Rows: []Row{
			{"Life", []Panel{
				{Title: "Since the last sign of life", About: "Updates and heartbeats. Beyond the contract's max_silence nothing of the kind is called fresh.", Shape: Lines, Unit: "s", Width: 12, Min: number(0),
					Queries: []Query{q(`time() - max by (kind) (freshet_source_last_life_timestamp_seconds`+kind+`)`, "{{kind}}"), limit(`max by (kind) (freshet_max_silence_seconds`+kind+`)`, "{{kind}} at most")}, Alerts: []string{"SourceSilent"}},
				{Title: "Since the last update", About: "A kind that is not updated for much longer than usual may have a producer that has stopped.", Shape: Lines, Unit: "s", Width: 12, Min: number(0),
					Queries: []Query{q(`time() - max by (kind) (freshet_source_last_update_timestamp_seconds`+kind+`)`, "{{kind}}")}},
			}},
			{"How they publish", []Panel{
				{Title: "Publishing delay, p95", About: "From the instant a version came into force until it could be read.", Shape: Lines, Unit: "s", Width: 12,
					Queries: []Query{{quantileBy("0.95", "kind", "freshet_propagation_seconds", `{hop="source",kind=~"$kind"}`), "{{kind}}", true, false}}, Idle: "nothing superseded was used"},
				{Title: "Conflicts", About: "Updates that lost against another one with the same seq: two producers, or one that does not count up.", Shape: Lines, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (kind) (rate(freshet_source_conflicts_total`+kind+`[$__rate_interval]))`, "{{kind}}")}, Idle: "no conflicts"},
			}},
			{"What producers send", []Panel{
				{Title: "REFs that say less than they could", About: "Without seq a version has to be looked up by its name; without as_of the age is taken from when the version came into force; unresolved: no version of that name is known, and the use is unknown unless other items decide.", Shape: Lines, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (kind) (rate(freshet_refs_without_seq_total`+kind+`[$__rate_interval]))`, "{{kind}} without seq"), q(`sum by (kind) (rate(freshet_refs_without_as_of_total`+kind+`[$__rate_interval]))`, "{{kind}} without as_of"),
						q(`sum by (kind) (rate(freshet_refs_unresolved_total`+kind+`[$__rate_interval]))`, "{{kind}} unresolved")}, Idle: "every REF has seq and as_of"},
				{Title: "Clocks ahead", About: "Source events that claim to have happened after Kafka had them. By more than max_skew they go to the dead letters as future_dated.", Shape: Lines, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (kind) (rate(freshet_source_clock_ahead_total`+kind+`[$__rate_interval]))`, "{{kind}}")}, Idle: "no producer's clock is ahead"},
			}},
			{"Who holds old versions", []Panel{
				{Title: "Stale holdings", About: "Open workflows × stale items of the kind.", Shape: Stack, Unit: "short", Width: 12,
					Queries: []Query{q(`sum by (kind, owner) (freshet_stale_holdings`+kind+`)`, "{{kind}} {{owner}}")}, Alerts: []string{"StaleContextHeld"},
					Links: []Link{{"Open workflows that are stale now", "{server}/ui/#/stale"}}, Idle: "nothing held that is stale"},
				{Title: "Versions behind when used, p95", About: "By kind.", Shape: Lines, Unit: "short", Width: 12,
					Queries: []Query{q(quantileBy("0.95", "kind", "freshet_versions_behind_at_use", kind), "{{kind}}")}},
			}},
		},
	}
}
