package commands

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

type benchMoves struct {
	measurement
	rate   int
	rounds int
}

func benchMovesCommand() *cli.Command {
	b := &benchMoves{measurement: measurement{now: time.Now}}
	return &cli.Command{
		Name:    "bench moves",
		Summary: "measure how long partitions say nothing when an instance goes or comes",
		About: `Runs two instances, in processes of their own, while decisions are made at a steady rate on all partitions. One of them is killed and
started again, asked to stop and started again. Says how long it took after the kill until verdicts of all partitions of the dead could be
read, and for how long at most those of a partition could not when an instance stopped or started. Flags of the engine are those of the
instances.`,
		Example: "freshet bench moves -kafka.brokers 127.0.0.1:9092 -group.session-timeout 6s",
		Flags: func(f *flag.FlagSet) {
			b.register(f)
			f.IntVar(&b.rate, "moves.rate", 400, "Decisions a second, over all partitions.")
			f.IntVar(&b.rounds, "moves.rounds", 3, "How often each is done; the worst is told, and the middle.")
		},
		Run: b.run,
	}
}

func (b *benchMoves) run(ctx context.Context, args []string, stdio *cli.Stdio) (err error) {
	if len(args) > 0 {
		return cli.Usagef("%q: bench moves takes no arguments", args[0])
	}
	if b.rate < 1 || b.rounds < 1 {
		return cli.Usagef("-moves.rate %d, -moves.rounds %d: at least 1", b.rate, b.rounds)
	}
	site, err := b.open(ctx, bench.HeldContract("max_staleness: 1h", time.Second), stdio)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	stays, moves := &process{m: &b.measurement, site: site, id: "stays", err: stdio.Err}, &process{m: &b.measurement, site: site, id: "moves", err: stdio.Err}
	defer func() { err = errors.Join(err, stays.kill(), moves.kill()) }()
	for _, p := range []*process{stays, moves} {
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	w, err := bench.NewWriter(site.cluster, site.graph)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Update(ctx, 0, 1, b.now().Add(-time.Hour)); err != nil {
		return cli.Unavailable(err)
	}
	live, err := b.beside(ctx, site, b.rate, liveAge)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, live.stop()) }()
	var all moved
	for range b.rounds {
		if err := all.round(ctx, b, live, moves); err != nil {
			return err
		}
	}
	out, timeout := b.figures(stdio), b.cfg.Gateway.SessionTimeout
	return errors.Join(
		out.worst("killed: verdicts of its partitions after", all.takeover, fmt.Sprintf("≤ %v", (timeout+time.Second).Seconds())),
		out.worst("stopped: longest gap of a partition", all.stop, "< 1"),
		out.worst("started: longest gap of a partition", all.start, "< 1"),
		out.worst("at rest: longest gap of a partition", all.rest, ""),
		out.Flush())
}

// worst says the longest of some times, and the middle one.
func (f figures) worst(name string, all []time.Duration, goal string) error {
	slices.Sort(all)
	return errors.Join(f.seconds(name+", worst", bench.Share(all, 1), goal), f.seconds(name+", middle", bench.Share(all, 0.5), ""))
}

// moved is what rounds have come to.
type moved struct{ takeover, stop, start, rest []time.Duration }

// calm is how long nothing is done to the instances between two moves.
const calm = 5 * time.Second

