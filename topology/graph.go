package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Names of Freshet's own topics and groups, without the prefix.
const (
	VerdictsTopic         = "freshet.verdicts"
	DetectionsTopic       = "freshet.detections"
	AlertsTopic           = "freshet.alerts"
	BucketsTopic          = "freshet.slo-buckets"
	ContractsTopic        = "freshet.contracts"
	DeadLetterTopic       = "freshet.dead-letter"
	RekeyedWorkflowsTopic = "freshet.rekeyed.workflows"
	RekeyedSourcesTopic   = "freshet.rekeyed.sources"

	SourcesGroup   = "freshet-sources"
	WorkflowsGroup = "freshet-workflows"
	AlertingGroup  = "freshet-alerting"
	RekeyGroup     = "freshet-rekey" // and the topic, as declared
)

// Virtual inputs are not topics of the cluster: their messages are made in the process, for a partition it owns.
const (
	ClockInput  = "~clock"  // the partition's clock has moved: what is due by it is done
	SourceInput = "~source" // an item that the workflow holds or used has changed
	TickInput   = "~tick"   // alerts are evaluated
)

// Spec is what the graph takes from a contract.
type Spec struct {
	Topics            []InputTopic
	DecisionRetention freshness.Duration // 0: the default, 24h
	Partitioner       Partitioner
}

// InputTopic is one entry of a contract's `topics`. Names are without the prefix.
type InputTopic struct {
	Name             string
	Category         event.Category
	Owner            string
	Rekey            bool
	DeadLetter       string             // "": DeadLetterTopic
	Retention        freshness.Duration // 0: not said
	Lateness         freshness.Duration
	Writers, Readers []string
	Schema           string
}

// Group is one consumer group and the state it owns.
type Group struct {
	Name       string   // with the prefix
	Inputs     []string // topics of the cluster, with the prefix, sorted
	Virtual    []string // virtual inputs
	Outputs    []string // topics it writes beside its table, with the prefix
	Table      string   // changelog topic; "": the group has no state
	Partitions int32    // of its inputs and its table; 0: its inputs differ
}

// Graph is the whole: every topic and group by its full name. It is read-only once it is made.
type Graph struct {
	Config      Config
	Partitioner Partitioner
	Retention   freshness.Duration // of decisions: what inputs must keep

	Inputs   []Topic // written by others
	Outputs  []Topic // written for others, dead letters included
	Internal []Topic // rekeyed copies and tables
	Groups   []Group

	Sources, Workflows Group
	Alerting           Group   // reads the contracts for their one partition: whoever has it evaluates and dispatches
	Rekey              []Group // one for each topic that is declared to be rekeyed

	Verdicts, Detections, Alerts, Buckets, Contracts, DeadLetters string // names with the prefix
	RekeyedWorkflows, RekeyedSources                              string

	byName map[string]*Topic
}

// retention of what Freshet writes (SPEC 4), and of inputs of which nothing is said.
const (
	verdictsRetention   = 7 * day
	deadLetterRetention = 14 * day
	minInputRetention   = 7 * day
)

// RowBytes is the largest record of a table, a verdict or a contract. Their size is bounded by counts, far below this.
const RowBytes = 8 << 20

// headroom is what a copy may have more than the record it copies: its headers (SPEC 1.3).
const headroom = 64 << 10

// New makes the graph of what a contract says.
func New(cfg Config, in Spec) (*Graph, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if in.DecisionRetention == 0 {
		in.DecisionRetention = day // SPEC 2.5
	}
	g := &Graph{Config: cfg, Partitioner: in.Partitioner, Retention: in.DecisionRetention}
	g.name()
	topics := withDefaults(in.Topics)
	for i := range topics {
		t, err := g.input(&topics[i])
		if err != nil {
			return nil, fmt.Errorf("topic %s of the contract: %w", topics[i].Name, err)
		}
		g.Inputs = append(g.Inputs, t)
	}
	slices.SortFunc(g.Inputs, func(a, b Topic) int {
		if a.Category != b.Category {
			return int(a.Category) - int(b.Category)
		}
		return strings.Compare(a.Name, b.Name)
	})
	g.outputs()
	g.group()
	g.internal()
	return g, g.index()
}

// Topic returns a topic by its full name.
func (g *Graph) Topic(name string) (*Topic, bool) {
	t, ok := g.byName[name]
	return t, ok
}

// Name returns the full name of a topic or group of the documentation.
func (g *Graph) Name(declared string) string { return g.Config.Prefix + declared }

// Topics returns every topic that is used: inputs, then outputs, then the internal ones.
func (g *Graph) Topics() []*Topic {
	var all []*Topic
	for _, list := range [][]Topic{g.Inputs, g.Outputs, g.Internal} {
		for i := range list {
			if list[i].Used {
				all = append(all, &list[i])
			}
		}
	}
	return all
}

