package slo

import (
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// File is the whole parsed contract. It is read-only; durations are in milliseconds, and defaults have been filled in.
type File struct {
	Name    string // as Parse was told: errors begin with it
	Version int

	Owners      map[string]*Owner
	Contexts    map[string]*Context  // by kind
	Workflows   map[string]*Workflow // by type
	Topics      []Topic              // as written, sorted by name; TopicSet adds those that are not written
	SLOs        []SLO
	Detections  []Detection
	Maintenance []Maintenance

	topics      map[string]*topic
	partitioner string
	retention   retention
	lateness    map[string]freshness.Duration // by topic, and the rest under "default"
	maxSkew     freshness.Duration

	contract *freshness.Contract
	counting map[string][]*SLO // by workflow type
	topicSet []Topic
	hash     string
}

// Owner is who is paged.
type Owner struct {
	Name         string
	Alertmanager map[string]string // labels of its alerts
	Slack        string            // channel
	PagerDutyKey Secret            // routing key
}

// Context is what is said of a kind of context item.
type Context struct {
	Kind                   string
	Owner, ServingOwner    string
	MaxSilence             freshness.Duration // 0: silence is not judged
	Basis                  freshness.Basis
	Reported               bool // availability: reported
	History, VersionsLimit int
}

// Workflow is what is said of a workflow type.
type Workflow struct {
	Type, Owner string
	Require     []string          // kinds, as written
	Bounds      map[string]Bounds // by kind; "*" is every kind that is not named
	Classes     map[string]Class  // by decision class
}

// Class is what differs for one decision class.
type Class struct {
	Bounds map[string]Bounds
}

// Bounds are the bounds written for a kind.
type Bounds struct {
	MaxStaleness, MaxVersionsBehind, MaxAge Bound
}

// Bound is one bound as it is written. The zero value is one that is not.
type Bound struct {
	Written bool
	Removed bool  // null
	AtMost  int64 // milliseconds or versions
}

// Severity says whether an alert wakes somebody. The zero value is the safe side: it may wait.
type Severity uint8

const (
	Ticket Severity = iota
	Page
)

func (s Severity) String() string {
	switch s {
	case Ticket:
		return "ticket"
	case Page:
		return "page"
	}
	return "unknown"
}

// OnUnknown says what an unknown verdict counts as. The zero value is the safe side.
type OnUnknown uint8

const (
	CountBad OnUnknown = iota
	Exclude
)

func (u OnUnknown) String() string {
	switch u {
	case CountBad:
		return "bad"
	case Exclude:
		return "exclude"
	}
	return "unknown"
}

// SLO is an objective: the share of fresh uses of context over a window.
type SLO struct {
	Name      string
	Workflow  string // type
	Class     string // "": every class
	Use       freshness.UseKind
	Objective float64
	Budget    float64 // the error budget: 1 − Objective, without its rounding error
	Window    freshness.Duration
	OnUnknown OnUnknown
	Owner     string
	Rules     []BurnRule // those that hold, whether written or not: pages first
	MinEvents int        // a window with fewer good and bad uses does not fire
	Runbook   string     // runbook_url

	alerting alerting
}

// Counts says whether a use of the objective's workflow type counts for it. A use without a class has none.
func (s *SLO) Counts(use freshness.UseKind, class string, hasClass bool) bool {
	return s.Use == use && (s.Class == "" || hasClass && s.Class == class)
}

// BurnRule fires when the burn rate is at least Burn over both windows.
type BurnRule struct {
	Severity    Severity
	Burn        float64
	Long, Short freshness.Duration
}

// Detection says when open workflows that hold stale context are an alert.
type Detection struct {
	Name     string
	Workflow string // type
	For      freshness.Duration
	Severity Severity
	Limit    int // workflows of one partition that get a record each for the same stale version
}

// Maintenance is a time in which an owner is not paged.
type Maintenance struct {
	Owner    string
	From, To event.Time // From ≤ t < To
	Reason   string
}

// Topic is an input topic.
type Topic struct {
	Name             string // without the prefix
	Category         event.Category
	Owner            string             // "": nobody's
	Rekey            bool               // copied into topics of the engine's own
	DeadLetter       string             // "": freshet.dead-letter
	Retention        freshness.Duration // 0: not written
	Lateness         freshness.Duration
	Writers, Readers []string // Kafka principals
	Schema           string   // path
}

// topic is a topic as it is written.
type topic struct {
	Topic
	category event.Category
}

// retention is how long what is known is kept.
type retention struct {
	decisions, workflowIdle freshness.Duration
}

// alerting is what is written of an SLO's burn-rate rules.
type alerting struct {
	page, ticket []burnRule
	minEvents    int
	written      bool
}

// Parse reads a contract. name is what errors call the file. secrets looks up the variables of secret fields; where it is nil they are
// left out, which is enough to check a contract or to judge by it. The error is an Errors with everything that is wrong.
func Parse(data []byte, name string, secrets func(string) (string, bool)) (*File, error) {
	f := &File{Name: name}
	r := &reader{file: f, secrets: secrets}
	var written any
	if root, ok := r.document(data); ok {
		written, _ = file().read(r, root, f)
		f.resolveTopics()
		for _, check := range r.checks {
			check()
		}
	}
	if len(r.errs) > 0 {
		return nil, r.errs.sort()
	}
	f.hash = digest(written)
	f.resolveOwners()
	f.contract = f.resolve()
	f.counting = map[string][]*SLO{}
	for i := range f.SLOs {
		s := &f.SLOs[i]
		f.counting[s.Workflow] = append(f.counting[s.Workflow], s)
	}
	return f, nil
}

// Objectives returns the objectives of a workflow type, in the order of the file.
func (f *File) Objectives(workflow string) []*SLO { return f.counting[workflow] }

// Objective returns the objective of a name, nil if there is none.
func (f *File) Objective(name string) *SLO {
	for i := range f.SLOs {
		if f.SLOs[i].Name == name {
			return &f.SLOs[i]
		}
	}
	return nil
}

// Contract returns the contract as the judgement needs it, always the same one.
func (f *File) Contract() *freshness.Contract { return f.contract }

// Hash returns "sha256:" and the hash of what the file says. It does not change with comments, the order of keys or how a value is
// written (60s or 1m), nor with what the variables of secret fields hold.
func (f *File) Hash() string { return f.hash }

// PartitionerName returns murmur2, crc32 or fnv1a.
func (f *File) PartitionerName() string { return f.partitioner }

// DecisionRetention is how long decisions can be amended.
func (f *File) DecisionRetention() freshness.Duration { return f.retention.decisions }

// WorkflowIdle is how long a workflow may be without events before it counts as abandoned.
func (f *File) WorkflowIdle() freshness.Duration { return f.retention.workflowIdle }

// DefaultDetectionLimit holds for workflow types of which no detection says another limit.
const DefaultDetectionLimit = 1000

// DetectionLimit is how many workflows of a type and partition have a record each for the same stale version: the greatest of the type's
// detections.
func (f *File) DetectionLimit(workflowType string) int {
	limit := 0
	for i := range f.Detections {
		if d := &f.Detections[i]; d.Workflow == workflowType {
			limit = max(limit, d.Limit)
		}
	}
	if limit == 0 {
		return DefaultDetectionLimit
	}
	return limit
}

// MaxSkew is how far an event's time may be after its record's timestamp.
func (f *File) MaxSkew() freshness.Duration { return f.maxSkew }

// TopicSet returns every input topic, sorted by category and name: in each category those that are written, else the default one.
func (f *File) TopicSet() []Topic { return f.topicSet }
