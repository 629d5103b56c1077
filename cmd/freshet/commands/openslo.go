package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/slo/openslo"
)

func importOpenSLOCommand() *cli.Command {
	strict := false
	return &cli.Command{
		Name:    "contracts import-openslo",
		Summary: "turn OpenSLO v1 documents into a contract",
		Usage:   "FILE…",
		About: `Writes a contract on stdout: services become workflow types, SLOs objectives, alert policies burn-rate rules. Everything that a contract
cannot express is named on stderr, with line and column: above all indicators, since an objective always counts the uses of context that
were fresh. A document that is no valid OpenSLO v1 is refused, and the exit status is then 1. Annotations of an SLO or a service say what
OpenSLO has no word for: freshet.io/workflow, freshet.io/class, freshet.io/use, freshet.io/on-unknown, freshet.io/owner,
freshet.io/runbook-url.`,
		Example: "freshet contracts import-openslo slos/*.yaml > contracts.yaml",
		Flags: func(f *flag.FlagSet) {
			f.BoolVar(&strict, "strict", false, "Exit with status 1, and without a contract, if anything cannot be expressed.")
		},
		Run: func(_ context.Context, args []string, stdio *cli.Stdio) error {
			if len(args) == 0 {
				return cli.Usagef("name the files with OpenSLO documents")
			}
			var files []openslo.Input
			for _, path := range args {
				data, err := os.ReadFile(path)
				if err != nil {
					return cli.Usage(err)
				}
				files = append(files, openslo.Input{Name: path, Data: data})
			}
			return importOpenSLO(files, strict, stdio)
		},
	}
}

func importOpenSLO(files []openslo.Input, strict bool, stdio *cli.Stdio) error {
	contract, notes, err := openslo.Import(files)
	for _, n := range notes {
		fmt.Fprintln(stdio.Err, n)
	}
	var refused openslo.Errors
	switch {
	case errors.As(err, &refused):
		for _, e := range refused {
			fmt.Fprintln(stdio.Err, e)
		}
		return cli.Nof("errors: %d", len(refused))
	case err != nil:
		return cli.Nof("%v", err)
	case strict && len(notes) > 0:
		return cli.Nof("%d things cannot be expressed", len(notes))
	}
	if _, err := stdio.Out.Write(contract); err != nil {
		return fmt.Errorf("write the contract: %w", err)
	}
	return nil
}
