package commands

import (
	"context"
	"flag"
	"fmt"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/topology"
)

type acls struct {
	graph     graphFlags
	principal string
	perGroup  bool
	commands  bool
	format    cli.Format
}

func topicsACLsCommand() *cli.Command {
	a := &acls{}
	return &cli.Command{
		Name:    "topics acls",
		Summary: "list what each group has to be allowed on a cluster, and what the contract's writers and readers may",
		About: `No broker is asked. The list is what the engine needs and nothing more. freshet topics apply needs Create and AlterConfigs on
the topics besides: they are the operator's, and not listed.`,
		Example: `freshet topics acls -contracts.file contracts.yaml
freshet topics acls -contracts.file contracts.yaml -commands | sed 's/$/ --bootstrap-server kafka:9092/' | sh`,
		Flags: func(f *flag.FlagSet) {
			a.graph.register(f)
			f.StringVar(&a.principal, "principal", "User:freshet", "Who the engine is to the cluster.")
			f.BoolVar(&a.perGroup, "principal.per-group", false, "Each group is a principal of its own: the name of -principal, a dash and the group.")
			f.BoolVar(&a.commands, "commands", false, "As command lines of Kafka's own tool, kafka-acls.sh.")
			a.format.RegisterFlags(f)
		},
		Run: a.run,
	}
}

func (a *acls) run(_ context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) > 0 {
		return cli.Usagef("%q: it takes no arguments", args[0])
	}
	graph, err := a.graph.graph()
	if err != nil {
		return err
	}
	who := func(group string) string {
		if a.perGroup {
			return a.principal + "-" + group
		}
		return a.principal
	}
	results := a.format.Results(stdio, "PRINCIPAL", "RESOURCE", "PATTERN", "NAME", "OPERATION", "WHY")
	for _, l := range graph.ACLs(who) {
		if a.commands {
			fmt.Fprintln(stdio.Out, command(l))
			continue
		}
		if err := results.Add(l, l.Principal, l.Resource, l.Pattern, l.Name, l.Operation, l.Why); err != nil {
			return err
		}
	}
	return results.Flush()
}

// command is the command line that grants an ACL. Names of topics, groups and principals need no quoting in a shell but for the latter.
func command(l topology.ACL) string {
	return fmt.Sprintf("kafka-acls.sh --add --allow-principal '%s' --operation %s --resource-pattern-type %s --%s '%s'", l.Principal, l.Operation, l.Pattern, l.Resource, l.Name)
}
