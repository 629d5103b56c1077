package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics holds every series. Its vectors take label values in the order that docs/metrics.md gives.
type Metrics struct {
	// Labels guards the values of labels that name what the contract names.
	Labels Labels

	// Events counts records by topic and Result.
	Events *prometheus.CounterVec
	// DeadLetters counts dead letters by topic and reason.
	DeadLetters *prometheus.CounterVec
	// Decisions counts first final verdicts by workflow type, use, verdict, traffic class.
	Decisions *prometheus.CounterVec
	// Amendments counts later revisions by the verdict before and after.
	Amendments *prometheus.CounterVec
	// StaleDecisions counts stale first final verdicts by workflow type, kind, cause, owner.
	StaleDecisions *prometheus.CounterVec
	// StaleSeconds adds up stale seconds by workflow type, cause, owner.
	StaleSeconds *prometheus.CounterVec
	// UnknownDecisions counts unknown first final verdicts by workflow type, reason.
	UnknownDecisions *prometheus.CounterVec

	// ContextAge observes seconds by workflow type, kind.
	ContextAge *prometheus.HistogramVec
	// Staleness observes seconds by workflow type, kind.
	Staleness *prometheus.HistogramVec
	// VersionsBehind observes versions by workflow type, kind.
	VersionsBehind *prometheus.HistogramVec
	// Propagation observes seconds by kind, Hop.
	Propagation *prometheus.HistogramVec

	// SLOEvents counts first final verdicts of live traffic by objective and UseResult.
	SLOEvents *prometheus.CounterVec
	// SLOGoodRatio and SLOBurnRate are set by objective and window.
	SLOGoodRatio, SLOBurnRate *prometheus.GaugeVec
	// SLOBurnThreshold is set by objective, severity and window.
	SLOBurnThreshold *prometheus.GaugeVec
	// SLOObjective, SLOBudget and SLOCoverage are set by objective.
	SLOObjective, SLOBudget, SLOCoverage *prometheus.GaugeVec

	// OpenWorkflows is set by workflow type.
	OpenWorkflows *prometheus.GaugeVec
	// StaleHoldings is set by workflow type, kind, owner of the kind.
	StaleHoldings *prometheus.GaugeVec
	// DetectionsOpened counts by bound, DetectionsClosed by what closed them.
	DetectionsOpened, DetectionsClosed *prometheus.CounterVec
	// Abandoned counts by workflow type.
	Abandoned *prometheus.CounterVec
	// Erased counts workflows that somebody has asked to be erased.
	Erased prometheus.Counter
	// Purged counts by What.
	Purged *prometheus.CounterVec
	// Acts counts first finals of executed actions by workflow type, verdict of the check they carry, whether superseded since.
	Acts *prometheus.CounterVec
	// SourceLastUpdate and SourceLastLife are set by kind, in Unix seconds.
	SourceLastUpdate, SourceLastLife *prometheus.GaugeVec
	// SourceConflicts counts losers of a conflict by kind.
	SourceConflicts *prometheus.CounterVec
	// SourceClockAhead counts events by kind. RefsWithoutSeq, RefsWithoutAsOf and RefsUnresolved count REFs by kind.
	SourceClockAhead, RefsWithoutSeq, RefsWithoutAsOf, RefsUnresolved *prometheus.CounterVec
	// IDConflicts counts events whose source and id came with other content before.
	IDConflicts prometheus.Counter

	// AppliedThrough and CompleteThrough are set by partition (see Partition), in Unix seconds.
	AppliedThrough, CompleteThrough *prometheus.GaugeVec
	// EngineLag observes seconds from append to applied, per event.
	EngineLag prometheus.Histogram
	// RestoreRemaining is set by partition.
	RestoreRemaining *prometheus.GaugeVec
	partitionState   *prometheus.GaugeVec

	contractInfo *prometheus.GaugeVec

	ContractRefused prometheus.Gauge
	// BoundSeconds is set by workflow type, kind, bound; BoundVersions by workflow type, kind; MaxSilence by kind.
	BoundSeconds, BoundVersions, MaxSilence *prometheus.GaugeVec
	// Exports counts requests of OTLP by NotificationResult.
	Exports *prometheus.CounterVec

	// Gateway: what the transactions of a group do.
	CommitDuration *prometheus.HistogramVec // by group, seconds
	CommitRecords  *prometheus.CounterVec   // by group, RecordKind
	CommitBytes    *prometheus.CounterVec   // by group
	CommitAborts   *prometheus.CounterVec   // by group, cause
	Fences         *prometheus.CounterVec   // by group
	Sessions       *prometheus.CounterVec   // by group
	// Refused counts by topic and Refusal; HeldSince is set by partition, topic and Refusal, in Unix seconds, while a partition is held back.
	Refused   *prometheus.CounterVec
	HeldSince *prometheus.GaugeVec
	// Alerts is set by name, owner, severity, status.
	Alerts *prometheus.GaugeVec
	// Notifications counts attempts by destination, NotificationResult.
	Notifications *prometheus.CounterVec
	// NotificationDelay observes seconds.
	NotificationDelay prometheus.Histogram
	// LimitReached counts by limit how often a list would have grown beyond it.
	LimitReached *prometheus.CounterVec

	Query

	series []Series
}

