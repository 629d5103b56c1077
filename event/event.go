package event

// Category is the kind of topic an event belongs on.
type Category uint8

const (
	Unknown  Category = iota // a type Freshet does not know: kept in the timeline of its workflow, otherwise ignored
	Control                  // state transitions of a workflow
	Context                  // what a workflow saw
	Tool                     // calls to external systems and their results
	Decision                 // proposed, approved, executed actions
	Source                   // the truth behind the context changed, or was confirmed
)

// Type is an event's type by its last two dotted segments. The zero value is a type Freshet does not know.
type Type uint8

const (
	Other Type = iota
	TaskCreated
	TaskStarted
	TaskWaiting
	TaskResumed
	TaskCompleted
	TaskFailed
	TaskCancelled
	ApprovalRequested
	ApprovalGranted
	ApprovalDenied
	ToolRetryScheduled
	ContextLoaded
	ContextDropped
	ToolCalled
	ToolResult
	DecisionProposed
	ActionApproved
	ActionRejected
	ActionOverridden
	ActionExecuted
	CompensationTriggered
	SourceUpdated
	SourceHeartbeat
	SourceAvailable
	SourceForget  // a source record with a key, no value and no CloudEvents headers: forgets the item
	WorkflowErase // such a record on a topic of workflows, with the header freshet-erase: erases the workflow
)

// TrafficClass tells live work from work that must page nobody.
type TrafficClass uint8

const (
	Live TrafficClass = iota
	Backfill
	Eval
	Replay
)

// Change is what a source.updated did to the truth.
type Change uint8

const (
	Updated Change = iota
	Retracted
	RolledBack
)

// Ref names a version of a context item that a workflow used.
type Ref struct {
	Kind, Key string
	Version   string // "" when absent
	Digest    string
	Seq       int64 // valid if HasSeq
	AsOf      Time  // valid if HasAsOf
	HasSeq    bool
	HasAsOf   bool
}

// Event is one decoded event. Its strings alias the record (or the Decoder's scratch memory): who keeps one beyond the next Decode, or
// keeps it without keeping the record, clones it.
type Event struct {
	Type     Type
	Traffic  TrafficClass
	Change   Change
	Time     Time // event time
	Appended Time // the record's Kafka timestamp (of the original, if copied)
	Recorded Time // the recordedtime attribute, valid if HasRecorded

	ID, Source, Subject string
	TypeName            string // the type attribute as received
	WorkflowType        string // the workflowtype attribute, else data.workflow_type
	TraceParent         string
	Data                string // the data as received: JSON, or "" when there is none (JSON null is none)
	DataContentType     string // what the data was declared to be; application/json when nothing was declared and there is data
	Opaque              string // data that is not JSON, byte for byte: only events of a type Freshet does not know can carry it

	DecisionID, Class, Action, Actor, CheckID string
	CallID, ToolName, Step, Why, Status       string // Why: data.reason of control events
	Kind, Key, Version, Owner, Digest         string // source events; Key is "" for a heartbeat of a whole kind
	Consumer                                  string
	Seq                                       int64
	EffectiveAt                               Time // source.updated: effective_at, else Time
	Through                                   Time // source.heartbeat

	Refs    []Ref // context.loaded, context.dropped, tool.result: refs; decision events: based_on
	BadRefs int   // entries of that list which could not be used (reason bad_ref); the event is used without them

	HasRecorded bool
	HasBasedOn  bool // decision events: based_on was given, perhaps empty
	HasClass    bool // decision events: class was given
	WholeKind   bool // source.heartbeat for a whole kind
}

// Reason says why a record cannot be used. It is the dead letter's header, the counter's label and a line of the runbook: never renamed.
type Reason uint8

const (
	OK Reason = iota
	NotCloudEvent
	BadJSON
	MissingAttribute
	BadTime
	KeyMismatch
	WrongTopic
	BadRef
	TooLarge
	FutureDated
)

// Header is a record header.
type Header struct {
	Key, Value []byte
}

// Record is a Kafka record as the decoder sees it. The decoder does not write to it and keeps it no longer than its Event is used.
type Record struct {
	Key, Value []byte // nil: none
	Headers    []Header
	Time       Time     // Kafka timestamp
	Category   Category // of the topic it was read from
}
