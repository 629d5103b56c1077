package commands

import (
	"context"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/demo"
)

func demoCommand() *cli.Command {
	var cfg demo.Config
	return &cli.Command{
		Name:    "demo",
		Summary: "watch the engine judge real coding sessions",
		About: `All in one process and a temporary directory: the embedded broker, the engine, and real recorded sessions of coding agents, moved to
now. What happened before is loaded at once, the rest plays live, compressed in time. On a terminal there is a live view, elsewhere a
line for every verdict. Nothing is left behind.`,
		Example: "freshet demo -for 2m",
		Flags:   cfg.RegisterFlags,
		Run: func(ctx context.Context, args []string, stdio *cli.Stdio) error {
			if len(args) > 0 {
				return cli.Usagef("%q: demo takes no arguments", args[0])
			}
			if err := cfg.Validate(); err != nil {
				return cli.Usage(err)
			}
			return demo.Run(ctx, cfg, stdio)
		},
	}
}
