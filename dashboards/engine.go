package dashboards

func engine() Dashboard {
	return Dashboard{
		UID: "freshet-engine", Title: "Freshet / Engine", About: "Whether the engine itself keeps up: clocks, partitions, input, transactions, notifications.",
		Paragraph: "For who runs Freshet. While the clocks follow wall time everything else on the other dashboards can be believed; if they do not, the rows say where it hangs: a partition that is restored or held back, " +
			"input that comes faster than it is applied or cannot be used, transactions that are slow or aborted, notifications that do not arrive, instances that judge by different contracts.",
		Rows: []Row{
			{"Clocks and partitions", []Panel{
				{Title: "Clocks behind", About: "How far each partition's applied_through is behind now. It grows while the engine is behind, a transaction on an input is open, or the brokers are gone.", Shape: Lines, Unit: "s", Width: 12, Min: number(0),
					Queries: []Query{q(`time() - max by (partition) (freshet_applied_through_timestamp_seconds)`, "{{partition}}")}, Steps: bad(10, 60), Alerts: []string{"EngineBlind", "FreshetBlind", "FreshetBehind", "FreshetAbsent", "FreshetWatchdog"}},
				{Title: "Partitions by state", About: "All of them live is the healthy state.", Shape: Stack, Unit: "short", Width: 12,
					Queries: []Query{q(`sum by (state) (freshet_partition_state)`, "{{state}}")}, Alerts: []string{"FreshetInstanceDown", "FreshetPartitionUnowned"}},
				{Title: "Left to restore", About: "Changelog records that restores have still to read.", Shape: Lines, Unit: "short", Width: 12,
					Queries: []Query{q(`sum by (partition) (freshet_restore_remaining_records)`, "{{partition}}")}, Alerts: []string{"FreshetRestoringLong"}, Idle: "nothing is being restored"},
				{Title: "Append to applied", About: "From a record's Kafka timestamp until it was applied.", Shape: Lines, Unit: "s", Width: 12, Queries: quantiles("freshet_engine_lag_seconds", "")},
			}},
			{"Input", []Panel{
				{Title: "Records by topic", About: "Applied, a second.", Shape: Stack, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (topic) (rate(freshet_events_total{result="applied"}[$__rate_interval]))`, "{{topic}}")}, Alerts: []string{"FreshetBehind"}},
				{Title: "Records that were not simply applied", About: "Duplicates are normal; rerouted ones come from a producer with another partitioner; late ones have no effect.", Shape: Lines, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (result) (rate(freshet_events_total{result!="applied"}[$__rate_interval]))`, "{{result}}")}},
				{Title: "Dead letters by reason", About: "Records that could not be used: freshet deadletters list.", Shape: Stack, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (topic, reason) (rate(freshet_dead_letters_total[$__rate_interval]))`, "{{topic}} {{reason}}")}, Alerts: []string{"FreshetDeadLettersRising"}, Idle: "no dead letters"},
				{Title: "Partitions held back", About: "A topic refuses a record of theirs, for its size or for lack of permission.", Shape: Lines, Unit: "s", Width: 12,
					Queries: []Query{q(`time() - min by (partition, topic, reason) (freshet_partition_held_since_timestamp_seconds)`, "{{partition}} {{topic}} {{reason}}"), q(`sum by (topic, reason) (rate(freshet_refused_total[$__rate_interval]))`, "refused {{topic}} {{reason}}")}, Alerts: []string{"FreshetPartitionHeld"}, Idle: "nothing is refused"},
				{Title: "Limits and conflicts", About: "Lists that would have grown beyond their limit; events that share source and id with another content.", Shape: Lines, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (limit) (rate(freshet_limit_reached_total[$__rate_interval]))`, "{{limit}}"), q(`sum(rate(freshet_id_conflicts_total[$__rate_interval]))`, "id conflicts")}},
				{Title: "Retention", About: "What has left the state because it was old enough, and workflows that were closed because nothing came any more, or erased on request.", Shape: Lines, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (what) (rate(freshet_purged_total[$__rate_interval]))`, "{{what}}"), q(`sum(rate(freshet_workflows_abandoned_total[$__rate_interval]))`, "abandoned"), q(`sum(rate(freshet_workflows_erased_total[$__rate_interval]))`, "erased")}, Idle: "nothing is old enough"},
			}},
			{"Transactions", []Panel{
				{Title: "Duration", About: "From the barrier until the rows are readable, p95.", Shape: Lines, Unit: "s", Width: 8,
					Queries: []Query{q(quantileBy("0.95", "group", "freshet_commit_duration_seconds", ""), "{{group}}")}, Alerts: []string{"FreshetBehind"}},
				{Title: "Records and bytes", About: "Rows to changelogs and outputs to topics.", Shape: Lines, Unit: "short", Width: 8,
					Queries: []Query{q(`sum by (group, kind) (rate(freshet_commit_records_total[$__rate_interval]))`, "{{group}} {{kind}}/s"), q(`sum by (group) (rate(freshet_commit_bytes_total[$__rate_interval]))`, "{{group}} bytes/s")}},
				{Title: "Aborts, fences, sessions", About: "Aborts are repeated in a new session; fences ended what dead members had left open.", Shape: Lines, Unit: "ops", Width: 8,
					Queries: []Query{q(`sum by (group, cause) (rate(freshet_commit_aborts_total[$__rate_interval]))`, "aborts {{group}} {{cause}}"), q(`sum by (group) (rate(freshet_fences_total[$__rate_interval]))`, "fences {{group}}"), q(`sum by (group) (rate(freshet_sessions_total[$__rate_interval]))`, "sessions {{group}}")}, Alerts: []string{"FreshetPartitionFailed"}},
			}},
			{"Notifications", []Panel{
				{Title: "Notifications", About: "Attempts to tell somebody, by what became of them.", Shape: Lines, Unit: "ops", Width: 12,
					Queries: []Query{q(`sum by (destination, result) (rate(freshet_notifications_total[$__rate_interval]))`, "{{destination}} {{result}}")}, Alerts: []string{"Watchdog", "FreshetNotificationsFailing"}, Idle: "nobody is told of anything"},
				{Title: "How long they take", About: "From when an owner was first due to be told until the destination had it.", Shape: Lines, Unit: "s", Width: 12,
					Queries: quantiles("freshet_notification_delay_seconds", ""), Idle: "nobody is told of anything"},
			}},
			{"Process", []Panel{
				{Title: "Memory", About: "Resident.", Shape: Lines, Unit: "bytes", Width: 6, Queries: []Query{q(`process_resident_memory_bytes{job=~".*freshet.*"}`, "{{instance}}")}},
				{Title: "CPU", About: "Cores.", Shape: Lines, Unit: "short", Width: 6, Queries: []Query{q(`rate(process_cpu_seconds_total{job=~".*freshet.*"}[$__rate_interval])`, "{{instance}}")}},
				{Title: "Contract refused", About: "Instances whose contract file is not the contract in force because it was refused. Their log says why.", Shape: Number, Unit: "short", Width: 6,
					Queries: []Query{q(`sum(freshet_contract_refused)`, "refused")}, Steps: bad(1, 1), Alerts: []string{"FreshetContractRefused"}},
				{Title: "Build and contract", About: "What runs, and by which contract it judges: all instances should agree.", Shape: List, Unit: "short", Width: 6,
					Queries: []Query{q(`freshet_build_info`, ""), q(`freshet_contract_info`, "")}, Alerts: []string{"FreshetContractRefused", "FreshetContractsDiffer"}},
				{Title: "Metrics sent by OTLP", About: "Requests to -otlp.endpoint, by what became of them. What failed is in the next one.", Shape: Lines, Unit: "ops", Width: 24,
					Queries: []Query{q(`sum by (result) (rate(freshet_otlp_exports_total[$__rate_interval]))`, "{{result}}")}, Idle: "no endpoint is named"},
			}},
		},
	}
}