// CategoryOf returns what an input topic carries, event.Unknown for every other topic. Rekeyed copies have many categories: each says
// in its headers which topic it was read from.
func (g *Graph) CategoryOf(topic string) event.Category {
	if t, ok := g.byName[topic]; ok && t.Role == Input {
		return t.Category
	}
	return event.Unknown
}

func (g *Graph) name() {
	g.Verdicts, g.Detections, g.Alerts = g.Name(VerdictsTopic), g.Name(DetectionsTopic), g.Name(AlertsTopic)
	g.Buckets, g.Contracts, g.DeadLetters = g.Name(BucketsTopic), g.Name(ContractsTopic), g.Name(DeadLetterTopic)
	g.RekeyedWorkflows, g.RekeyedSources = g.Name(RekeyedWorkflowsTopic), g.Name(RekeyedSourcesTopic)
}

// defaultInputs are the topics of SPEC 1.1.
func defaultInputs() []InputTopic {
	return []InputTopic{
		{Name: "workflow.control", Category: event.Control},
		{Name: "workflow.context", Category: event.Context},
		{Name: "workflow.tool", Category: event.Tool},
		{Name: "workflow.decision", Category: event.Decision},
		{Name: "context.source", Category: event.Source},
	}
}

// withDefaults adds the topic of SPEC 1.1 for each category that has none.
func withDefaults(topics []InputTopic) []InputTopic {
	topics = slices.Clone(topics)
	for _, d := range defaultInputs() {
		if !slices.ContainsFunc(topics, func(t InputTopic) bool { return t.Category == d.Category }) {
			d.Lateness = 5 * second
			topics = append(topics, d)
		}
	}
	return topics
}

func (g *Graph) input(in *InputTopic) (Topic, error) {
	t := Topic{
		Name: g.Name(in.Name), Declared: in.Name, Role: Input, Category: in.Category, Owner: in.Owner, Used: true,
		Key: "workflow id", Partitions: int32(g.Config.Partitions), Replication: g.replication(),
		Retention: max(minInputRetention, g.Retention+day), MinRetention: g.Retention,
		MaxMessageBytes: int32(g.Config.MaxMessageBytes), Rekey: in.Rekey, DeadLetter: g.DeadLetters,
		Lateness: in.Lateness, Writers: in.Writers, Readers: in.Readers, Schema: in.Schema,
	}
	switch in.Category {
	case event.Control:
		t.Doc = "state transitions of the workflow"
	case event.Context:
		t.Doc = "what the workflow saw"
	case event.Tool:
		t.Doc = "calls to external systems and their results"
	case event.Decision:
		t.Doc = "proposed, approved, executed actions"
	case event.Source:
		t.Doc, t.Key = "the upstream truth changed, or was confirmed", "kind/key"
		t.Partitions = int32(g.Config.sourcePartitions())
	default:
		return t, fmt.Errorf("it has no category: use control, context, tool, decision or source")
	}
	if in.Rekey {
		t.Partitions, t.Key = 0, "any"
	}
	if in.DeadLetter != "" {
		t.DeadLetter = g.Name(in.DeadLetter)
	}
	if in.Retention != 0 {
		if in.Retention > 0 && in.Retention < g.Retention {
			return t, fmt.Errorf("retention is %s: decisions are kept, and rest on its records, for %s (retention.decisions)", span(in.Retention), span(g.Retention))
		}
		t.Retention, t.MinRetention = in.Retention, 0
	}
	return t, nil
}

func (g *Graph) replication() int16 {
	if g.Config.Replication == 0 {
		return -1
	}
	return int16(g.Config.Replication)
}

// own is a topic that only Freshet writes. Each takes the largest copy of an input record: one producer writes to all of them, and a batch
// that it may build for one topic must fit into any other.
func (g *Graph) own(name string, role Role, key, doc string) Topic {
	return Topic{
		Name: name, Declared: strings.TrimPrefix(name, g.Config.Prefix), Role: role, Key: key, Doc: doc, Used: true,
		Partitions: int32(g.Config.Partitions), Replication: g.replication(), MaxMessageBytes: g.largestCopy(),
	}
}

func (g *Graph) outputs() {
	verdicts := g.own(g.Verdicts, Output, "workflow id", "every revision of every final verdict")
	verdicts.Retention, verdicts.MinRetention = verdictsRetention, verdictsRetention
	detections := g.own(g.Detections, Output, "detection id", "open and closed stale contexts of open workflows")
	detections.Cleanup = Compact
	alerts := g.own(g.Alerts, Output, "alert id", "level-triggered alert rows")
	alerts.Cleanup, alerts.Partitions = Compact, 1
	buckets := g.own(g.Buckets, Output, "slo/partition/bucket", "good, bad, unknown per SLO, partition and event-time bucket")
	buckets.Cleanup = Compact
	contracts := g.own(g.Contracts, Output, "hash/since", "contracts, and since when each is in force")
	contracts.Cleanup, contracts.Partitions = Compact, 1
	g.Outputs = []Topic{verdicts, detections, alerts, buckets, contracts}

	names := []string{g.DeadLetters}
	for i := range g.Inputs {
		names = append(names, g.Inputs[i].DeadLetter)
	}
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		d := g.own(n, DeadLetter, "as received", "records that cannot be used")
		d.Retention, d.MinRetention = deadLetterRetention, deadLetterRetention
		g.Outputs = append(g.Outputs, d)
	}
}

