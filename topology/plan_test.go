package topology

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/event"
)

func cluster(t *testing.T) (*kgo.Client, *kadm.Client) {
	t.Helper()
	var cfg embedded.Config
	cfg.RegisterFlags(flag.NewFlagSet("", flag.ContinueOnError))
	cfg.Listen = "127.0.0.1:0"
	b, err := embedded.New(cfg, log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := services.StartAndAwaitRunning(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := services.StopAndAwaitTerminated(context.Background(), b); err != nil {
			t.Error(err)
		}
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl, kadm.NewClient(cl)
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func plan(t *testing.T, adm *kadm.Client, g *Graph) []Change {
	t.Helper()
	changes, err := Plan(within(t), adm, g, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// TestApply makes a graph on an empty cluster, and finds it as it should be.
func TestApply(t *testing.T) {
	client, adm := cluster(t)
	g := graph(t, Spec{}, "-topics.prefix=p.")
	var differs *DiffersError
	if err := Ready(within(t), adm, g, "."); !errors.As(err, &differs) || !strings.Contains(err.Error(), "freshet topics apply") {
		t.Fatalf("verify on an empty cluster: %v", err)
	}
	if len(differs.Changes) != len(g.Topics()) {
		t.Errorf("%d changes for %d topics", len(differs.Changes), len(g.Topics()))
	}
	if err := Apply(within(t), client, plan(t, adm, g)); err != nil {
		t.Fatal(err)
	}
	if changes := plan(t, adm, g); len(changes) != 0 {
		t.Errorf("after apply: %v", changes)
	}
	if err := Apply(within(t), client, plan(t, adm, g)); err != nil {
		t.Errorf("apply with nothing to do: %v", err)
	}
	topics, err := adm.ListTopics(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(topics) != len(g.Topics()) {
		t.Errorf("the cluster has %v", topics.Names())
	}
}

// TestAlter changes what can be changed and leaves what an operator has made larger.
func TestAlter(t *testing.T) {
	client, adm := cluster(t)
	g := graph(t, Spec{DecisionRetention: 3 * day})
	if err := Apply(within(t), client, plan(t, adm, g)); err != nil {
		t.Fatal(err)
	}
	set := func(topic, key, value string) {
		t.Helper()
		if _, err := adm.AlterTopicConfigs(within(t), []kadm.AlterConfig{{Name: key, Value: &value}}, topic); err != nil {
			t.Fatal(err)
		}
	}
	set("workflow.tool", "retention.ms", "-1")
	set("workflow.control", "retention.ms", millis(4*day))
	set("freshet.verdicts", "retention.ms", millis(365*day))
	set("freshet-workflows-table", "segment.bytes", "1048576")
	set("context.source", "message.timestamp.type", "LogAppendTime")
	if changes := plan(t, adm, g); len(changes) > 0 {
		t.Errorf("what an operator may do is a difference: %v", changes)
	}
	set("workflow.context", "retention.ms", millis(day))
	set("workflow.decision", "cleanup.policy", "compact")
	set("workflow.tool", "max.message.bytes", "9000000")
	set("freshet-sources-table", "cleanup.policy", "delete")
	changes := plan(t, adm, g)
	var got []string
	for _, c := range changes {
		got = append(got, c.Action.String()+" "+c.Topic+" "+c.What+" "+c.Want)
	}
	same(t, "changes", got,
		"alter workflow.context retention.ms "+millis(7*day), "alter workflow.decision cleanup.policy delete",
		"alter freshet.dead-letter max.message.bytes 9065536", "alter freshet.rekeyed.workflows max.message.bytes 9065536",
		"alter freshet.rekeyed.sources max.message.bytes 9065536", "alter freshet-sources-table cleanup.policy compact")
	if err := Apply(within(t), client, changes); err != nil {
		t.Fatal(err)
	}
	if changes := plan(t, adm, g); len(changes) != 0 {
		t.Errorf("after apply: %v", changes)
	}
}

// TestRefuse finds topics that are not co-partitioned and changes nothing.
func TestRefuse(t *testing.T) {
	client, adm := cluster(t)
	if _, err := adm.CreateTopic(within(t), 3, -1, nil, "workflow.tool"); err != nil {
		t.Fatal(err)
	}
	g := graph(t, Spec{})
	changes := plan(t, adm, g)
	err := Apply(within(t), client, changes)
	if err == nil || !strings.Contains(err.Error(), "workflow.tool: partitions is 3, wanted 8") {
		t.Errorf("apply: %v", err)
	}
	topics, err := adm.ListTopics(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(topics) != 1 {
		t.Errorf("apply was refused and has left %v", topics.Names())
	}
	rekeyed := graph(t, Spec{Topics: []InputTopic{{Name: "workflow.tool", Category: event.Tool, Rekey: true}}})
	if err := Apply(within(t), client, plan(t, adm, rekeyed)); err != nil {
		t.Errorf("a topic that is rekeyed may have any number of partitions: %v", err)
	}
}

func TestSchemaFiles(t *testing.T) {
	client, adm := cluster(t)
	g := graph(t, legacy())
	dir := t.TempDir()
	warned := func() (topics []string) {
		t.Helper()
		changes, err := Plan(within(t), adm, g, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if c.Action == Warn {
				topics = append(topics, c.Topic+" "+c.What)
			}
		}
		return topics
	}
	same(t, "without files", warned(), "workflow.decision schema")
	if err := os.MkdirAll(filepath.Join(dir, "schemas", "decision.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	same(t, "with a directory", warned(), "workflow.decision schema")
	if err := os.Remove(filepath.Join(dir, "schemas", "decision.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "schemas", "decision.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	same(t, "with the file", warned())
	if err := Apply(within(t), client, plan(t, adm, g)); err != nil {
		t.Errorf("warnings stop apply: %v", err)
	}
	missing := t.TempDir()
	if err := Ready(within(t), adm, g, missing); err != nil {
		t.Errorf("a warning keeps the engine from starting: %v", err)
	}
	changes, err := Plan(within(t), adm, g, missing)
	if err != nil || len(changes) == 0 || strings.Contains((&DiffersError{Changes: changes}).Error(), "topics apply") {
		t.Errorf("without the file: %v, %v", changes, err)
	}
	if topics, err := adm.ListTopics(within(t), "legacy.tools"); err != nil || len(topics["legacy.tools"].Partitions) != 8 {
		t.Errorf("a topic to rekey: %v, %v", topics, err)
	}
}

func TestNoCluster(t *testing.T) {
	cl, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:1"), kgo.RetryTimeout(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var differs *DiffersError
	if err := Ready(within(t), kadm.NewClient(cl), graph(t, Spec{}), "."); err == nil || errors.As(err, &differs) {
		t.Errorf("without a cluster: %v", err)
	}
}

// TestPlanText checks what a plan looks like, for clusters described in testdata/plan.txt.
func TestPlanText(t *testing.T) {
	datadriven.RunTest(t, "testdata/plan.txt", func(t *testing.T, d *datadriven.TestData) string {
		have := make(map[string]found)
		for line := range strings.Lines(d.Input) {
			f := strings.Fields(line)
			if len(f) == 0 {
				continue
			}
			h := found{config: make(map[string]string)}
			for _, kv := range f[1:] {
				k, v, _ := strings.Cut(kv, "=")
				switch k {
				case "partitions":
					h.partitions = int(parse(t, v))
				case "replicas":
					h.replicas = int(parse(t, v))
				default:
					h.config[k] = v
				}
			}
			have[f[0]] = h
		}
		var args []string
		for _, a := range d.CmdArgs {
			args = append(args, "-"+a.String())
		}
		spec := Spec{}
		if d.Cmd == "legacy" {
			spec = legacy()
		}
		g := graph(t, spec, args...)
		if strings.Contains(d.Input, "everything") {
			have = asWanted(g)
		}
		return laidOut(t, g.compare(have, func(string) error { return os.ErrNotExist }))
	})
}

func parse(t *testing.T, s string) (n int64) {
	t.Helper()
	for _, c := range s {
		n = n*10 + int64(c-'0')
	}
	return n
}

// asWanted is a cluster on which everything is as the graph says.
func asWanted(g *Graph) map[string]found {
	have := make(map[string]found)
	for _, topic := range g.Topics() {
		h := found{partitions: max(1, int(topic.Partitions)), replicas: 3, config: make(map[string]string)}
		for _, o := range topic.options(0) {
			h.config[o.key] = o.value
		}
		have[topic.Name] = h
	}
	return have
}

// laidOut is a plan as a table, with a last line that says what applying it would do.
func laidOut(t *testing.T, changes []Change) string {
	t.Helper()
	var b, trimmed strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	if len(changes) > 0 {
		fmt.Fprintln(tw, "ACTION\tTOPIC\tWHAT\tIS\tWANTED\tWHY")
	}
	count := make(map[Action]int)
	for _, c := range changes {
		count[c.Action]++
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", c.Action, c.Topic, c.What, dash(c.readable(c.Have)), dash(c.readable(c.Want)), c.Why)
	}
	switch {
	case len(changes) == 0:
		fmt.Fprintln(tw, "The cluster is as the graph says.")
	case count[Refuse] > 0:
		fmt.Fprintf(tw, "\n%d refused: nothing can be applied before that is settled.\n", count[Refuse])
	default:
		fmt.Fprintf(tw, "\n%d to create, %d to alter, %d to be seen to by somebody else.\n", count[Create], count[Alter], count[Warn])
	}
	if err := tw.Flush(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		trimmed.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return trimmed.String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
