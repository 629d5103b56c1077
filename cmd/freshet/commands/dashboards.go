package commands

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/dashboards"
)

func dashboardsCommand() *cli.Command {
	var dir string
	var format cli.Format
	links := dashboards.Defaults()
	return &cli.Command{
		Name:    "dashboards",
		Summary: "write the Grafana dashboards as files",
		About:   "They have a variable for the data source, so they can be provisioned or imported as they are.",
		Example: "freshet dashboards -dir /etc/grafana/provisioning/dashboards/freshet",
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&dir, "dir", ".", "Where to write them; it is made if it is not there.")
			f.StringVar(&links.Server, "server.url", links.Server, "Where browsers reach Freshet: links to what is stale lead there.")
			f.StringVar(&links.Runbooks, "runbooks.url", links.Runbooks, "What the names of alerts are put behind to link their runbooks, with its last slash.")
			format.RegisterFlags(f)
		},
		Run: func(_ context.Context, args []string, stdio *cli.Stdio) error {
			if len(args) > 0 {
				return cli.Usagef("%q: it takes no arguments", args[0])
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("-dir: %w", err)
			}
			results := format.Results(stdio, "FILE", "DASHBOARD", "WHAT")
			for _, d := range dashboards.All() {
				text, err := d.JSON(links)
				if err != nil {
					return err
				}
				path := filepath.Join(dir, d.UID+".json")
				if err := os.WriteFile(path, text, 0o644); err != nil {
					return fmt.Errorf("-dir: %w", err)
				}
				v := map[string]string{"file": path, "uid": d.UID, "title": d.Title, "about": d.About}
				if err := results.Add(v, path, d.Title, d.About); err != nil {
					return err
				}
			}
			return results.Flush()
		},
	}
}
