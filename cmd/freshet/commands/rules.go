package commands

import (
	"context"
	"flag"
	"fmt"

	"github.com/freshet-io/freshet/alerts/rules"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/slo"
)

type rulesOf struct {
	contracts string
	options   rules.Options
}

func rulesCommand() *cli.Command {
	c := &rulesOf{}
	return &cli.Command{
		Name:    "rules",
		Summary: "write Prometheus rules: the engine watched from outside, and a burn-rate alert for each objective",
		About: `YAML on stdout, for rule_files of Prometheus. The rules are a second way to page, for the day when Freshet itself is what is broken: they
read only what it exports. Burn rates over the counters say how uses were first judged, so later amendments are not in them; otherwise
they have the windows and factors of the contract. Without -contracts.file only the engine is watched.`,
		Example: "freshet rules -contracts.file contracts.yaml > freshet.rules.yaml && promtool check rules freshet.rules.yaml",
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&c.contracts, "contracts.file", "", "The contract whose objectives get rules.")
			f.StringVar(&c.options.Job, "job", "freshet", "The job of Prometheus that scrapes Freshet.")
			f.StringVar(&c.options.Owner, "owner", "freshet", "Label owner of the alerts about the engine itself.")
			f.StringVar(&c.options.Runbooks, "runbooks.url", "https://github.com/freshet-io/freshet/blob/main/docs/runbooks/", "What the names of the alerts are put behind to link their runbooks, with its last slash. Empty: no links.")
		},
		Run: c.run,
	}
}

func (c *rulesOf) run(_ context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) > 0 {
		return cli.Usagef("it takes no arguments: the contract is named by -contracts.file")
	}
	var file *slo.File
	if c.contracts != "" {
		var err error
		if file, err = readContract(c.contracts); err != nil {
			return err
		}
	}
	text, err := rules.Build(file, c.options).YAML()
	if err != nil {
		return err
	}
	if _, err := stdio.Out.Write(text); err != nil {
		return fmt.Errorf("write rules: %w", err)
	}
	return nil
}