// Series describes one series for the reference.
type Series struct {
	Name, Type, Help string
	Labels           []string
	Values           map[string][]string // of labels with a closed set
}

// New defines the series and registers them. A nil registerer registers nothing.
func New(reg prometheus.Registerer) *Metrics {
	m := &Metrics{}
	b := builder{reg: reg, m: m}
	b.judgement()
	b.objectives()
	b.sources()
	b.engine()
	b.gateway()
	b.query()
	b.alerts()
	b.build()
	return m
}

// Reference returns what is defined, in the order of definition.
func Reference() []Series { return New(nil).series }

// judgement defines what the verdicts say.
func (b *builder) judgement() {
	m := b.m
	m.Events = b.counter("events_total", "Records read from the input topics, by what became of them.", "topic", "result")
	m.DeadLetters = b.counter("dead_letters_total", "Records, or REFs of records, that could not be used and went to the dead-letter topic.", "topic", "reason")
	m.Decisions = b.counter("decisions_total", "Uses judged final for the first time.", "workflow_type", "use", "verdict", "traffic_class")
	m.Amendments = b.counter("verdict_amendments_total", "Revisions after the first, by the verdict before and after.", "from", "to")
	m.StaleDecisions = b.counter("stale_decisions_total", "Uses judged stale for the first time, by the kind and cause of the stale item that counts.", "workflow_type", "kind", "cause", "owner")
	m.StaleSeconds = b.counter("stale_seconds_total", "Stale seconds of uses judged for the first time, by whose they were.", "workflow_type", "cause", "owner")
	m.UnknownDecisions = b.counter("unknown_decisions_total", "Uses judged unknown for the first time, once for each of their reasons.", "workflow_type", "reason")
	m.ContextAge = b.histogram("context_age_at_use_seconds", "Age of a judged item when it was used.", seconds(), "workflow_type", "kind")
	m.Staleness = b.histogram("staleness_at_use_seconds", "Staleness of a judged item when it was used.", seconds(), "workflow_type", "kind")
	m.VersionsBehind = b.histogram("versions_behind_at_use", "Versions that a judged item was behind when it was used.", []float64{0, 1, 2, 3, 5, 8, 13, 21, 34, 55}, "workflow_type", "kind")
	m.Propagation = b.histogram("propagation_seconds", "How long a new version took: at the source, in serving, in the workflow's hands.", seconds(), "kind", "hop")
	m.OpenWorkflows = b.gauge("open_workflows", "Workflows started, and neither ended nor abandoned.", "workflow_type")
	m.StaleHoldings = b.gauge("stale_holdings", "Stale items that open workflows hold, once for each workflow and item.", "workflow_type", "kind", "owner")
	m.DetectionsOpened = b.counter("detections_opened_total", "Detections said to be open, by the bound that was crossed.", "bound")
	m.DetectionsClosed = b.counter("detections_closed_total", "Detections said to be closed, by what closed them.", "by")
	m.Abandoned = b.counter("workflows_abandoned_total", "Workflows closed because they were without events for too long.", "workflow_type")
	m.Purged = b.counter("purged_total", "What has been let go of because it is older than decisions are kept.", "what")
	m.Erased = b.counter("workflows_erased_total", "Workflows that somebody has asked to be erased.").WithLabelValues()
	m.Acts = b.counter("acts_total", "Executed actions judged for the first time, by the verdict of the check that they carry.", "workflow_type", "check", "superseded_since")
}

