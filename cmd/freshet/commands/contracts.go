package commands

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/slo"
)

type contractsCheck struct {
	secrets bool
	format  cli.Format
}

func contractsCheckCommand() *cli.Command {
	c := &contractsCheck{}
	return &cli.Command{
		Name:    "contracts check",
		Summary: "say what is wrong with contract files",
		Usage:   "FILE…",
		About: `Every error with its line and column; exit status 1 if there is one. A variable that a secret names and the environment does not have
is no error unless -secrets is given: the machine that checks a contract seldom has its secrets.`,
		Example: "freshet contracts check contracts.yaml",
		Flags: func(f *flag.FlagSet) {
			f.BoolVar(&c.secrets, "secrets", false, "Require that the environment has every variable that the file names.")
			c.format.RegisterFlags(f)
		},
		Run: c.run,
	}
}

// contractError is an error as it is shown.
type contractError struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path"`
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

func (c *contractsCheck) run(_ context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) == 0 {
		return cli.Usagef("name the contract files")
	}
	results := c.format.Results(stdio, "FILE", "LINE", "COLUMN", "RULE", "WHAT")
	wrong := 0
	for _, path := range args {
		text, err := os.ReadFile(path)
		if err != nil {
			return cli.Usage(err)
		}
		n, err := c.check(path, text, results, stdio)
		if err != nil {
			return err
		}
		wrong += n
	}
	if err := results.Flush(); err != nil {
		return err
	}
	if wrong > 0 {
		return cli.Nof("errors: %d", wrong)
	}
	return nil
}

// check shows the errors of a file and returns how many there are.
func (c *contractsCheck) check(path string, text []byte, results *cli.Results, stdio *cli.Stdio) (int, error) {
	file, err := slo.Parse(text, path, stdio.Getenv)
	if err == nil {
		fmt.Fprintf(stdio.Err, "%s: in order, %s\n", path, file.Contract().Hash)
		return 0, nil
	}
	var all slo.Errors
	if !errors.As(err, &all) {
		return 0, fmt.Errorf("check %s: %w", path, err)
	}
	wrong := 0
	for _, e := range all {
		if e.Refusal == slo.UnsetVariable && !c.secrets {
			fmt.Fprintf(stdio.Err, "%v\n", e)
			continue
		}
		wrong++
		v := contractError{e.File, e.Line, e.Column, e.Path, string(e.Refusal), e.Message}
		what := e.Message
		if e.Path != "" {
			what = e.Path + ": " + what
		}
		if err := results.Add(v, e.File, strconv.Itoa(e.Line), strconv.Itoa(e.Column), v.Rule, what); err != nil {
			return wrong, err
		}
	}
	return wrong, nil
}