// largestCopy is what topics take that may hold copies of input records.
func (g *Graph) largestCopy() int32 {
	return int32(max(RowBytes, g.Config.MaxMessageBytes+headroom))
}

// BatchBytes is the largest batch that is written to a topic of Freshet's own.
func (g *Graph) BatchBytes() int32 { return g.largestCopy() - 4096 }

func (g *Graph) group() {
	g.Sources = Group{Name: g.Name(SourcesGroup), Virtual: []string{ClockInput}, Inputs: []string{g.RekeyedSources},
		Partitions: int32(g.Config.sourcePartitions())}
	g.Workflows = Group{Name: g.Name(WorkflowsGroup), Virtual: []string{ClockInput, SourceInput},
		Inputs: []string{g.RekeyedWorkflows}, Outputs: []string{g.Verdicts, g.Detections, g.Buckets}, Partitions: int32(g.Config.Partitions)}
	for i := range g.Inputs {
		t := &g.Inputs[i]
		reader, copies := &g.Workflows, g.RekeyedWorkflows
		if t.Category == event.Source {
			reader, copies = &g.Sources, g.RekeyedSources
		}
		if t.Rekey { // topics with different numbers of partitions cannot share a group
			g.Rekey = append(g.Rekey, Group{Name: g.Name(RekeyGroup) + "." + t.Declared, Virtual: []string{ClockInput}})
			reader = &g.Rekey[len(g.Rekey)-1]
		}
		reader.Inputs = append(reader.Inputs, t.Name)
		// Copies go out from the rekey group, and from the groups themselves for a record in the wrong partition.
		reader.Outputs = append(reader.Outputs, copies, t.DeadLetter)
	}
	g.Sources.Table, g.Workflows.Table = g.Sources.Name+"-table", g.Workflows.Name+"-table"
	g.Alerting = Group{Name: g.Name(AlertingGroup), Virtual: []string{TickInput}, Inputs: []string{g.Contracts}, Outputs: []string{g.Alerts}, Partitions: 1}
	g.Alerting.Table = g.Alerting.Name + "-table"
	groups := []*Group{&g.Sources, &g.Workflows, &g.Alerting}
	for i := range g.Rekey {
		groups = append(groups, &g.Rekey[i])
	}
	for _, grp := range groups {
		slices.Sort(grp.Inputs)
		slices.Sort(grp.Outputs)
		grp.Outputs = slices.Compact(grp.Outputs)
		g.Groups = append(g.Groups, *grp)
	}
}

func (g *Graph) internal() {
	rw := g.own(g.RekeyedWorkflows, Rekeyed, "workflow id", "copies of workflow records that lay elsewhere")
	rs := g.own(g.RekeyedSources, Rekeyed, "kind/key", "copies of source records that lay elsewhere")
	for _, t := range []*Topic{&rw, &rs} {
		t.Retention, t.MinRetention = max(minInputRetention, g.Retention+day), g.Retention
	}
	st := g.own(g.Sources.Table, Table, "kind/key", "versions of every context item, their signs of life, the clock of each partition")
	wt := g.own(g.Workflows.Table, Table, "workflow id", "what is known of every workflow, the cursor of each partition")
	st.Cleanup, wt.Cleanup = Compact, Compact
	for _, t := range []*Topic{&rs, &st} {
		t.Category, t.Partitions = event.Source, int32(g.Config.sourcePartitions())
	}
	at := g.own(g.Alerting.Table, Table, "alert id", "alerts, and who has been told of each")
	at.Cleanup, at.Partitions = Compact, 1
	g.Internal = []Topic{rw, rs, st, wt, at}
}

// index checks the names, with the prefix, and makes them findable.
func (g *Graph) index() error {
	g.byName = make(map[string]*Topic)
	for _, list := range [][]Topic{g.Inputs, g.Outputs, g.Internal} {
		for i := range list {
			t := &list[i]
			if err := checkName(t.Name); err != nil {
				return fmt.Errorf("topic %s: %w", t.Declared, err)
			}
			if other, taken := g.byName[t.Name]; taken {
				return fmt.Errorf("topic %s is declared as %s and as %s: a topic has one part in the graph", t.Declared, other.Role, t.Role)
			}
			g.byName[t.Name] = t
		}
	}
	return nil
}
