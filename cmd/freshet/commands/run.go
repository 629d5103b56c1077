package commands

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

// logFlags say what is logged.
type logFlags struct{ level, format string }

func (l *logFlags) register(f *flag.FlagSet) {
	f.StringVar(&l.level, "log.level", "info", "Least level that is logged: debug, info, warn or error.")
	f.StringVar(&l.format, "log.format", "logfmt", "How it is logged: logfmt or json.")
}

func (l *logFlags) logger(w io.Writer) (log.Logger, error) {
	var logger log.Logger
	switch l.format {
	case "logfmt":
		logger = log.NewLogfmtLogger(log.NewSyncWriter(w))
	case "json":
		logger = log.NewJSONLogger(log.NewSyncWriter(w))
	default:
		return nil, cli.Usagef("-log.format %q: must be logfmt or json", l.format)
	}
	allowed, err := level.Parse(l.level)
	if err != nil {
		return nil, cli.Usagef("-log.level %q: must be debug, info, warn or error", l.level)
	}
	return log.With(level.NewFilter(logger, level.Allow(allowed)), "ts", log.DefaultTimestampUTC), nil
}

type run struct {
	cfg app.Config
	log logFlags
}

func runCommand() *cli.Command {
	r := &run{}
	return &cli.Command{
		Name:    "run",
		Summary: "run the engine",
		About: `Judges every decision on the topics and writes the verdicts. Without -kafka.brokers it starts the embedded broker, which any Kafka
client on this machine can use, and creates the topics; with brokers, topics that are missing or differ are an error that names
freshet topics apply, which takes the same flags. Runs until it is interrupted; a second interrupt does not wait.`,
		Example: `freshet run -contracts.file contracts.yaml
freshet run -contracts.file contracts.yaml -kafka.brokers kafka-1:9092,kafka-2:9092 -data.dir /var/lib/freshet`,
		Flags: func(f *flag.FlagSet) {
			r.cfg.RegisterFlags(f)
			r.log.register(f)
		},
		Run: r.run,
	}
}

func (r *run) run(ctx context.Context, args []string, stdio *cli.Stdio) error {
	if len(args) > 0 {
		return cli.Usagef("%q: run takes no arguments", args[0])
	}
	logger, err := r.log.logger(stdio.Err)
	if err != nil {
		return err
	}
	engine, err := app.New(r.cfg, logger)
	if err != nil {
		return cli.Usage(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go announce(ctx, engine, stdio.Err)
	go reloadOnSignal(ctx, engine)
	return cli.Unavailable(engine.Run(ctx))
}

// reloadOnSignal lets the engine look at its contract file at each SIGHUP.
func reloadOnSignal(ctx context.Context, engine *app.App) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			engine.Reload()
		}
	}
}

// readyGap is how often a starting engine is asked whether it is ready.
const readyGap = 100 * time.Millisecond

// announce says when the engine is ready, and where.
func announce(ctx context.Context, engine *app.App, w io.Writer) {
	if awaitReady(ctx, engine) != nil {
		return
	}
	text := "freshet is ready: Kafka at " + strings.Join(engine.Brokers(), ",")
	if addr := engine.HTTPAddr(); addr != "" {
		text += ", HTTP at http://" + addr
	}
	fmt.Fprintln(w, text)
}

// awaitReady returns once the engine has caught up, or with the context's error.
func awaitReady(ctx context.Context, engine *app.App) error {
	select {
	case <-engine.Running():
	case <-ctx.Done():
		return ctx.Err()
	}
	t := time.NewTicker(readyGap)
	defer t.Stop()
	for engine.Ready() != nil {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
