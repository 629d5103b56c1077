package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/deadletter"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/query/client"
	"github.com/freshet-io/freshet/topology"
)

// erase asks the engine to erase a workflow.
type erase struct {
	kafka  kafkaFlags
	graph  graphFlags
	server serverFlags
	reason string
	wait   time.Duration
	format cli.Format
}

func workflowsEraseCommand() *cli.Command {
	e := &erase{}
	return &cli.Command{
		Name:    "workflows erase",
		Summary: "have one workflow erased from state, index and compacted topics",
		Usage:   "WORKFLOW",
		About: `Writes one record to a topic of workflow events: the workflow's id as its key, no value, and the header freshet-erase with the reason.
The engine applies it once, like every other input: the workflow's row, its entries in the index, its deadlines and its detections go,
its decisions are no longer named as evidence in the buckets of objectives. What has been counted of it stays counted.

What Kafka keeps by time stays until then: the workflow's events, its verdicts, and dead letters. Events of it that come later, or that the
engine had not read when it applied the record, begin the workflow anew: end its producers first. Erasing twice does no harm.

With -wait the server is asked until the record has been applied. Exit status 1 if that takes longer.`,
		Example: `freshet workflows erase wf-7f3 -reason 'ticket 1234'
freshet workflows erase wf-7f3 -reason 'ticket 1234' -wait 30s`,
		Flags: func(f *flag.FlagSet) {
			e.kafka.register(f)
			e.graph.register(f)
			e.server.register(f)
			f.StringVar(&e.reason, "reason", "", "Who asks for it, or why; required. It stands in the record and in the engine's log.")
			f.DurationVar(&e.wait, "wait", 0, "How long to wait until the engine has applied it. 0: not at all.")
			e.format.RegisterFlags(f)
		},
		Run: e.run,
	}
}

func (e *erase) run(ctx context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) != 1 {
		return cli.Usagef("name one workflow")
	}
	record, err := e.record(args[0])
	if err != nil {
		return err
	}
	graph, err := e.graph.graph()
	if err != nil {
		return err
	}
	at, err := e.send(ctx, graph, record)
	if err != nil {
		return err
	}
	results := e.format.Results(stdio, "WORKFLOW", "RECORD")
	if err := errors.Join(results.Add(map[string]any{"workflow": args[0], "record": at}, args[0], at.String()), results.Flush()); err != nil {
		return err
	}
	if e.wait == 0 {
		return nil
	}
	return e.await(ctx, args[0], at)
}

// record is the record that asks.
func (e *erase) record(workflow string) (*kgo.Record, error) {
	switch {
	case e.reason == "" || len(e.reason) > event.DefaultMaxNameBytes || !utf8.ValidString(e.reason):
		return nil, cli.Usagef("-reason %q: must say who asks for it, or why, in at most %d bytes", e.reason, event.DefaultMaxNameBytes)
	case workflow == "" || len(workflow) > event.DefaultMaxKeyBytes || workflow[0] == 0 || !utf8.ValidString(workflow):
		return nil, cli.Usagef("%q: no workflow can have this id", workflow)
	}
	return &kgo.Record{Key: []byte(workflow), Headers: []kgo.RecordHeader{{Key: event.EraseHeader, Value: []byte(e.reason)}}}, nil
}

// topic is where the record goes: the first topic of workflow events that is not rekeyed, for from there it need not be copied.
func (e *erase) topic(g *topology.Graph) string {
	workflows := slices.DeleteFunc(slices.Clone(g.Inputs), func(t topology.Topic) bool { return t.Category == event.Source })
	if i := slices.IndexFunc(workflows, func(t topology.Topic) bool { return !t.Rekey }); i >= 0 {
		return workflows[i].Name
	}
	return workflows[0].Name
}

func (e *erase) send(ctx context.Context, g *topology.Graph, r *kgo.Record) (deadletter.Place, error) {
	var at deadletter.Place
	client, err := e.kafka.connect(ctx, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return at, err
	}
	defer client.Close()
	r.Topic = e.topic(g)
	listed, err := kadm.NewClient(client).ListTopics(ctx, r.Topic)
	d := listed[r.Topic]
	if err == nil && errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
		return at, fmt.Errorf("topic %s does not exist: freshet topics apply creates what is missing", r.Topic)
	}
	if err = errors.Join(err, d.Err); err != nil {
		return at, cli.Unavailable(fmt.Errorf("describe topic %s: %w", r.Topic, err))
	}
	r.Partition = g.Partitioner.Partition(r.Key, int32(len(d.Partitions)))
	if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
		return at, fmt.Errorf("write to %s: %w", r.Topic, err)
	}
	return deadletter.Place{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, nil
}

// await asks the server until the record is applied.
func (e *erase) await(ctx context.Context, workflow string, at deadletter.Place) error {
	asking, err := e.server.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, e.wait)
	defer cancel()
	pause := time.NewTicker(200 * time.Millisecond)
	defer pause.Stop()
	for ; ; <-pause.C {
		a, err := asking.Check(ctx, client.Request{Workflow: workflow, AtLeast: []client.Position{client.Position(at)}, Wait: time.Second})
		applied := err == nil && !slices.Contains(a.Reasons, notUpToBound) && !slices.Contains(a.Reasons, recovering)
		switch {
		case applied:
			return nil
		case ctx.Err() != nil:
			return cli.Nof("the engine has not applied it within %v", e.wait)
		case err != nil:
			return e.server.asked(err)
		}
	}
}

// Reasons of answers that do not rest on what was written.
const (
	notUpToBound = "not_up_to_bound"
	recovering   = "recovering"
)