// objectives defines how the contract's objectives stand.
func (b *builder) objectives() {
	m := b.m
	m.SLOEvents = b.counter("slo_events_total", "Uses of live traffic that an objective counts, as they were first judged.", "slo", "result")
	m.SLOGoodRatio = b.gauge("slo_good_ratio", "Share of good uses over a window that ends now, amendments included; NaN if there are none.", "slo", "window")
	m.SLOObjective = b.gauge("slo_objective_ratio", "The share of good uses that is promised.", "slo")
	m.SLOBurnRate = b.gauge("slo_burn_rate", "How many times as fast as the objective allows its error budget is spent over a window that ends now; NaN if there are no uses.", "slo", "window")
	m.SLOBurnThreshold = b.gauge("slo_burn_threshold", "The burn rate from which on a rule of the contract holds, for each of its two windows; the least, if rules share a window.", "slo", "severity", "window")
	m.SLOBudget = b.gauge("slo_budget_remaining_ratio", "What is left of the error budget of the objective's window: 1 untouched, 0 spent, negative overspent.", "slo")
	m.SLOCoverage = b.gauge("slo_coverage_ratio", "Share of the uses in the objective's window whose verdict is known; NaN if there are no uses.", "slo")
}

// sources defines what is known of context items.
func (b *builder) sources() {
	m := b.m
	m.SourceLastUpdate = b.gauge("source_last_update_timestamp_seconds", "Event time of the latest update of any item of the kind.", "kind")
	m.SourceLastLife = b.gauge("source_last_life_timestamp_seconds", "Latest sign of life of any item of the kind, heartbeats included.", "kind")
	m.SourceConflicts = b.counter("source_conflicts_total", "Updates that lost against another one with the same seq.", "kind")
	m.SourceClockAhead = b.counter("source_clock_ahead_total", "Source events with a time after their record's Kafka timestamp: the producer's clock is ahead.", "kind")
	m.RefsWithoutSeq = b.counter("refs_without_seq_total", "REFs of items in use without a seq: their version has to be looked up by its name.", "kind")
	m.RefsWithoutAsOf = b.counter("refs_without_as_of_total", "REFs of items in use without an as_of: their age is taken from when their version came into force.", "kind")
	m.RefsUnresolved = b.counter("refs_unresolved_total", "REFs of judged items, when their use was judged for the first time, whose version is not known.", "kind")
	m.IDConflicts = b.counter("id_conflicts_total", "Events with the source and id of another event and other content.").WithLabelValues()
}

// engine defines clocks, partitions and the contract in force.
func (b *builder) engine() {
	m := b.m
	m.AppliedThrough = b.gauge("applied_through_timestamp_seconds", "Everything acknowledged by Kafka before this instant has been applied.", "partition")
	m.CompleteThrough = b.gauge("complete_through_timestamp_seconds", "Every event with an event time up to this instant has been applied.", "partition")
	m.EngineLag = b.histogram("engine_lag_seconds", "From the record's Kafka timestamp until it was applied.", lags()).WithLabelValues().(prometheus.Histogram)
	m.partitionState = b.gauge("partition_state", "1 for the state a partition is in, 0 for the others.", "partition", "state")
	m.RestoreRemaining = b.gauge("restore_remaining_records", "Changelog records a restore has still to read.", "partition")
	m.contractInfo = b.gauge("contract_info", "1 for the hash of the contract in force.", "hash")
	m.ContractRefused = b.gauge("contract_refused", "1 while the contract file is not the contract in force because it was refused.").WithLabelValues()
	m.BoundSeconds = b.gauge("bound_seconds", "What the contract in force bounds, for decisions of no class of their own.", "workflow_type", "kind", "bound")
	m.BoundVersions = b.gauge("bound_versions", "The contract's max_versions_behind, for decisions of no class of their own.", "workflow_type", "kind")
	m.MaxSilence = b.gauge("max_silence_seconds", "The contract's max_silence.", "kind")
	m.Exports = b.counter("otlp_exports_total", "Requests to -otlp.endpoint, by what became of them.", "result")
	m.LimitReached = b.counter("limit_reached_total", "How often a list would have grown beyond its limit.", "limit")
	for _, limit := range closedValues("limit_reached_total", "limit") {
		m.LimitReached.WithLabelValues(limit)
	}
}

// gateway defines what transactions cost.
func (b *builder) gateway() {
	m := b.m
	m.CommitDuration = b.histogram("commit_duration_seconds", "From the barrier until the transaction's rows are readable.", lags(), "group")
	m.CommitRecords = b.counter("commit_records_total", "Records committed: rows to the changelog, outputs to topics.", "group", "kind")
	m.CommitBytes = b.counter("commit_bytes_total", "Bytes of keys and values committed.", "group")
	m.CommitAborts = b.counter("commit_aborts_total", "Transactions that were not committed.", "group", "cause")
	m.Fences = b.counter("fences_total", "Open transactions of dead members that were fenced.", "group")
	m.Refused = b.counter("refused_total", "How often a topic did not take a partition's records for what they are.", "topic", "reason")
	m.HeldSince = b.gauge("partition_held_since_timestamp_seconds", "Since when a partition is held back because a topic refuses a record of it. The series is there only as long.", "partition", "topic", "reason")
	m.Sessions = b.counter("sessions_total", "Sessions of the consumer group that were begun.", "group")
}

