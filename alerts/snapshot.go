package alerts

import (
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

// Snapshot is what is known at an instant. A part that is not known (its reader has not caught up) changes nothing: what fires goes on
// firing, and nothing new does.
type Snapshot struct {
	Now      event.Time
	Woken    event.Time // the process has run without a long pause since then
	Contract *slo.File  // in force now

	Partitions []Partition

	Burns      []Burn
	BurnsKnown bool

	Holdings      []Holding
	HoldingsKnown bool

	Sources      []Source // the silent ones
	SourcesKnown bool
}

// Partition is how the clock of one partition of a group stands.
type Partition struct {
	Name    string // group and number, as the metrics have it: freshet-workflows/3
	Applied event.Time
	Live    bool   // its clock has followed wall time: Applied is known
	Why     string // what holds the clock back
}

// Burn is one burn-rate rule of an objective over windows that end now. Only live traffic is in it.
type Burn struct {
	SLO   string
	Rule  slo.BurnRule
	Holds bool // both windows burn at least as fast as the rule says, and there are enough events
	Few   bool // there are fewer events than min_events

	Long, Short Window
	Causes      []Share    // of the bad events of the short window
	Evidence    []Evidence // some of them, worst first
	Open        int64      // open workflows of the type
}

// Window counts the events of one window.
type Window struct {
	Good    int64   `json:"good"`
	Bad     int64   `json:"bad"` // unknown ones included, where they count as bad
	Unknown int64   `json:"unknown"`
	Burn    float64 `json:"burn"`
}

// Share is one cause's part of what is the matter. Each bad use is divided among the causes of its worst item as that item's seconds are,
// so a use that was stale for a week weighs as much as one that was stale for a minute.
type Share struct {
	Cause string
	Owner string
	Parts int64 // in millionths of a use
}

// Evidence is a record of Kafka that shows what is the matter.
type Evidence struct {
	Topic      string `json:"topic"`
	Partition  int32  `json:"partition"`
	Offset     int64  `json:"offset"`
	Workflow   string `json:"workflow,omitempty"`
	DecisionID string `json:"decision_id,omitempty"`
	TraceID    string `json:"trace_id,omitempty"`
}

// Holding is one stale version of an item in the hands of open workflows, under one entry of the contract's detections.
type Holding struct {
	Detection string // name of the entry
	Workflow  string // type
	Kind, Key string
	Seq       int64 // of the version that is current

	Since     event.Time // the bound was crossed, by the first of them
	Count     int64      // workflows that have held it for longer than the entry says
	Waiting   int64      // and for less
	Traffic   event.TrafficClass
	Workflows []string // some of them
	Causes    []Share
	Evidence  []Evidence
	Rests     []string // names of the partitions the workflows live in
}

// Source is an item, or a whole kind if Key is empty, that has been silent for longer than its max_silence.
type Source struct {
	Kind, Key string
	Life      event.Time // last sign of life
	HasLife   bool       // false: there has never been one
	Since     event.Time // it has been too long since then
	Open      int64      // open workflows that hold it
	More      bool       // there may be more of them
	Evidence  []Evidence
	Rests     []string // names of the partitions that say so
}
