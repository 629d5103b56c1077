package freshness

import "github.com/freshet-io/freshet/event"

// Duration is a length of time in milliseconds.
type Duration int64

// Seconds returns d in seconds.
func (d Duration) Seconds() float64 { return float64(d) / 1000 }

// Basis says when a version counts as in force.
type Basis uint8

const (
	BySource    Basis = iota // from its effective_at
	ByPublished              // from when it was published
)

// Context is what the contract says of a kind of context item.
type Context struct {
	Owner, ServingOwner string   // ServingOwner defaults to Owner
	MaxSilence          Duration // valid if HasMaxSilence
	HasMaxSilence       bool
	Basis               Basis
	Reported            bool // availability: reported
	History             int  // versions a use can look back
	VersionsLimit       int  // versions kept of an item
}

// Bounds are what a judged item may be at most. A bound that is not set judges nothing.
type Bounds struct {
	MaxStaleness, MaxAge              Duration
	MaxVersionsBehind                 int64
	HasStaleness, HasVersions, HasAge bool
}

// Rules are what the contract says of a workflow type, for one decision class.
type Rules struct {
	Owner   string
	Require []string // kinds that must be in the use set, sorted
	// Kinds holds the bounds of the kinds that are named, "*" those of every other kind. A kind that is not judged has no entry, or is
	// shielded from "*" by an entry with Judged false.
	Kinds map[string]KindBounds
}

// KindBounds are the bounds that hold for one kind after the class has been laid over the workflow's own.
type KindBounds struct {
	Bounds Bounds
	Judged bool
}

// Contract is the contract as the judgement needs it, resolved and read-only.
type Contract struct {
	Hash string // sha256:…
	// Contexts is what is said of each kind that is declared; ContextOf also answers for one that is met only through "*".
	Contexts map[string]*Context
	// Classes is indexed by workflow type, then by decision class; "" is the entry for every class not named.
	Classes map[string]map[string]*Rules
}

// Rules returns the rules for a workflow type and a decision class, nil if the contract does not name the type.
func (c *Contract) Rules(workflowType, class string) *Rules {
	classes := c.Classes[workflowType]
	if r := classes[class]; r != nil {
		return r
	}
	return classes[""]
}

// ContextOf returns what holds for a kind: what the contract says of it, or, for a kind that is met only through "*", the workflow's
// owner and the defaults.
func (c *Contract) ContextOf(kind, workflowOwner string) Context {
	if said := c.Contexts[kind]; said != nil {
		return *said
	}
	return Context{Owner: workflowOwner, ServingOwner: workflowOwner, History: DefaultHistory, VersionsLimit: DefaultVersionsLimit}
}

// Position is where a record lies in Kafka.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Sources is what the judgement reads context items from.
type Sources interface {
	// Item returns what is known of an item, nil if nothing is. The item is read-only.
	Item(kind, key string) *Item
	// KindLife returns the last sign of life of a whole kind: the greatest min(through, time) of its kind-wide heartbeats.
	KindLife(kind string) (event.Time, bool)
}
