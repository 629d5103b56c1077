package metrics

import "sync/atomic"

// Other is the value of a label for what the contract does not name.
const Other = "_other"

// Unset is the value of a label for what an event does not say.
const Unset = "_none"

// Result is what became of a record.
const (
	Applied    = "applied"
	Duplicate  = "duplicate"
	Rerouted   = "rerouted"
	DeadLetter = "dead_letter"
	Late       = "late"
)

// UseResult is what a use counts as for an objective.
const (
	GoodUse    = "good"
	BadUse     = "bad"
	UnknownUse = "unknown"
)

// RecordKind tells rows from outputs in a commit.
const (
	RowRecord    = "row"
	OutputRecord = "output"
)

// NotificationResult is what became of an attempt to deliver an alert.
const (
	Delivered     = "delivered"
	FailedAttempt = "failed"  // it is tried again
	Refused       = "refused" // the receiver says that it never will take it
)

// Hop is a part of the way of a new version.
const (
	HopSource  = "source"
	HopServing = "serving"
	HopHold    = "hold"
)

// What is let go of when it is older than decisions are kept.
const (
	PurgedDecisions = "decisions"
	PurgedWorkflows = "workflows"
)

// Bounds of the contract that are times.
const (
	MaxStaleness = "max_staleness"
	MaxAge       = "max_age"
)

// Outcomes of the check that an act carries, beside the verdicts.
const (
	NoCheck      = "none"
	InvalidCheck = "invalid"
)

// PartitionState is what a partition is doing.
type PartitionState string

const (
	Restoring  PartitionState = "restoring"   // its rows are being read from the changelog
	Recovering PartitionState = "recovering"  // its rows are there, what it needs of the sources is not
	CatchingUp PartitionState = "catching_up" // it reads a backlog
	LiveState  PartitionState = "live"        // its clock follows wall time
	HeldBack   PartitionState = "held"        // a topic refuses a record of it, which is sent again until it is taken
	Failed     PartitionState = "failed"      // it has stopped with an error and waits for the next session
)

// PartitionStates returns every state.
func PartitionStates() []PartitionState {
	return []PartitionState{Restoring, Recovering, CatchingUp, LiveState, HeldBack, Failed}
}

// Refusal is why a topic does not take a record.
type Refusal string

const (
	RefusedTooLarge     Refusal = "too_large"
	RefusedNoPermission Refusal = "no_permission"
	RefusedInvalid      Refusal = "invalid" // its time, its form, or a policy of the cluster
)

// Refusals returns every refusal.
func Refusals() []Refusal { return []Refusal{RefusedTooLarge, RefusedNoPermission, RefusedInvalid} }

// closedValues returns the values of a label that does not take them from the contract, nil if it does.
func closedValues(series, label string) []string {
	switch label {
	case "result":
		if series == "slo_events_total" {
			return []string{GoodUse, BadUse, UnknownUse}
		}
		if series == "otlp_exports_total" {
			return []string{Delivered, FailedAttempt}
		}
		if series == "notifications_total" {
			return []string{Delivered, FailedAttempt, Refused}
		}
		return []string{Applied, Duplicate, Rerouted, DeadLetter, Late}
	case "destination":
		return []string{"alertmanager", "webhook", "pagerduty", "slack"}
	case "severity":
		return []string{"page", "ticket"}
	case "status":
		if series == "alerts" {
			return []string{"firing", "resolved"}
		}
	case "use":
		return []string{"decision.proposed", "action.executed"}
	case "verdict", "from", "to":
		return []string{"fresh", "stale", "unknown"}
	case "traffic_class":
		return []string{"live", "backfill", "eval", "replay"}
	case "cause":
		if series == "commit_aborts_total" {
			return []string{"timeout", "fenced", "rows", "broker", "refused"}
		}
		return []string{"source_late", "consumer_lag", "serving_stale", "hold_approval", "hold_tool", "hold_retry", "hold_waiting", "hold_other", "source_silent"}
	case "bound":
		if series == "bound_seconds" {
			return []string{MaxStaleness, MaxAge}
		}
		return []string{"max_staleness", "max_versions_behind", "max_age", "retracted"}
	case "by":
		return []string{"reload", "drop", "end", "corrected", "contract", "grouped"}
	case "what":
		return []string{PurgedDecisions, PurgedWorkflows}
	case "check":
		return []string{"fresh", "stale", "unknown", InvalidCheck, NoCheck}
	case "superseded_since":
		return []string{"true", "false"}
	case "why":
		return []string{"unknown-token", "no-token", "malformed-token", "bad-algorithm", "unknown-key", "bad-signature", "wrong-issuer", "wrong-audience", "expired", "too-early", "no-keys", "peer", "forbidden", "workflow-type", "foreign-host", "foreign-origin", "too-many-requests", "too-many-waiters", "too-many-watchers", "too-many-connections"}
	case "limit":
		return []string{"items", "loads", "uses", "steps", "lines", "refs", "versions", "detections", "alerts"}
	case "hop":
		return []string{HopSource, HopServing, HopHold}
	case "state":
		var names []string
		for _, s := range PartitionStates() {
			names = append(names, string(s))
		}
		return names
	case "kind":
		if series == "commit_records_total" {
			return []string{RowRecord, OutputRecord}
		}
	case "reason":
		if series == "refused_total" || series == "partition_held_since_timestamp_seconds" {
			var names []string
			for _, r := range Refusals() {
				names = append(names, string(r))
			}
			return names
		}
		if series == "dead_letters_total" {
			return []string{"not_cloudevent", "bad_json", "missing_attribute", "bad_time", "key_mismatch", "wrong_topic", "bad_ref", "too_large", "future_dated"}
		}
		return []string{"no_version", "unknown_source", "unknown_version", "no_as_of", "source_silent", "history_truncated", "no_contract", "not_loaded", "no_context"}
	}
	return nil
}

// Labels turns names into label values: what the contract names stays, everything else is Other, nothing is Unset. Before Set, every
// name is Other. It is safe for concurrent use.
type Labels struct {
	names atomic.Pointer[labelNames]
}

type labelNames struct{ workflows, kinds, owners map[string]string }

// Set takes the names that the contract in force knows.
func (l *Labels) Set(workflowTypes, kinds, owners []string) {
	l.names.Store(&labelNames{nameSet(workflowTypes), nameSet(kinds), nameSet(owners)})
}

func nameSet(names []string) map[string]string {
	set := make(map[string]string, len(names))
	for _, n := range names {
		set[n] = n
	}
	return set
}

// Workflow returns the label value of a workflow type.
func (l *Labels) Workflow(name string) string {
	n := l.names.Load()
	if n == nil {
		return guard(nil, name)
	}
	return guard(n.workflows, name)
}

// Kind returns the label value of a kind of context item.
func (l *Labels) Kind(name string) string {
	n := l.names.Load()
	if n == nil {
		return guard(nil, name)
	}
	return guard(n.kinds, name)
}

// Owner returns the label value of an owner.
func (l *Labels) Owner(name string) string {
	n := l.names.Load()
	if n == nil {
		return guard(nil, name)
	}
	return guard(n.owners, name)
}

// guard returns the contract's own copy of a name, so that a label never keeps a record's memory alive.
func guard(set map[string]string, name string) string {
	if name == "" {
		return Unset
	}
	if own, ok := set[name]; ok {
		return own
	}
	return Other
}
