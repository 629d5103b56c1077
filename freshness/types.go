package freshness

import "github.com/freshet-io/freshet/event"

// At is where an event's record lies, with the topic as an index into its workflow's Topics: rows hold many of them.
type At struct {
	Offset    int64
	Partition int32
	Topic     uint16
}

// UseKind tells the two judged uses of a decision apart.
type UseKind uint8

const (
	Proposed UseKind = iota // decision.proposed
	Executed                // action.executed
)

// Workflow is all that is known of one workflow: what its judgement and its amendments need, and where every event lies. Its exported
// fields are its row: state encodes them, JSON round trips them.
type Workflow struct {
	ID     string
	Type   TypeClaim
	Items  []Holding // sorted by kind, key
	Uses   []Use     // sorted by time, decision id, kind
	Steps  []Step    // control and tool events the hold intervals are made of, sorted by time, id
	Lines  []Line    // the timeline: one for each distinct event, sorted by time, identity
	Topics []string  // names At.Topic is an index of
	Rivals []Use     // decision events that lost to one of Uses, sorted like them: a limit that drops the winner must not make another one win by order of arrival

	First, Last event.Time // event times seen, valid if Lines is not empty
	Begun       Mark       // the first task.started
	Over        Mark       // the first task.completed, failed or cancelled
	Cut         Cut        // what limits have dropped

	Detections []Detection        // sorted by kind, key, since: the open ones, and those closed not long ago
	Forgotten  event.Time         // detections closed by then are not kept, and what was open then stays as it was
	Look       event.Time         // when its detections may be others next, 0: no event of it and no known version says so
	Life       event.Time         // when to see next whether it is abandoned, or something of it is no longer needed; 0: not known
	Unsettled  bool               // any change of an item may change its detections, even one whose own times are later
	Abandoned  bool               // it has had no event for too long; the next one opens it again
	Traffic    event.TrafficClass // the smallest of its events, valid if Lines is not empty: live if any of them is

	marks    map[uint64]int32   // how many Lines have an identity; built when there are many
	decided  map[useKey]useTime // where in Uses a decision's uses are; built when there are many
	timeline *holds             // the hold intervals, as far as Steps have been read
}

// Mark is an event that began or ended a workflow.
type Mark struct {
	Time event.Time
	ID   string
	Type event.Type
	Set  bool
}

// TypeClaim is the workflow_type claim that holds: of the events that carry one, the earliest by time, then id.
type TypeClaim struct {
	Name   string
	Time   event.Time
	ID     string
	Source string
}

// Holding is what a workflow loaded and dropped of one context item.
type Holding struct {
	Kind, Key string
	Loads     []Load // sorted by time, then so that ties are decided by the resolved seq at judgement: id, as_of
	Drops     []Drop // sorted by time, id

	Through event.Time // event time of the latest load or drop that LoadsPerItem has left out, valid if Cut
	Cut     bool
}

// Load is one REF of a context.loaded or tool.result.
type Load struct {
	Time event.Time
	ID   string // of the event
	Ref  LoadRef
	At   At
}

// LoadRef is a REF without the item it names. Its digest is no part of it: nothing is judged by that.
type LoadRef struct {
	Version         string
	Seq             int64
	AsOf            event.Time
	HasSeq, HasAsOf bool
}

// Drop is one item of a context.dropped.
type Drop struct {
	Time event.Time
	ID   string
}

// Step is one event of those that the hold intervals are made of.
type Step struct {
	Time   event.Time
	ID     string
	Type   event.Type
	CallID string
}

// Line is one event in the timeline.
type Line struct {
	Time   event.Time
	Ident  uint64 // hash of source and id
	Digest uint32 // hash of the whole content
	Type   event.Type
	At     At
}

// Use is one judged use of context: the decision event that holds for its decision id and kind, and what was last said of it.
type Use struct {
	Kind        UseKind
	DecisionID  string
	Time        event.Time
	ID, Source  string
	Data        string // the last tie-break, see tieBreak
	Class       string
	HasClass    bool
	BasedOn     []event.Ref // cloned
	HasBasedOn  bool
	Excess      bool // its based_on names more items than the limit: none of them is kept
	Traffic     event.TrafficClass
	CheckID     string
	TraceParent string
	At          At

	Said Said
}

// Said is what the last revision of a use's verdict said.
type Said struct {
	Revision                  int32  // 0: not final yet
	Digest                    uint64 // of the golden line's fields and check
	Contract                  uint64 // first 8 bytes of the contract's hash
	Verdict                   VerdictKind
	JudgedAt, CompleteThrough event.Time
	Unsettled                 bool // an item of it could not be resolved, or is of an unknown version or source: any change of that item may change it

	Counted string // what it has added to the sums of objectives, as the one who adds them up writes it; "": nothing
}

