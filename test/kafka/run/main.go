//go:build unix

// Run starts and stops a real Kafka of this machine, or runs a command beside one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/freshet-io/freshet/test/kafka"
)

const usage = `usage: run start [-brokers 1|3] [-port P]     start a cluster that goes on, and print its brokers
       run stop                              stop it; its data stay
       run with [-brokers 1|3] -- COMMAND…   run a command beside a cluster of its own, FRESHET_TEST_BROKERS naming the brokers
       run check                             say whether there can be one`

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	brokers := flags.Int("brokers", 1, "how many brokers: 1 or 3")
	port := flags.Int("port", 9092, "port of the first broker of start")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	build, err := kafka.BuildDir()
	if err != nil {
		return err
	}
	dir := filepath.Join(build, fmt.Sprintf("data-%d", *brokers))
	switch args[0] {
	case "start":
		c, err := kafka.Launch(ctx, kafka.Options{Brokers: *brokers, Port: *port, Dir: dir, Heap: "1g", Warm: true, Outlive: true})
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, c.Brokers())
		return nil
	case "stop":
		n, err := kafka.StopAll(filepath.Join(build, "*"))
		fmt.Fprintf(stderr, "%d brokers were stopped\n", n)
		return err
	case "check":
		exe, libs, err := kafka.Installed(ctx)
		if err == nil {
			fmt.Fprintf(stderr, "a real Kafka %s is there: %s, %s\n", kafka.Version(), exe, libs)
			return nil
		}
		return missing(err, "what needs one", stderr)
	case "with":
		return with(ctx, *brokers, flags.Args(), stdout, stderr)
	}
	return fmt.Errorf("%q: %s", args[0], usage)
}

// missing says that something was not tested because a real Kafka cannot run here. Where it is required, and for any other reason, it is
// an error.
func missing(err error, what string, stderr io.Writer) error {
	if !errors.Is(err, kafka.ErrMissing) || os.Getenv(kafka.Env) == "require" {
		return err
	}
	fmt.Fprintf(stderr, "\n**** NOT TESTED ON A REAL KAFKA: %s\n**** %v\n\n", what, err)
	return nil
}

// with runs a command beside a cluster. Where there can be none it says what was not run; that is an error only where it is required.
func with(ctx context.Context, brokers int, command []string, stdout, stderr io.Writer) error {
	if len(command) == 0 {
		return errors.New(usage)
	}
	dir, err := os.MkdirTemp("", "freshet-kafka-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c, err := kafka.Launch(ctx, kafka.Options{Brokers: brokers, Dir: dir, Heap: "1g"})
	if err != nil {
		return missing(err, strings.Join(command, " "), stderr)
	}
	defer func() { _ = c.Kill() }()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Env = append(os.Environ(), "FRESHET_TEST_BROKERS="+c.Brokers())
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	return nil
}
