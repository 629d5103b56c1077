package topology

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Action is what a difference between the graph and a cluster asks for. The zero value is the one that changes nothing.
type Action uint8

const (
	Warn   Action = iota // somebody else has to act; nothing of the graph rests on it
	Refuse               // cannot be changed without moving records: nothing is applied while there is one
	Create               // the topic does not exist
	Alter                // an entry of the topic's configuration differs
)

func (a Action) String() string {
	switch a {
	case Warn:
		return "warn"
	case Refuse:
		return "refuse"
	case Create:
		return "create"
	case Alter:
		return "alter"
	}
	return fmt.Sprintf("action(%d)", uint8(a))
}

// Change is one difference between the graph and a cluster.
type Change struct {
	Action Action `json:"action"`
	Topic  string `json:"topic"`
	What   string `json:"what"` // the configuration's name, or "topic", "partitions", "replication", "schema"
	Have   string `json:"have"` // "" when there is nothing
	Want   string `json:"want"`
	Why    string `json:"why"`

	topic     *Topic
	minInsync int
}

func (c Change) String() string {
	s := fmt.Sprintf("%s %s: %s", c.Action, c.Topic, c.What)
	if c.Have != "" {
		s += " is " + c.readable(c.Have)
	}
	if c.Want != "" {
		s += ", wanted " + c.readable(c.Want)
	}
	if c.Why != "" {
		s += " (" + c.Why + ")"
	}
	return s
}

// readable writes settings in milliseconds as durations.
func (c Change) readable(value string) string {
	if ms, err := strconv.ParseInt(value, 10, 64); err == nil && strings.HasSuffix(c.What, ".ms") {
		return span(freshness.Duration(ms))
	}
	return value
}

// found is what a cluster has of one topic.
type found struct {
	partitions, replicas int
	config               map[string]string
}

// Plan returns what would have to change for the cluster to be as the graph says, in the order of Graph.Topics. The paths of schema
// files are taken relative to dir.
func Plan(ctx context.Context, adm *kadm.Client, g *Graph, dir string) ([]Change, error) {
	have, err := look(ctx, adm, g)
	if err != nil {
		return nil, err
	}
	return g.compare(have, func(schema string) error {
		if !filepath.IsAbs(schema) {
			schema = filepath.Join(dir, schema)
		}
		info, err := os.Stat(schema)
		if err == nil && info.IsDir() {
			err = errors.New("it is a directory")
		}
		return err
	}), nil
}

// DiffersError says that a cluster is not as the graph says.
type DiffersError struct{ Changes []Change }

func (e *DiffersError) Error() string {
	const shown = 5
	var b strings.Builder
	fmt.Fprintf(&b, "the cluster's topics differ from the graph in %d points", len(e.Changes))
	for i, c := range e.Changes {
		if i == shown {
			fmt.Fprintf(&b, "; and %d more", len(e.Changes)-shown)
			break
		}
		b.WriteString("; " + c.String())
	}
	if slices.ContainsFunc(e.Changes, func(c Change) bool { return c.Action == Create || c.Action == Alter }) {
		b.WriteString(": run `freshet topics plan`, then `freshet topics apply`, with the same flags")
	}
	return b.String()
}

// Ready returns a *DiffersError if the cluster is not as the graph says, another error if that could not be found out. Warnings do not keep
// anybody from working on it.
func Ready(ctx context.Context, adm *kadm.Client, g *Graph, dir string) error {
	changes, err := Plan(ctx, adm, g, dir)
	if err != nil {
		return err
	}
	changes = slices.DeleteFunc(changes, func(c Change) bool { return c.Action == Warn })
	if len(changes) > 0 {
		return &DiffersError{Changes: changes}
	}
	return nil
}

// look reads what the cluster has of the graph's topics.
func look(ctx context.Context, adm *kadm.Client, g *Graph) (map[string]found, error) {
	var names []string
	for _, t := range g.Topics() {
		names = append(names, t.Name)
	}
	// kadm answers from its client's memory, which does not know a topic that was created a moment ago, but for requests that ask for
	// authorised operations.
	details, err := adm.ListTopics(kadm.WithAuthorizedOps(ctx), names...)
	if err != nil {
		return nil, fmt.Errorf("list the cluster's topics: %w", err)
	}
	have := make(map[string]found)
	var exist []string
	for name, d := range details {
		if errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if d.Err != nil {
			return nil, fmt.Errorf("describe topic %s: %w", name, d.Err)
		}
		have[name] = found{partitions: len(d.Partitions), replicas: d.Partitions.NumReplicas(), config: make(map[string]string)}
		exist = append(exist, name)
	}
	if len(exist) == 0 {
		return have, nil
	}
	configs, err := adm.DescribeTopicConfigs(ctx, exist...)
	if err != nil {
		return nil, fmt.Errorf("describe the configuration of the cluster's topics: %w", err)
	}
	for _, rc := range configs {
		if rc.Err != nil {
			return nil, fmt.Errorf("describe the configuration of topic %s: %w", rc.Name, rc.Err)
		}
		for _, c := range rc.Configs {
			have[rc.Name].config[c.Key] = c.MaybeValue()
		}
	}
	return have, nil
}

