package commands

import (
	"context"
	"flag"
	"fmt"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/internal/metrics"
)

func versionCommand() *cli.Command {
	var format cli.Format
	return &cli.Command{
		Name:    "version",
		Summary: "say what this binary was built from",
		Example: "freshet version -o json",
		Flags:   func(f *flag.FlagSet) { format.RegisterFlags(f) },
		Run: func(_ context.Context, args []string, stdio *cli.Stdio) error {
			if len(args) > 0 {
				return cli.Usagef("%q: version takes no arguments", args[0])
			}
			b := metrics.ReadBuild()
			results := format.Results(stdio, "VERSION", "REVISION", "BUILT WITH")
			revision := b.Revision
			if b.Modified {
				revision += " (modified)"
			}
			if err := results.Add(b, b.Version, revision, b.GoVersion); err != nil {
				return err
			}
			return results.Flush()
		},
	}
}

// versionLine is what -version prints.
func versionLine() string {
	b := metrics.ReadBuild()
	return fmt.Sprintf("freshet %s (%s, %s)", b.Version, b.Revision, b.GoVersion)
}
