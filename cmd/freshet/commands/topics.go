package commands

import (
	"context"
	"flag"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/topology"
)

// topics is what plan, apply and verify have in common: a cluster and the graph it is held against.
type topics struct {
	kafka  kafkaFlags
	graph  graphFlags
	format cli.Format
}

func (t *topics) register(f *flag.FlagSet) {
	t.kafka.register(f)
	t.graph.register(f)
	t.format.RegisterFlags(f)
}

func topicsPlanCommand() *cli.Command {
	t := &topics{}
	return &cli.Command{
		Name:    "topics plan",
		Summary: "say what would change for a cluster to be as the stream graph says",
		Example: "freshet topics plan -kafka.brokers kafka:9092 -contracts.file contracts.yaml",
		Flags:   t.register,
		Run: t.with(func(_ context.Context, _ *kgo.Client, changes []topology.Change, stdio *cli.Stdio) error {
			return t.show(changes, stdio)
		}),
	}
}

func topicsApplyCommand() *cli.Command {
	t := &topics{}
	return &cli.Command{
		Name:    "topics apply",
		Summary: "create what is missing on a cluster, change what can be changed",
		About: `Makes the changes that freshet topics plan shows, and shows them. While one of them cannot be made without moving records (a topic
with another number of partitions), nothing is changed and the exit status is 1.`,
		Example: "freshet topics apply -kafka.brokers kafka:9092 -contracts.file contracts.yaml -topics.partitions 24 -topics.replication 3",
		Flags:   t.register,
		Run: t.with(func(ctx context.Context, client *kgo.Client, changes []topology.Change, stdio *cli.Stdio) error {
			if err := t.show(changes, stdio); err != nil {
				return err
			}
			for _, c := range changes {
				if c.Action == topology.Refuse {
					return cli.Nof("%w", topology.Apply(ctx, client, changes))
				}
			}
			return topology.Apply(ctx, client, changes)
		}),
	}
}

func topicsVerifyCommand() *cli.Command {
	t := &topics{}
	return &cli.Command{
		Name:    "topics verify",
		Summary: "check that a cluster is as the stream graph says",
		About:   "Exit status 1 where it differs: the differences are the results.",
		Example: "freshet topics verify -kafka.brokers kafka:9092 -contracts.file contracts.yaml",
		Flags:   t.register,
		Run: t.with(func(_ context.Context, _ *kgo.Client, changes []topology.Change, stdio *cli.Stdio) error {
			if err := t.show(changes, stdio); err != nil {
				return err
			}
			if len(changes) > 0 {
				return cli.Nof("%w", &topology.DiffersError{Changes: changes})
			}
			return nil
		}),
	}
}

// with connects, compares, and hands the differences to do.
func (t *topics) with(do func(context.Context, *kgo.Client, []topology.Change, *cli.Stdio) error) func(context.Context, []string, *cli.Stdio) error {
	return func(ctx context.Context, args []string, stdio *cli.Stdio) error {
		if len(args) > 0 {
			return cli.Usagef("%q: it takes no arguments", args[0])
		}
		graph, err := t.graph.graph()
		if err != nil {
			return err
		}
		client, err := t.kafka.connect(ctx)
		if err != nil {
			return err
		}
		defer client.Close()
		changes, err := topology.Plan(ctx, kadm.NewClient(client), graph, t.graph.dir())
		if err != nil {
			return cli.Unavailable(err)
		}
		return do(ctx, client, changes, stdio)
	}
}

// change is a difference as it is shown.
type change struct {
	Action string `json:"action"`
	Topic  string `json:"topic"`
	What   string `json:"what"`
	Have   string `json:"have"`
	Want   string `json:"want"`
	Why    string `json:"why"`
}

func (t *topics) show(changes []topology.Change, stdio *cli.Stdio) error {
	results := t.format.Results(stdio, "ACTION", "TOPIC", "WHAT", "HAVE", "WANT", "WHY")
	for _, c := range changes {
		v := change{c.Action.String(), c.Topic, c.What, c.Have, c.Want, c.Why}
		if err := results.Add(v, v.Action, v.Topic, v.What, dash(v.Have), dash(v.Want), v.Why); err != nil {
			return err
		}
	}
	return results.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
