package topology

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/event"
)

var update = flag.Bool("update", false, "write what is generated anew")

func config(t *testing.T, args ...string) Config {
	t.Helper()
	var c Config
	f := flag.NewFlagSet("", flag.ContinueOnError)
	c.RegisterFlags(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	return c
}

func graph(t *testing.T, spec Spec, args ...string) *Graph {
	t.Helper()
	if spec.DecisionRetention == 0 {
		spec.DecisionRetention = day
	}
	g, err := New(config(t, args...), spec)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// legacy is a contract with every exception.
func legacy() Spec {
	return Spec{DecisionRetention: 30 * day, Topics: []InputTopic{
		{Name: "legacy.tools", Category: event.Tool, Owner: "payments", Rekey: true, DeadLetter: "legacy.tools.dead-letter"},
		{Name: "workflow.tool", Category: event.Tool, Owner: "payments"},
		{Name: "workflow.decision", Category: event.Decision, Owner: "payments", Retention: 90 * day, Schema: "schemas/decision.json"},
		{Name: "cdc.policies", Category: event.Source, Rekey: true},
	}}
}

func names(topics []Topic) []string {
	var n []string
	for _, t := range topics {
		n = append(n, t.Name)
	}
	return n
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func TestDefaults(t *testing.T) {
	g := graph(t, Spec{})
	same(t, "inputs", names(g.Inputs), "workflow.control", "workflow.context", "workflow.tool", "workflow.decision", "context.source")
	var used []string
	for _, topic := range g.Topics() {
		used = append(used, topic.Name)
		if one := topic.Name == "freshet.contracts" || topic.Name == "freshet.alerts" || topic.Name == "freshet-alerting-table"; one != (topic.Partitions == 1) || !one && topic.Partitions != 8 {
			t.Errorf("%s has %d partitions", topic.Name, topic.Partitions)
		}
	}
	same(t, "used", used, "workflow.control", "workflow.context", "workflow.tool", "workflow.decision", "context.source",
		"freshet.verdicts", "freshet.detections", "freshet.alerts", "freshet.slo-buckets", "freshet.contracts", "freshet.dead-letter",
		"freshet.rekeyed.workflows", "freshet.rekeyed.sources", "freshet-sources-table", "freshet-workflows-table", "freshet-alerting-table")
	same(t, "workflows read", g.Workflows.Inputs, "freshet.rekeyed.workflows", "workflow.context", "workflow.control", "workflow.decision", "workflow.tool")
	same(t, "workflows write", g.Workflows.Outputs, "freshet.dead-letter", "freshet.detections", "freshet.rekeyed.workflows", "freshet.slo-buckets", "freshet.verdicts")
	same(t, "sources read", g.Sources.Inputs, "context.source", "freshet.rekeyed.sources")
	if g.Rekey != nil || len(g.Groups) != 3 {
		t.Error("a rekey group, and nothing to rekey")
	}
	if c, ok := g.Topic("freshet.contracts"); !ok || c.Partitions != 1 || c.Cleanup != Compact {
		t.Errorf("contracts: %+v", c)
	}
	if d, ok := g.Topic("freshet.dead-letter"); !ok || d.MaxMessageBytes < defaultMaxMessageBytes+65536 || d.Retention != 14*day {
		t.Errorf("dead letters: %+v", d)
	}
	if a, ok := g.Topic("freshet.alerts"); !ok || a.Partitions != 1 || a.Cleanup != Compact {
		t.Errorf("alerts: %+v", a)
	}
}

func TestPrefix(t *testing.T) {
	g := graph(t, legacy(), "-topics.prefix=staging.")
	var all []string
	for _, list := range [][]Topic{g.Inputs, g.Outputs, g.Internal} {
		for _, topic := range list {
			all = append(all, topic.Name)
			if topic.Role == Input {
				all = append(all, topic.DeadLetter)
			}
			if "staging."+topic.Declared != topic.Name {
				t.Errorf("%s is declared as %s", topic.Name, topic.Declared)
			}
		}
	}
	for _, grp := range g.Groups {
		all = append(append(append(all, grp.Name), grp.Inputs...), grp.Outputs...)
		if grp.Table != "" {
			all = append(all, grp.Table)
		}
	}
	for _, name := range all {
		if !strings.HasPrefix(name, "staging.") || strings.HasPrefix(name, "staging.staging.") {
			t.Errorf("%s", name)
		}
	}
}

func TestExceptions(t *testing.T) {
	g := graph(t, legacy(), "-topics.partitions=12", "-topics.source-partitions=4")
	same(t, "inputs", names(g.Inputs), "workflow.control", "workflow.context", "legacy.tools", "workflow.tool", "workflow.decision", "cdc.policies")
	if len(g.Rekey) != 2 {
		t.Fatalf("%d groups rekey two topics", len(g.Rekey))
	}
	same(t, "the first rekey group reads", g.Rekey[0].Inputs, "legacy.tools")
	same(t, "the first rekey group writes", g.Rekey[0].Outputs, "freshet.rekeyed.workflows", "legacy.tools.dead-letter")
	same(t, "the second rekey group reads", g.Rekey[1].Inputs, "cdc.policies")
	same(t, "the second rekey group writes", g.Rekey[1].Outputs, "freshet.dead-letter", "freshet.rekeyed.sources")
	same(t, "sources read", g.Sources.Inputs, "freshet.rekeyed.sources")
	if slices.Contains(g.Workflows.Inputs, "legacy.tools") {
		t.Error("the workflows read a topic that is rekeyed")
	}
	for name, partitions := range map[string]int32{"workflow.tool": 12, "legacy.tools": 0, "cdc.policies": 0, "freshet.rekeyed.sources": 4,
		"freshet-sources-table": 4, "freshet.rekeyed.workflows": 12, "legacy.tools.dead-letter": 12} {
		if topic, ok := g.Topic(name); !ok || topic.Partitions != partitions {
			t.Errorf("%s: %+v, want %d partitions", name, topic, partitions)
		}
	}
	if topic, _ := g.Topic("workflow.decision"); topic.Retention != 90*day || topic.MinRetention != 0 {
		t.Errorf("a declared retention: %+v", topic)
	}
	if topic, _ := g.Topic("workflow.tool"); topic.Retention != 31*day || topic.MinRetention != 30*day {
		t.Errorf("retention under retention.decisions: %+v", topic)
	}
	if g.CategoryOf("legacy.tools") != event.Tool || g.CategoryOf("freshet.verdicts") != event.Unknown || g.CategoryOf("x") != event.Unknown {
		t.Error("categories of topics")
	}
}

func TestRefusedContracts(t *testing.T) {
	for name, c := range map[string]struct {
		topics []InputTopic
		says   string
	}{
		"a name Kafka refuses": {[]InputTopic{{Name: "a/b", Category: event.Tool}}, "'/'"},
		"a name of ours":       {[]InputTopic{{Name: "freshet.verdicts", Category: event.Tool}}, "freshet.verdicts is declared as input and as output"},
		"twice":                {[]InputTopic{{Name: "a", Category: event.Tool}, {Name: "a", Category: event.Decision}}, "a is declared as input and as input"},
		"its own dead letters": {[]InputTopic{{Name: "a", Category: event.Tool, DeadLetter: "a"}}, "a is declared as input and as dead letter"},
		"no category":          {[]InputTopic{{Name: "a"}}, "a of the contract: it has no category"},
		"short retention":      {[]InputTopic{{Name: "a", Category: event.Tool, Retention: hour}}, "retention is 1h"},
		"a long name":          {[]InputTopic{{Name: strings.Repeat("a", 250), Category: event.Tool}}, "longer"},
	} {
		_, err := New(config(t), Spec{Topics: c.topics, DecisionRetention: day})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.says)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct{ arg, says string }{
		{"-topics.partitions=8", ""},
		{"-topics.prefix=staging.", ""},
		{"-topics.prefix=a b", "-topics.prefix"},
		{"-topics.partitions=0", "-topics.partitions is 0"},
		{"-topics.source-partitions=-1", "-topics.source-partitions is -1"},
		{"-topics.replication=99", "-topics.replication is 99"},
		{"-topics.min-insync-replicas=-1", "-topics.min-insync-replicas is -1"},
		{"-topics.max-message-bytes=1", "-topics.max-message-bytes is 1"},
	} {
		cfg := config(t, c.arg)
		err := cfg.Validate()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.arg, err, c.says)
		}
	}
	cfg := config(t, "-topics.replication=2", "-topics.min-insync-replicas=3")
	if err := cfg.Validate(); err == nil {
		t.Error("more replicas in sync than there are")
	}
	for replication, want := range map[string]int{"0": 0, "1": 0, "2": 0, "3": 2, "5": 4} {
		if cfg := config(t, "-topics.replication="+replication); cfg.minInsync() != want {
			t.Errorf("replication %s: min.insync.replicas %d, want %d", replication, cfg.minInsync(), want)
		}
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		Input.String(): "input", Output.String(): "output", DeadLetter.String(): "dead letter", Rekeyed.String(): "rekeyed", Table.String(): "table",
		Role(9).String(): "role(9)", Delete.String(): "delete", Compact.String(): "compact",
		Warn.String(): "warn", Refuse.String(): "refuse", Create.String(): "create", Alter.String(): "alter", Action(9).String(): "action(9)",
		span(7 * day): "7d", span(36 * hour): "36h", span(90 * second): "90s", span(1500): "1500ms", span(-1): "for ever", span(0): "0ms",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestDocs keeps docs/topology.md as the code says.
func TestDocs(t *testing.T) {
	const page = "../docs/topology.md"
	want := graph(t, Spec{}).Markdown()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the code says: run go test ./topology -run TestDocs -update", page)
	}
}

// TestMermaid checks that every node that is drawn is connected, and every edge ends at a node.
func TestMermaid(t *testing.T) {
	g := graph(t, legacy())
	nodes, linked := make(map[string]string), make(map[string]bool)
	for line := range strings.Lines(g.Mermaid()) {
		line = strings.TrimSpace(line)
		if id, label, ok := strings.Cut(line, "["); ok {
			nodes[id] = label
			continue
		}
		if f := strings.Fields(line); len(f) >= 3 && !strings.HasPrefix(line, "classDef") && !strings.HasPrefix(line, "flowchart") {
			linked[f[0]], linked[f[len(f)-1]] = true, true
		}
	}
	if len(nodes) != len(g.Topics())+len(g.Groups) {
		t.Errorf("%d nodes for %d topics and %d groups", len(nodes), len(g.Topics()), len(g.Groups))
	}
	for id := range linked {
		if nodes[id] == "" {
			t.Errorf("an edge ends at %q, which is no node", id)
		}
	}
	for id, label := range nodes {
		if !linked[id] {
			t.Errorf("%s is not connected", label)
		}
	}
}
