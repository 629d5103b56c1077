package commands

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/go-kit/log"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/contracts"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/topology"
)

// contractsAccept puts a contract in force.
type contractsAccept struct {
	kafka  kafkaFlags
	topics topology.Config
}

func contractsAcceptCommand() *cli.Command {
	c := &contractsAccept{}
	return &cli.Command{
		Name:    "contracts accept",
		Summary: "put a contract in force",
		Usage:   "FILE",
		About: `Writes the contract to the contracts topic: every instance judges by it from that instant on. An engine proposes its file by itself,
unless the file had been in force before and no longer is; that is what this command is for. Give every instance the file, too: an
instance with another file goes on with the contract in force, and says so.`,
		Example: "freshet contracts accept -kafka.brokers kafka:9092 contracts.yaml",
		Flags: func(f *flag.FlagSet) {
			c.kafka.register(f)
			c.topics.RegisterFlags(f)
		},
		Run: c.run,
	}
}

func (c *contractsAccept) run(ctx context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) != 1 {
		return cli.Usagef("name the contract file")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return cli.Usage(err)
	}
	file, err := slo.Parse(text, args[0], stdio.Getenv)
	if err != nil {
		return cli.Usage(err)
	}
	graph, err := topology.FromContract(c.topics, file)
	if err != nil {
		return cli.Usage(err)
	}
	cluster, err := c.kafka.cluster()
	if err != nil {
		return err
	}
	logs, err := tail.New(cluster.Addrs, log.NewNopLogger(), cluster.Kgo()...)
	if err != nil {
		return err
	}
	defer logs.Close()
	now := func() event.Time { return event.Of(time.Now()) }
	topic, err := contracts.Open(graph.Contracts, cluster, logs, &contracts.Log{}, &clock.Input{}, now, log.NewNopLogger())
	if err != nil {
		return err
	}
	defer topic.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*connectTimeout)
	defer cancel()
	if err := topic.CatchUp(ctx); err != nil {
		return cli.Unavailable(err)
	}
	changed, err := topic.Accept(ctx, file, text)
	if err != nil {
		return cli.Unavailable(err)
	}
	if !changed {
		fmt.Fprintf(stdio.Err, "%s is in force already\n", file.Hash())
		return nil
	}
	fmt.Fprintf(stdio.Err, "%s is in force\n", file.Hash())
	return nil
}