// compare is the decision behind Plan: a function of what the cluster has.
func (g *Graph) compare(have map[string]found, schema func(path string) error) []Change {
	var changes []Change
	largest := g.largestInput(have)
	for _, t := range g.Topics() {
		if copies := t.Role == DeadLetter || t.Role == Rekeyed; copies && t.MaxMessageBytes < largest+headroom {
			grown := *t
			grown.MaxMessageBytes = largest + headroom
			t = &grown
		}
		changes = append(changes, g.compareTopic(t, have)...)
		if t.Schema != "" {
			if err := schema(t.Schema); err != nil {
				changes = append(changes, Change{Action: Warn, Topic: t.Name, What: "schema", Want: t.Schema, Why: err.Error()})
			}
		}
	}
	return changes
}

func (g *Graph) compareTopic(t *Topic, have map[string]found) []Change {
	h, exists := have[t.Name]
	if !exists {
		made := *t
		if t.Partitions == 0 {
			made.Partitions = int32(g.Config.Partitions) // any number will do
		}
		return []Change{{Action: Create, Topic: t.Name, What: "topic", Want: made.describe(), topic: &made, minInsync: g.Config.minInsync()}}
	}
	var changes []Change
	if t.Partitions != 0 && h.partitions != int(t.Partitions) {
		changes = append(changes, Change{Action: Refuse, Topic: t.Name, What: "partitions", Have: strconv.Itoa(h.partitions),
			Want: strconv.Itoa(int(t.Partitions)), Why: g.partitionsWhy(t)})
	}
	if t.Replication > 0 && h.replicas < int(t.Replication) {
		changes = append(changes, Change{Action: Warn, Topic: t.Name, What: "replication", Have: strconv.Itoa(h.replicas),
			Want: strconv.Itoa(int(t.Replication)), Why: "add replicas with the cluster's own tools"})
	}
	for _, o := range t.options(0) {
		if got := h.config[o.key]; !o.met(got) {
			changes = append(changes, Change{Action: Alter, Topic: t.Name, What: o.key, Have: got, Want: o.value, Why: o.why(t), topic: t})
		}
	}
	return changes
}

// largestInput is the largest max.message.bytes among the inputs, of the cluster where they exist.
func (g *Graph) largestInput(have map[string]found) int32 {
	var largest int32
	for i := range g.Inputs {
		n := g.Inputs[i].MaxMessageBytes
		if h, ok := have[g.Inputs[i].Name]; ok {
			if v, err := strconv.ParseInt(h.config["max.message.bytes"], 10, 32); err == nil {
				n = int32(v)
			}
		}
		largest = max(largest, n)
	}
	return largest
}

func (g *Graph) partitionsWhy(t *Topic) string {
	flag := "-topics.partitions"
	if t.Category == event.Source {
		flag = "-topics.source-partitions"
	}
	switch {
	case t.Role == Input:
		return "keys would move: set " + flag + " to what the inputs have, or declare the topic rekey: true"
	case t.Name == g.Contracts:
		return "contracts are in one order: delete the topic, which holds nothing but contracts, and apply again"
	}
	return "keys would move: set " + flag + " to what the topics have"
}

// met says whether what a cluster has satisfies the option.
func (o *option) met(got string) bool {
	switch o.rule {
	case exactly:
		return got == o.value
	case atLeast:
		least := o.least
		if least == "" {
			least = o.value
		}
		g, err := strconv.ParseInt(got, 10, 64)
		if err != nil {
			return false
		}
		w, err := strconv.ParseInt(least, 10, 64)
		return err == nil && (g < 0 || w >= 0 && g >= w)
	}
	return true
}

func (o *option) why(t *Topic) string {
	switch o.key {
	case "cleanup.policy":
		if t.Cleanup == Delete {
			return "compaction would drop events that later ones do not replace"
		}
		return "the latest record of every key has to stay"
	case "retention.ms":
		if t.Role == Input && t.MinRetention != 0 {
			return "decisions rest on its records for " + span(t.MinRetention) + " (retention.decisions)"
		}
		if t.MinRetention == 0 {
			return "the contract says so"
		}
	case "max.message.bytes":
		if t.Role == DeadLetter || t.Role == Rekeyed {
			return "a copy of the largest input, with its headers, has to fit"
		}
	case "delete.retention.ms":
		return "an instance that comes back has to see what was deleted meanwhile"
	}
	return ""
}

// describe says how a topic is created.
func (t *Topic) describe() string {
	s := fmt.Sprintf("%d partitions, %s", t.Partitions, t.Cleanup)
	if t.Cleanup == Delete {
		s += " after " + span(t.Retention)
	}
	return s
}
