package topology

import (
	"fmt"
	"strconv"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Role says what part a topic plays in the graph. The zero value is a topic Freshet only reads.
type Role uint8

const (
	Input      Role = iota // written by others
	Output                 // written for others
	DeadLetter             // records that cannot be used, as they were received
	Rekeyed                // copies of records that lie where their key does not say
	Table                  // the changelog of a group's state
)

func (r Role) String() string {
	switch r {
	case Input:
		return "input"
	case Output:
		return "output"
	case DeadLetter:
		return "dead letter"
	case Rekeyed:
		return "rekeyed"
	case Table:
		return "table"
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// Cleanup is a topic's cleanup.policy.
type Cleanup uint8

const (
	Delete Cleanup = iota
	Compact
)

func (c Cleanup) String() string {
	if c == Compact {
		return "compact"
	}
	return "delete"
}

// Topic is one topic of the graph.
type Topic struct {
	Name     string // as the cluster knows it, with the prefix
	Declared string // as the contract and the documentation name it, without the prefix
	Role     Role
	Category event.Category // of inputs, and Source for what is keyed by context item
	Key      string         // what its records are keyed by
	Owner    string         // "" for Freshet's own
	Doc      string
	Used     bool // false: a name that is reserved; this release neither writes nor reads the topic, and does not create it

	Partitions      int32 // 0: any number, for inputs that are rekeyed
	Replication     int16 // for creating; -1: the broker's default
	Cleanup         Cleanup
	Retention       freshness.Duration // for Delete: how long records are kept, at creation
	MinRetention    freshness.Duration // what a cluster must keep at least; 0: Retention exactly, because the contract says so
	MaxMessageBytes int32              // at creation; of inputs every value is accepted, of Freshet's own topics every greater one

	// Inputs only.
	Rekey      bool
	DeadLetter string // name, with the prefix, of the topic its dead letters go to
	Lateness   freshness.Duration
	Writers    []string
	Readers    []string
	Schema     string // path of a schema file, as in the contract
}

// rule says how an option is compared with what a cluster has.
type rule uint8

const (
	atCreation rule = iota // not at all: the operator may tune it afterwards
	exactly
	atLeast // numbers; -1 is without limit
)

// option is one entry of a topic's configuration.
type option struct {
	key, value string
	least      string // for atLeast: "" is value
	rule       rule
}

// TombstonesKept is how long a compacted topic tells of a deletion. Rows that are older are not caught up, but restored.
const TombstonesKept = 7 * day

// options is the configuration a topic is created with.
func (t *Topic) options(minInsync int) []option {
	ownExactly, ownAtLeast := exactly, atLeast
	if t.Role == Input {
		ownExactly, ownAtLeast = atCreation, atCreation
	}
	o := []option{{key: "cleanup.policy", value: t.Cleanup.String(), rule: exactly}}
	if t.Cleanup == Delete {
		keep := option{key: "retention.ms", value: millis(t.Retention), rule: exactly}
		if t.MinRetention != 0 {
			keep.least, keep.rule = millis(t.MinRetention), atLeast
		}
		o = append(o, keep)
	}
	o = append(o,
		option{key: "max.message.bytes", value: strconv.Itoa(int(t.MaxMessageBytes)), rule: ownAtLeast},
		// CreateTime, because `load` says with the record's time when a past event was published. An input that has LogAppendTime is
		// accepted: its clocks are the better ones.
		option{key: "message.timestamp.type", value: "CreateTime", rule: ownExactly},
	)
	if t.Cleanup == Compact {
		o = append(o,
			// An instance may come back with a store as old as this; a deleted key whose tombstone has gone by then would rise again.
			option{key: "delete.retention.ms", value: millis(TombstonesKept), rule: atLeast},
			// Restoring reads the whole topic, so closed segments are small and cleaned early.
			option{key: "segment.bytes", value: strconv.Itoa(32 << 20)},
			option{key: "segment.ms", value: millis(day)},
			option{key: "min.cleanable.dirty.ratio", value: "0.3"},
		)
	}
	if minInsync > 0 {
		o = append(o, option{key: "min.insync.replicas", value: strconv.Itoa(minInsync)})
	}
	return o
}

func millis(d freshness.Duration) string { return strconv.FormatInt(int64(d), 10) }

const (
	second freshness.Duration = 1000
	hour                      = 3600 * second
	day                       = 24 * hour
)

// span writes a duration as Prometheus does, in the largest unit that divides it; -1 is for ever.
func span(d freshness.Duration) string {
	if d < 0 {
		return "for ever"
	}
	for _, u := range []struct {
		of   freshness.Duration
		name string
	}{{day, "d"}, {hour, "h"}, {60 * second, "m"}, {second, "s"}} {
		if d%u.of == 0 && d > 0 {
			return strconv.FormatInt(int64(d/u.of), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(d), 10) + "ms"
}