// Cut says what limits have left out of a workflow. Zero counts mean that nothing was; else they are at least what was left out, and the
// rest says where: nothing up to there is kept, so that what is left out depends on event times alone, not on the order of arrival.
type Cut struct {
	Loads, Uses, Steps, Lines, Items, Refs int64 // how many; what comes again after it was left out counts again

	LoadsThrough event.Time // valid if Items: loads and drops up to here are left out, whatever their item
	StepsThrough event.Time // valid if Steps
	UsesThrough  event.Time // valid if Uses
}

// Limits bound a workflow's row. They are counts: what is left out depends on event times and seqs only.
type Limits struct {
	Items        int // that are held, and that a based_on may name
	LoadsPerItem int // loads of an item, and drops of it
	Loads        int // loads and drops over all items, the latest load and the latest drop of each aside
	Uses         int // decision events
	Refs         int // REFs of their based_on together
	Steps, Lines int

	// Intern, if set, returns a copy of a string that many events share (kinds, keys, versions, types); see Interner.
	Intern func(string) string
}

// Touched says which uses an event may have changed. Workflow.Affected goes through them.
type Touched struct {
	Any      bool       // false: a repetition, or nothing that a verdict rests on
	From, To event.Time // uses with From ≤ t ≤ To; based_on uses are meant from From on, whatever To says
	New      bool       // false: every fact of the event was there already
	Conflict bool       // an event with the same source and id but other content is there

	OnlyStale bool   // only causes can have changed: what is not stale keeps its verdict
	Decision  string // if set, of the uses in the range only those of this decision are meant
	Cut       bool   // a limit has left something out: uses with CutFrom ≤ t ≤ CutTo are meant too
	CutFrom   event.Time
	CutTo     event.Time
	CutLoads  event.Time // stale based_on uses from here on are meant too, valid if Cut
	Orphans   []string   // decisions of which a limit has left the proposal out: their execution is meant too
}

// VerdictKind is fresh, stale or unknown. Unknown is the zero value: what is not said is not fresh.
type VerdictKind uint8

const (
	IsUnknown VerdictKind = iota
	IsFresh
	IsStale
)

// Reason says why an item or a use has its verdict. Reasons are a set, said in this order.
type Reason uint16

const (
	Staleness Reason = 1 << iota
	Versions
	Age
	RetractedVersion
	NoVersion
	UnknownSource
	UnknownVersion
	NoAsOf
	SourceSilent
	HistoryTruncated
	NoContract
	NotLoaded
	NoContext
)

// Cause says whose seconds a staleness or age is made of.
type Cause uint8

const (
	NoCause Cause = iota
	SourceLate
	ConsumerLag
	ServingStale
	HoldApproval
	HoldTool
	HoldRetry
	HoldWaiting
	HoldOther
	SilentSource
)

// Share is a part of an item's staleness or age.
type Share struct {
	Cause Cause
	For   Duration
	Owner string
}

// Verdict is the judgement of one use (or of a workflow's current items at an instant). It is reused from one judgement to the next.
type Verdict struct {
	Kind                            VerdictKind
	Reasons                         Reason // set
	WorkflowType                    string // "" when not known
	Class                           string
	HasClass                        bool
	Staleness, Age                  Duration
	Behind                          int64
	HasStaleness, HasAge, HasBehind bool
	Cause                           Cause
	Owner                           string        // of Cause
	Items                           []ItemVerdict // judged items, sorted by kind, key, seq
	Contract                        *Contract
	Silent                          bool // some item's verdict rests on max_silence

	unsettled bool
	plan      plan
	scratch   *Verdict // for deadlines
}

// ItemVerdict is the judgement of one used item.
type ItemVerdict struct {
	Kind, Key                               string
	Verdict                                 VerdictKind
	Reasons                                 Reason
	Seq                                     int64
	Staleness, Age                          Duration
	Behind                                  int64
	HasSeq, HasStaleness, HasAge, HasBehind bool    // HasStaleness and HasBehind are false when the REF cannot be resolved
	Causes                                  []Share // only where the use is stale

	// Evidence, not judged by.
	Version      string
	AsOf         event.Time
	HasAsOf      bool
	LoadedAt     event.Time
	LoadAt       At
	HasLoad      bool
	Current      *Version   // the greatest seq in force before the instant, nil if none
	SupersededAt event.Time // when the version that came after it first came into force, valid if Superseded: not after the instant
	Superseded   bool

	star   *Version   // the version that superseded it
	loaded event.Time // l
	silent bool       // its source is
}

// Silent says whether the item's source has been silent for too long.
func (iv *ItemVerdict) Silent() bool { return iv.silent }

// SupersededBy returns the version that came into force first of those that are newer than the one used, nil if none has by the instant.
func (iv *ItemVerdict) SupersededBy() *Version { return iv.star }

// Version is one version of a context item. It is read-only once it is in an Item.
type Version struct {
	Seq           int64
	Name          string     // the version string
	Effective     event.Time // e(n)
	Published     event.Time // p(n)
	Time          event.Time // event time of its update
	ID, Source    string
	Data          string // the last tie-break, see tieBreak; not kept in views
	Owner, Digest string
	Change        event.Change
	At            Position
	Chunk         uint32 // arrival number / ChunkSize
}
