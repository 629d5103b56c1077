package slo

import (
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// maxVersions bounds history and versions_limit. An item has up to twice as many availabilities, which are one record of the sources table.
const maxVersions = 1 << 17

// file is the file: every key it can have.
func file() kind[File] {
	return mapping([]field[File]{
		key("version", formatVersion(), func(f *File) *int { return &f.Version },
			"The version of this format: 1.").must().such("version: 1"),
		key("owners", dict("NAME", names(""), ownerEntry()), func(f *File) *map[string]*Owner { return &f.Owners },
			"Who is paged: one entry for each team. Whoever the file names anywhere as an owner has to stand here."),
		key("contexts", dict("KIND", names("/*"), contextEntry()), func(f *File) *map[string]*Context { return &f.Contexts },
			"What holds for each kind of context item. Every kind that a workflow names has to stand here."),
		key("workflows", dict("TYPE", names("*"), workflowEntry()), func(f *File) *map[string]*Workflow { return &f.Workflows },
			"The workflow types that are judged. Uses of any other type are unknown (`no_contract`)."),
		key("topics", dict("TOPIC", topicName, topicEntry()), func(f *File) *map[string]*topic { return &f.topics },
			"Who answers for an input topic, and how it differs from the default. A category that is named here has exactly the topics that are named; names are without the prefix.").
			otherwise("`workflow.control`, `workflow.context`, `workflow.tool`, `workflow.decision`, `context.source`"),
		key("partitioner", choice([]string{"murmur2", "crc32", "fnv1a"}, func(s string) string { return s }), func(f *File) *string { return &f.partitioner },
			"How the producers of the workflow topics place a key: `murmur2` (Java, franz-go), `crc32` (librdkafka) or `fnv1a` (sarama, goka).").or("murmur2"),
		key("retention", retentionEntry(), func(f *File) *retention { return &f.retention },
			"How long what is known is kept.").empty(),
		key("lateness", dict("TOPIC", latenessTopic, span(0)), func(f *File) *map[string]freshness.Duration { return &f.lateness },
			"How long after its event time a record of the topic can be readable in Kafka at the latest. `default` is every topic that is not named.").
			otherwise("`{default: 5s}`").such("lateness: {default: 5s, context.source: 10s}"),
		key("max_skew", span(0), func(f *File) *freshness.Duration { return &f.maxSkew },
			"How far an event's time may be after its record's Kafka timestamp before it goes to the dead letters (`future_dated`).").or("5m"),
		key("slos", listOf(sloEntry()), func(f *File) *[]SLO { return &f.SLOs },
			"Objectives for the share of fresh uses."),
		key("detections", listOf(detectionEntry()), func(f *File) *[]Detection { return &f.Detections },
			"When open workflows that hold stale context are an alert (`StaleContextHeld`)."),
		key("maintenance", listOf(maintenanceEntry()), func(f *File) *[]Maintenance { return &f.Maintenance },
			"Times in which an owner is not paged. Uses are judged and recorded as ever."),
	}, nil)
}

func ownerEntry() kind[*Owner] {
	return pointer(mapping([]field[Owner]{
		key("alertmanager", dict("LABEL", labelName, text()), func(o *Owner) *map[string]string { return &o.Alertmanager },
			"Labels that the owner's alerts carry, for Alertmanager to route by.").such("alertmanager: {team: payments}"),
		key("slack", text(), func(o *Owner) *string { return &o.Slack },
			"The owner's Slack channel.").such(`slack: "#payments"`),
		key("pagerduty_key", secret(), func(o *Owner) *Secret { return &o.PagerDutyKey },
			"The routing key of the owner's PagerDuty service (Events API v2). `${FRESHET_…}` in it is replaced from the environment.").such(`pagerduty_key: "${FRESHET_PD_PAYMENTS}"`),
	}, func(_ *reader, v value, _ entries, o *Owner) { o.Name = keyOf(v) }))
}

func contextEntry() kind[*Context] {
	return pointer(mapping([]field[Context]{
		key("owner", ownerName(), func(c *Context) *string { return &c.Owner },
			"Who answers for the source of this kind: causes `source_late` and `source_silent`.").must().such("owner: risk-platform"),
		key("serving_owner", ownerName(), func(c *Context) *string { return &c.ServingOwner },
			"Who answers for serving it (index, cache, feature store): causes `consumer_lag` and `serving_stale`.").otherwise("`owner`"),
		key("max_silence", span(millisecond), func(c *Context) *freshness.Duration { return &c.MaxSilence },
			"How long an item may be without update or heartbeat before it is unknown (`source_silent`).").otherwise("silence is not judged").such("max_silence: 10m"),
		key("basis", choice([]freshness.Basis{freshness.BySource, freshness.ByPublished}, freshness.Basis.String), func(c *Context) *freshness.Basis { return &c.Basis },
			"From when a version counts: `source`, when it came into force; `published`, when its record was written.").or("source"),
		key("availability", choice([]bool{true}, func(bool) string { return "reported" }), func(c *Context) *bool { return &c.Reported },
			"`reported` says that `source.available` events tell when a version can be had; without them the seconds until then are the serving owner's.").otherwise("not reported"),
		key("history", whole(1, maxVersions), func(c *Context) *int { return &c.History },
			"How many versions a use can look back.").or("1024"),
		key("versions_limit", whole(1, maxVersions), func(c *Context) *int { return &c.VersionsLimit },
			"How many versions of an item are kept at most, whatever decisions may still need.").or("16384"),
	}, checkContext))
}

func workflowEntry() kind[*Workflow] {
	return pointer(mapping([]field[Workflow]{
		key("owner", ownerName(), func(w *Workflow) *string { return &w.Owner },
			"Who answers for the workflow: the hold causes, and kinds that are met only through `\"*\"`.").must().such("owner: payments"),
		key("require", once(kindName()), func(w *Workflow) *[]string { return &w.Require },
			"Kinds without which a use is unknown (`not_loaded`).").such("require: [policy, feature]"),
		key("bounds", boundsByKind(), func(w *Workflow) *map[string]Bounds { return &w.Bounds },
			"What the context of a use may be at most, by kind. `\"*\"` is every kind that is not named; `{}` shields a kind from it."),
		key("classes", dict("CLASS", names("*"), classEntry()), func(w *Workflow) *map[string]Class { return &w.Classes },
			"What differs for one decision class: its bounds are laid over the workflow's, bound by bound. Classes that are not named have the workflow's."),
	}, func(_ *reader, v value, _ entries, w *Workflow) { w.Type = keyOf(v) }))
}

func classEntry() kind[Class] {
	return mapping([]field[Class]{
		key("bounds", boundsByKind(), func(c *Class) *map[string]Bounds { return &c.Bounds },
			"As `bounds` of the workflow. `null` removes a bound of the workflow; `{}` shields a kind from the `\"*\"` of the class only."),
	}, nil)
}

func boundsByKind() kind[map[string]Bounds] {
	bounds := mapping([]field[Bounds]{
		key("max_staleness", bound(span(0)), func(b *Bounds) *Bound { return &b.MaxStaleness },
			"How long ago the version in use may have been superseded.").such("max_staleness: 60s"),
		key("max_versions_behind", bound(whole[int64](0, 1<<40)), func(b *Bounds) *Bound { return &b.MaxVersionsBehind },
			"How many newer versions there may be.").such("max_versions_behind: 1"),
		key("max_age", bound(span(0)), func(b *Bounds) *Bound { return &b.MaxAge },
			"How long ago the value in use may have been read or come into force.").such("max_age: 5s"),
	}, nil)
	read := bounds.read
	bounds.read = func(r *reader, v value, into *Bounds) (any, bool) {
		if v.null() {
			r.entry(v, WrongType, "this is empty: write {} to have no bounds for the kind")
			return nil, false
		}
		return read(r, v, into)
	}
	return dict("KIND", boundedKind, bounds)
}

func topicEntry() kind[*topic] {
	categories := []event.Category{event.Control, event.Context, event.Tool, event.Decision, event.Source}
	return pointer(mapping([]field[topic]{
		key("category", choice(categories, event.Category.String), func(t *topic) *event.Category { return &t.category },
			"Which events the topic carries.").otherwise("for a topic with a default name, its own; else it has to be written"),
		key("owner", ownerName(), func(t *topic) *string { return &t.Owner },
			"Who answers for the topic.").otherwise("nobody"),
		key("rekey", boolean(), func(t *topic) *bool { return &t.Rekey },
			"The topic is not keyed as its category is, or not partitioned as the others: its records are copied by the event's subject.").or("false"),
		key("dead_letter", deadLetterName(), func(t *topic) *string { return &t.DeadLetter },
			"The topic for its records that cannot be used.").otherwise("`freshet.dead-letter`").such("dead_letter: legacy.tools.dead-letter"),
		key("retention", span(millisecond), func(t *topic) *freshness.Duration { return &t.Retention },
			"How long the topic keeps records; at least `retention.decisions`.").otherwise("as long as `retention.decisions` asks for").such("retention: 90d"),
		key("writers", once(principal()), func(t *topic) *[]string { return &t.Writers },
			"Kafka principals that may write to the topic (`freshet topics acls`).").such(`writers: ["User:agents"]`),
		key("readers", once(principal()), func(t *topic) *[]string { return &t.Readers },
			"Kafka principals that may read the topic, beside Freshet.").such(`readers: ["User:audit"]`),
		key("schema", text(), func(t *topic) *string { return &t.Schema },
			"Path of a schema file. `freshet topics verify` says if it is not there; records are not validated by it.").such("schema: schemas/decision.json"),
	}, checkTopic))
}

func retentionEntry() kind[retention] {
	return mapping([]field[retention]{
		key("decisions", span(millisecond), func(t *retention) *freshness.Duration { return &t.decisions },
			"How long a verdict can still be amended. Workflow events that are later have no effect (`late`); input topics keep records at least as long.").or("24h"),
		key("workflow_idle", span(millisecond), func(t *retention) *freshness.Duration { return &t.workflowIdle },
			"After how long without events a workflow counts as abandoned.").or("168h"),
	}, nil)
}

func sloEntry() kind[SLO] {
	return mapping([]field[SLO]{
		key("name", name("/"), func(s *SLO) *string { return &s.Name },
			"What alerts and metrics call the objective.").must().such("name: refund-decisions-fresh"),
		key("workflow", workflowType(), func(s *SLO) *string { return &s.Workflow },
			"The workflow type whose uses count.").must().such("workflow: refund"),
		key("class", name(""), func(s *SLO) *string { return &s.Class },
			"Only uses of this decision class count. It need not be one of the workflow's `classes`.").otherwise("every class").such("class: refund-large"),
		key("use", choice([]freshness.UseKind{freshness.Proposed, freshness.Executed}, freshness.UseKind.String), func(s *SLO) *freshness.UseKind { return &s.Use },
			"Which of a decision's two uses counts.").must().such("use: action.executed"),
		key("objective", decimal(1, "an objective lies between 0 and 1, such as 0.995"), func(s *SLO) *float64 { return &s.Objective },
			"The share of good uses that is promised, between 0 and 1.").must().such("objective: 0.995"),
		key("window", span(millisecond), func(s *SLO) *freshness.Duration { return &s.Window },
			"Over how long it is promised.").must().such("window: 30d"),
		key("on_unknown", choice([]OnUnknown{CountBad, Exclude}, OnUnknown.String), func(s *SLO) *OnUnknown { return &s.OnUnknown },
			"What an unknown verdict counts as: `bad`, or nothing (`exclude`).").or("bad"),
		key("owner", ownerName(), func(s *SLO) *string { return &s.Owner },
			"Who answers for the objective.").otherwise("the workflow's owner"),
		key("alerting", alertingEntry(), func(s *SLO) *alerting { return &s.alerting },
			"When it pages. Where neither `page` nor `ticket` is written, those of the four usual rules hold that can fire for the objective and fit into the window.").
			empty().otherwise("page 14.4 over 1h and 5m, page 6 over 6h and 30m, ticket 3 over 1d and 2h, ticket 1 over 3d and 6h"),
		key("runbook_url", link(), func(s *SLO) *string { return &s.Runbook },
			"Where the one who is paged reads on.").such("runbook_url: https://runbooks.example.com/refund"),
	}, checkSLO)
}

func alertingEntry() kind[alerting] {
	return mapping([]field[alerting]{
		key("page", listOf(burnEntry(Page)), func(a *alerting) *[]burnRule { return &a.page },
			"Burn-rate rules that page.").such("page: [{burn: 14.4, long: 1h, short: 5m}]"),
		key("ticket", listOf(burnEntry(Ticket)), func(a *alerting) *[]burnRule { return &a.ticket },
			"Burn-rate rules that open a ticket.").such("ticket: [{burn: 1, long: 3d, short: 6h}]"),
		key("min_events", whole(0, 1<<30), func(a *alerting) *int { return &a.minEvents },
			"A rule does not fire on fewer uses than this in its long window.").or("20"),
	}, func(_ *reader, _ value, has entries, a *alerting) {
		a.written = has.written("page") || has.written("ticket")
	})
}

func burnEntry(s Severity) kind[burnRule] {
	return mapping([]field[burnRule]{
		key("burn", decimal(1e9, "a burn rate is greater than 0"), func(b *burnRule) *float64 { return &b.Burn },
			"How many times as fast as the objective allows the error budget has to be spent.").must().such("burn: 14.4"),
		key("long", span(millisecond), func(b *burnRule) *freshness.Duration { return &b.Long },
			"The window over which it is spent that fast.").must().such("long: 1h"),
		key("short", span(millisecond), func(b *burnRule) *freshness.Duration { return &b.Short },
			"The window over which it is still spent that fast, so that an alert ends soon after its cause.").must().such("short: 5m"),
	}, func(r *reader, _ value, has entries, b *burnRule) { b.check(r, has, s) })
}

func detectionEntry() kind[Detection] {
	return mapping([]field[Detection]{
		key("name", name("/"), func(d *Detection) *string { return &d.Name },
			"What the alert is called.").must().such("name: stale-open-refunds"),
		key("workflow", workflowType(), func(d *Detection) *string { return &d.Workflow },
			"The workflow type that is watched.").must().such("workflow: refund"),
		key("for", span(0), func(d *Detection) *freshness.Duration { return &d.For },
			"How long a stale item has to be held before it is an alert.").or("0s").such("for: 30s"),
		key("severity", severity(), func(d *Detection) *Severity { return &d.Severity },
			"Whether it pages or opens a ticket.").or("ticket"),
		key("limit", whole(1, 1<<20), func(d *Detection) *int { return &d.Limit },
			"Above so many workflows of one partition that hold the same stale version there is one record for all of them.").or("1000"),
	}, checkDetection)
}

func maintenanceEntry() kind[Maintenance] {
	return mapping([]field[Maintenance]{
		key("owner", ownerName(), func(m *Maintenance) *string { return &m.Owner },
			"Who is not paged.").must().such("owner: payments"),
		key("from", instant(), func(m *Maintenance) *event.Time { return &m.From },
			"When it begins.").must().such("from: 2026-01-03T17:00:00Z"),
		key("to", instant(), func(m *Maintenance) *event.Time { return &m.To },
			"When it is over.").must().such("to: 2026-01-03T19:00:00Z"),
		key("reason", text(), func(m *Maintenance) *string { return &m.Reason },
			"What those who look later should know.").such("reason: database upgrade"),
	}, checkMaintenance)
}

func severity() kind[Severity] { return choice([]Severity{Page, Ticket}, Severity.String) }

func ownerName() kind[string] {
	return reference("owner", "owner", func(f *File) map[string]*Owner { return f.Owners })
}

func workflowType() kind[string] {
	return reference("workflow type", "workflow type", func(f *File) map[string]*Workflow { return f.Workflows })
}

func kindName() kind[string] {
	return reference("kind of context", "kind", func(f *File) map[string]*Context { return f.Contexts })
}
