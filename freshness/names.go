package freshness

import "github.com/freshet-io/freshet/event"

// String returns the verdict as it stands in records; what is not known is "unknown".
func (k VerdictKind) String() string {
	switch k {
	case IsFresh:
		return "fresh"
	case IsStale:
		return "stale"
	default:
		return "unknown"
	}
}

// allReasons is every reason in the order in which they are said.
const allReasons = NoContext<<1 - 1

// String returns the name of a single reason, "unknown" for what is not a single one.
func (r Reason) String() string {
	switch r {
	case Staleness:
		return "staleness"
	case Versions:
		return "versions"
	case Age:
		return "age"
	case RetractedVersion:
		return "retracted"
	case NoVersion:
		return "no_version"
	case UnknownSource:
		return "unknown_source"
	case UnknownVersion:
		return "unknown_version"
	case NoAsOf:
		return "no_as_of"
	case SourceSilent:
		return "source_silent"
	case HistoryTruncated:
		return "history_truncated"
	case NoContract:
		return "no_contract"
	case NotLoaded:
		return "not_loaded"
	case NoContext:
		return "no_context"
	default:
		return "unknown"
	}
}

// Has says whether every reason of s is in r.
func (r Reason) Has(s Reason) bool { return r&s == s && s != 0 }

// Each calls f with every single reason of the set, in the order in which they are said.
func (r Reason) Each(f func(Reason)) {
	for one := Staleness; one <= NoContext; one <<= 1 {
		if r&one != 0 {
			f(one)
		}
	}
}

// Names returns the names of the set's reasons, in the order in which they are said. It is never nil.
func (r Reason) Names() []string {
	names := []string{}
	r.Each(func(one Reason) { names = append(names, one.String()) })
	return names
}

// String returns the cause as it stands in records, "" for none.
func (c Cause) String() string {
	switch c {
	case NoCause:
		return ""
	case SourceLate:
		return "source_late"
	case ConsumerLag:
		return "consumer_lag"
	case ServingStale:
		return "serving_stale"
	case HoldApproval:
		return "hold_approval"
	case HoldTool:
		return "hold_tool"
	case HoldRetry:
		return "hold_retry"
	case HoldWaiting:
		return "hold_waiting"
	case HoldOther:
		return "hold_other"
	case SilentSource:
		return "source_silent"
	default:
		return "unknown"
	}
}

// String returns the use as it stands in records: the type of the decision event.
func (k UseKind) String() string {
	switch k {
	case Proposed:
		return "decision.proposed"
	case Executed:
		return "action.executed"
	default:
		return "unknown"
	}
}

// String returns the basis as it stands in contracts.
func (b Basis) String() string {
	switch b {
	case BySource:
		return "source"
	case ByPublished:
		return "published"
	default:
		return "unknown"
	}
}

// trafficName returns a traffic class as it stands in events and records.
func trafficName(c event.TrafficClass) string {
	switch c {
	case event.Live:
		return "live"
	case event.Backfill:
		return "backfill"
	case event.Eval:
		return "eval"
	case event.Replay:
		return "replay"
	default:
		return "unknown"
	}
}

// String returns what ended a detection as it stands in records, "unknown" for what did not.
func (c Closing) String() string {
	switch c {
	case ByReload:
		return "reload"
	case ByDrop:
		return "drop"
	case ByEnd:
		return "end"
	case ByCorrection:
		return "corrected"
	case ByNewContract:
		return "contract"
	default:
		return "unknown"
	}
}

// Bound returns the name of the bound that a single reason of a stale item means, as contracts and detections call it.
func (r Reason) Bound() string {
	switch r {
	case Staleness:
		return "max_staleness"
	case Versions:
		return "max_versions_behind"
	case Age:
		return "max_age"
	case RetractedVersion:
		return "retracted"
	default:
		return "unknown"
	}
}