// round kills an instance, starts it, stops it and starts it.
func (a *moved) round(ctx context.Context, b *benchMoves, live *beside, p *process) error {
	gap := func(f func() error) (time.Duration, error) {
		from := b.now()
		if err := errors.Join(f(), pause(ctx, calm)); err != nil {
			return 0, err
		}
		longest := time.Duration(0)
		for _, g := range live.Gaps(from, b.now()) {
			longest = max(longest, g.Long)
		}
		return longest, nil
	}
	rest, err := gap(func() error { return nil })
	if err != nil {
		return err
	}
	owned, err := p.owns(ctx)
	if err != nil {
		return err
	}
	from := b.now()
	if err := errors.Join(p.kill(), pause(ctx, b.cfg.Gateway.SessionTimeout+2*calm)); err != nil {
		return err
	}
	gaps, last := live.Gaps(from, b.now()), time.Duration(0)
	for _, id := range owned {
		last = max(last, gaps[id].End.Sub(from))
	}
	restart, err := gap(func() error { return p.start(ctx) })
	if err != nil {
		return err
	}
	stop, err := gap(p.stop)
	if err != nil {
		return err
	}
	start, err := gap(func() error { return p.start(ctx) })
	if err != nil {
		return err
	}
	a.rest, a.takeover, a.stop, a.start = append(a.rest, rest), append(a.takeover, last), append(a.stop, stop), append(a.start, restart, start)
	return nil
}

// process is an instance in a process of its own, over its lives.
type process struct {
	m    *measurement
	site *site
	id   string
	err  io.Writer

	listen string // for HTTP, "": it does not
	http   string // where it does, once it is ready

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start begins a life and returns when the instance is ready.
func (p *process) start(ctx context.Context) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cfg := p.site.cfg
	args := []string{"run"}
	p.m.flags.Visit(func(f *flag.Flag) {
		if known(f.Name) {
			args = append(args, "-"+f.Name+"="+f.Value.String())
		}
	})
	args = append(args, "-contracts.file", cfg.ContractsFile, "-data.dir", filepath.Join(p.site.dir, p.id), "-http.listen="+p.listen, "-instance.id", p.id,
		"-kafka.brokers", cfg.Brokers, "-topics.prefix", cfg.Topics.Prefix)
	p.cmd = exec.Command(exe, args...)
	out, err := p.cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("start instance %s: %w", p.id, err)
	}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start instance %s: %w", p.id, err)
	}
	p.done = make(chan struct{})
	ready := make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		said := sync.OnceFunc(func() { close(ready) })
		for s := bufio.NewScanner(out); s.Scan(); {
			if strings.HasPrefix(s.Text(), "freshet is ready") {
				_, p.http, _ = strings.Cut(s.Text(), "HTTP at http://")
				said()
				continue
			}
			fmt.Fprintln(p.err, p.id+":", s.Text())
		}
		_ = cmd.Wait() // how it ended is in what it has said
		close(done)
	}(p.cmd, p.done)
	select {
	case <-ready:
		return nil
	case <-p.done:
		return cli.Unavailable(fmt.Errorf("instance %s ended at its start", p.id))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// known says whether a flag is one of freshet run.
func known(name string) bool {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	(&app.Config{}).RegisterFlags(f)
	(&logFlags{}).register(f)
	return f.Lookup(name) != nil
}

// kill ends a life without a chance to do anything.
func (p *process) kill() error { return p.end(os.Kill) }

// stop ends a life as an operator would.
func (p *process) stop() error { return p.end(os.Interrupt) }

func (p *process) end(how os.Signal) error {
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end instance %s: %w", p.id, err)
	}
	<-p.done
	p.cmd = nil
	return nil
}

// owns returns which partitions of the workflows the instance has.
func (p *process) owns(ctx context.Context) ([]int32, error) {
	client, err := kgo.NewClient(p.site.cluster.Kgo()...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", p.site.cluster, err)
	}
	defer client.Close()
	name := p.site.graph.Workflows.Name
	groups, err := kadm.NewClient(client).DescribeGroups(ctx, name)
	if err != nil {
		return nil, cli.Unavailable(fmt.Errorf("describe group %s: %w", name, err))
	}
	for _, member := range groups[name].Members {
		assigned, ok := member.Assigned.AsConsumer()
		if member.InstanceID == nil || *member.InstanceID != p.id || !ok || len(assigned.Topics) == 0 {
			continue
		}
		return assigned.Topics[0].Partitions, nil
	}
	return nil, fmt.Errorf("instance %s is not a member of group %s, or has no partitions", p.id, name)
}