// alerts defines what is the matter and who has been told.
func (b *builder) alerts() {
	m := b.m
	m.Alerts = b.gauge("alerts", "Alert rows, by where they are in their life.", "name", "owner", "severity", "status")
	m.Notifications = b.counter("notifications_total", "Attempts to deliver an alert, by what became of them.", "destination", "result")
	m.NotificationDelay = b.histogram("notification_delay_seconds", "From when an owner was first due to be told of an alert until the destination had it.", lags()).WithLabelValues().(prometheus.Histogram)
}

func (b *builder) build() {
	info := ReadBuild()
	b.gauge("build_info", "1, labelled with what this binary was built from.", "version", "revision", "goversion").
		WithLabelValues(info.Version, info.Revision, info.GoVersion).Set(1)
}

// StartGroup begins the counters of a group at 0, so that the first time that something goes wrong is an increase.
func (m *Metrics) StartGroup(group string) {
	m.Fences.WithLabelValues(group)
	m.Sessions.WithLabelValues(group)
	for _, cause := range closedValues("commit_aborts_total", "cause") {
		m.CommitAborts.WithLabelValues(group, cause)
	}
}

// SetContract says which contract is in force.
func (m *Metrics) SetContract(hash string) {
	m.contractInfo.Reset()
	m.contractInfo.WithLabelValues(hash).Set(1)
}

// SetPartitionState says which state a partition is in; the other states become 0.
func (m *Metrics) SetPartitionState(partition string, state PartitionState) {
	for _, s := range PartitionStates() {
		v := 0.0
		if s == state {
			v = 1
		}
		m.partitionState.WithLabelValues(partition, string(s)).Set(v)
	}
}

// DropPartition deletes the series of a partition that this instance no longer owns.
func (m *Metrics) DropPartition(partition string) {
	m.AppliedThrough.DeleteLabelValues(partition)
	m.CompleteThrough.DeleteLabelValues(partition)
	m.RestoreRemaining.DeleteLabelValues(partition)
	m.HeldSince.DeletePartialMatch(prometheus.Labels{"partition": partition})
	m.partitionState.DeletePartialMatch(prometheus.Labels{"partition": partition})
}

// Partition is the value of a partition label: the group's name and the number, as in workflows/3.
func Partition(group string, id int32) string { return group + "/" + strconv.Itoa(int(id)) }

// seconds spans what contracts bound: from what serving adds to what a forgotten document reaches.
func seconds() []float64 {
	const day = 24 * 3600
	return []float64{0, 0.1, 0.5, 1, 5, 15, 30, 60, 300, 900, 3600, 4 * 3600, day, 7 * day}
}

// lags spans what the engine itself adds.
func lags() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60}
}

const (
	namespace            = "freshet"
	nativeFactor         = 1.1
	nativeMaxBuckets     = 160
	nativeMinResetPeriod = time.Hour
)

// builder registers series and notes them for the reference.
type builder struct {
	reg prometheus.Registerer
	m   *Metrics
}

func (b *builder) note(name, kind, help string, labels []string) {
	s := Series{Name: namespace + "_" + name, Type: kind, Help: help, Labels: labels, Values: map[string][]string{}}
	for _, l := range labels {
		if v := closedValues(name, l); v != nil {
			s.Values[l] = v
		}
	}
	b.m.series = append(b.m.series, s)
}

func (b *builder) register(c prometheus.Collector) {
	if b.reg != nil {
		b.reg.MustRegister(c)
	}
}

func (b *builder) counter(name, help string, labels ...string) *prometheus.CounterVec {
	b.note(name, "counter", help, labels)
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	b.register(v)
	return v
}

func (b *builder) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	b.note(name, "gauge", help, labels)
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	b.register(v)
	return v
}

func (b *builder) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	b.note(name, "histogram (classic and native)", help, labels)
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     nativeFactor,
		NativeHistogramMaxBucketNumber:  nativeMaxBuckets,
		NativeHistogramMinResetDuration: nativeMinResetPeriod,
	}, labels)
	b.register(v)
	return v
}
