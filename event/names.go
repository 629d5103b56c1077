package event

import "strings"

// TypeOf returns the type that a type attribute names. The last two dotted segments decide, whatever prefix stands before them.
func TypeOf(name string) Type {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return Other
	}
	switch name[strings.LastIndexByte(name[:i], '.')+1:] {
	case "task.created":
		return TaskCreated
	case "task.started":
		return TaskStarted
	case "task.waiting":
		return TaskWaiting
	case "task.resumed":
		return TaskResumed
	case "task.completed":
		return TaskCompleted
	case "task.failed":
		return TaskFailed
	case "task.cancelled":
		return TaskCancelled
	case "approval.requested":
		return ApprovalRequested
	case "approval.granted":
		return ApprovalGranted
	case "approval.denied":
		return ApprovalDenied
	case "tool.retry_scheduled":
		return ToolRetryScheduled
	case "context.loaded":
		return ContextLoaded
	case "context.dropped":
		return ContextDropped
	case "tool.called":
		return ToolCalled
	case "tool.result":
		return ToolResult
	case "decision.proposed":
		return DecisionProposed
	case "action.approved":
		return ActionApproved
	case "action.rejected":
		return ActionRejected
	case "action.overridden":
		return ActionOverridden
	case "action.executed":
		return ActionExecuted
	case "compensation.triggered":
		return CompensationTriggered
	case "source.updated":
		return SourceUpdated
	case "source.heartbeat":
		return SourceHeartbeat
	case "source.available":
		return SourceAvailable
	}
	return Other
}

// String returns the two segments that name the type, "other" for a type Freshet does not know. "source.forget" and "workflow.erase" are no
// types that an event can have: TypeOf does not return them.
func (t Type) String() string {
	names := [...]string{
		Other:                 "other",
		TaskCreated:           "task.created",
		TaskStarted:           "task.started",
		TaskWaiting:           "task.waiting",
		TaskResumed:           "task.resumed",
		TaskCompleted:         "task.completed",
		TaskFailed:            "task.failed",
		TaskCancelled:         "task.cancelled",
		ApprovalRequested:     "approval.requested",
		ApprovalGranted:       "approval.granted",
		ApprovalDenied:        "approval.denied",
		ToolRetryScheduled:    "tool.retry_scheduled",
		ContextLoaded:         "context.loaded",
		ContextDropped:        "context.dropped",
		ToolCalled:            "tool.called",
		ToolResult:            "tool.result",
		DecisionProposed:      "decision.proposed",
		ActionApproved:        "action.approved",
		ActionRejected:        "action.rejected",
		ActionOverridden:      "action.overridden",
		ActionExecuted:        "action.executed",
		CompensationTriggered: "compensation.triggered",
		SourceUpdated:         "source.updated",
		SourceHeartbeat:       "source.heartbeat",
		SourceAvailable:       "source.available",
		SourceForget:          "source.forget",
		WorkflowErase:         "workflow.erase",
	}
	if int(t) >= len(names) {
		return names[Other]
	}
	return names[t]
}

// Category returns the kind of topic that events of the type belong on, Unknown for a type Freshet does not know and for what any topic of
// workflows takes.
func (t Type) Category() Category {
	switch {
	case t == Other:
		return Unknown
	case t <= ToolRetryScheduled:
		return Control
	case t <= ContextDropped:
		return Context
	case t <= ToolResult:
		return Tool
	case t <= CompensationTriggered:
		return Decision
	case t <= SourceForget:
		return Source
	}
	return Unknown
}

// String returns the category as the contract file names it, "unknown" for Unknown.
func (c Category) String() string {
	switch c {
	case Control:
		return "control"
	case Context:
		return "context"
	case Tool:
		return "tool"
	case Decision:
		return "decision"
	case Source:
		return "source"
	}
	return "unknown"
}

// ParseCategory returns the category of that name. "unknown" is not one that can be asked for.
func ParseCategory(name string) (Category, bool) {
	for c := Control; c <= Source; c++ {
		if c.String() == name {
			return c, true
		}
	}
	return Unknown, false
}

// String returns the class as the trafficclass attribute has it.
func (c TrafficClass) String() string {
	switch c {
	case Backfill:
		return "backfill"
	case Eval:
		return "eval"
	case Replay:
		return "replay"
	}
	return "live"
}

// ParseTrafficClass returns the class of that name. What it does not know is Live and false: an event whose class was misspelt counts,
// and can page, rather than vanish from the objectives.
func ParseTrafficClass(name string) (TrafficClass, bool) {
	for c := Live; c <= Replay; c++ {
		if c.String() == name {
			return c, true
		}
	}
	return Live, false
}

// String returns the change as source.updated has it.
func (c Change) String() string {
	switch c {
	case Retracted:
		return "retracted"
	case RolledBack:
		return "rolled_back"
	}
	return "updated"
}

// ParseChange returns the change of that name. What it does not know is Updated and false: the version counts as any other does.
func ParseChange(name string) (Change, bool) {
	for c := Updated; c <= RolledBack; c++ {
		if c.String() == name {
			return c, true
		}
	}
	return Updated, false
}

// String returns the reason as the dead letter's header and the counter's label have it.
func (r Reason) String() string {
	switch r {
	case OK:
		return "ok"
	case NotCloudEvent:
		return "not_cloudevent"
	case BadJSON:
		return "bad_json"
	case MissingAttribute:
		return "missing_attribute"
	case BadTime:
		return "bad_time"
	case KeyMismatch:
		return "key_mismatch"
	case WrongTopic:
		return "wrong_topic"
	case BadRef:
		return "bad_ref"
	case TooLarge:
		return "too_large"
	case FutureDated:
		return "future_dated"
	}
	return "unknown"
}

// ParseReason returns the reason of that name.
func ParseReason(name string) (Reason, bool) {
	for r := OK; r <= FutureDated; r++ {
		if r.String() == name {
			return r, true
		}
	}
	return OK, false
}

// Reasons returns every reason for which a record is dead-lettered.
func Reasons() []Reason {
	var all []Reason
	for r := NotCloudEvent; r <= FutureDated; r++ {
		all = append(all, r)
	}
	return all
}

// Types returns every type that an event can have, Other left out.
func Types() []Type {
	var all []Type
	for t := TaskCreated; t <= SourceAvailable; t++ {
		all = append(all, t)
	}
	return all
}
