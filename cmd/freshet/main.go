// Freshet watches AI-workflow events on Kafka and says for every decision whether the context it used was still true.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/commands"
)

func main() {
	watchHeap()
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals // the second one does not wait for what the first has asked for
		os.Exit(cli.ExitUnavailable)
	}()
	os.Exit(commands.New().Main(ctx, os.Args[1:], cli.Process()))
}
