package commands

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/query"
	"github.com/freshet-io/freshet/query/auth"
	"github.com/go-kit/log"
)

type benchCheck struct {
	measurement
	workload    bench.Workload
	cpuProfile  string
	server      string
	rates       string
	span        time.Duration
	connections int
	agents      int
	items       int
	search      int
	wait        time.Duration
	ingest      float64
}

// emptyPath is a route of the engine under measurement that does nothing.
const emptyPath = "/bench/empty"

func benchCheckCommand() *cli.Command {
	b := &benchCheck{measurement: measurement{now: time.Now}}
	return &cli.Command{
		Name:    "bench check",
		Summary: "measure what it costs to ask",
		About: `Has many agents hold ten items each, and asks an engine whether they still hold, over HTTP, on connections that are kept, at a rate that
does not wait for answers: once while it has nothing else to do, and once while it ingests half as much as it can, in the same process.
Clients are a process of their own, which is this command with -check.server. Each time the same load goes first to an empty handler of
the same server: what it says of checks is to be seen beside that, and says something where both kept up: answered at least 99 of 100 that
were asked for. With -check.search it also looks for the greatest rate at which they do, which comes again as "highest". Beside each
figure stands how many cores were used by the engine's process, with the broker and the writer of records in it, and by the clients: where
they come to all that the machine has, latencies are those of queues. A latency counts from when a request was due, or from when it was
sent if its connection was free by then. Then agents load their items and check at once, with the acknowledgement of their load, and it
says how long after that the answer was there. Broker and engine share a process; the data directory is a temporary one.`,
		Example: "freshet bench check -check.rates 2000,20000",
		Flags: func(f *flag.FlagSet) {
			b.register(f)
			b.workload.RegisterFlags(f)
			f.StringVar(&b.server, "check.server", "", "Only be the clients of a server, host:port, whose topics are at -kafka.brokers.")
			f.StringVar(&b.rates, "check.rates", "2000,20000", "Checks a second, one figure for each run.")
			f.DurationVar(&b.span, "check.for", 8*time.Second, "How long each run takes.")
			f.IntVar(&b.search, "check.search", 0, "How many more rates to try, to find the greatest at which both the empty handler and the checks are answered as they are asked.")
			f.IntVar(&b.connections, "check.connections", 32, "Connections that requests are made on.")
			f.IntVar(&b.agents, "check.agents", 2000, "Workflows that are asked about.")
			f.IntVar(&b.items, "check.items", 10, "Items that each holds.")
			f.DurationVar(&b.wait, "check.wait", time.Second, "How long a check with the acknowledgement of a load lets the engine wait for it (wait_s).")
			f.Float64Var(&b.ingest, "check.ingest", 0, "Records a second that the engine ingests meanwhile. 0: half of what it can as they come, which is measured first.")
			f.StringVar(&b.cpuProfile, "cpuprofile", "", "File for a CPU profile of the engine while it is asked and ingests; that of the clients goes to the same name with .clients behind it, that of the engine at rest to one with .rest.")
		},
		Run: b.run,
	}
}

// checkRun is a result: one load on one path.
type checkRun struct {
	What   string  `json:"what"`             // empty, check, own writes
	Busy   bool    `json:"ingesting"`        // the engine ingests meanwhile
	Ingest float64 `json:"ingest,omitempty"` // records a second that it has ingested
	Rate   float64 `json:"rate,omitempty"`   // that was asked for
	Kept   bool    `json:"kept_up"`          // what was asked for was answered
	bench.Asked
	OverP50 float64 `json:"p50_over_empty,omitempty"`
	OverP99 float64 `json:"p99_over_empty,omitempty"`
	Engine  float64 `json:"engine_cores"` // that its process used meanwhile, with the broker and what is written in it
	Clients float64 `json:"client_cores"` // that theirs used
	Missed  int     `json:"missed"`       // answers to own writes that did not rest on them
}

func (b *benchCheck) run(ctx context.Context, args []string, stdio *cli.Stdio) (err error) {
	if len(args) > 0 {
		return cli.Usagef("%q: bench check takes no arguments", args[0])
	}
	if err := b.workload.Validate(); err != nil {
		return cli.Usage(err)
	}
	var rates []float64
	for text := range strings.SplitSeq(b.rates, ",") {
		rate, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || rate <= 0 {
			return cli.Usagef("-check.rates %q: not a number of checks a second", text)
		}
		rates = append(rates, rate)
	}
	if b.connections < 1 || b.agents < 1 || b.items < 1 || b.span < time.Second {
		return cli.Usagef("-check.connections, -check.agents and -check.items are at least 1, -check.for at least 1s")
	}
	contract := bench.WithAgents(b.workload.Contract())
	if b.server != "" {
		return b.clients(ctx, contract, rates, stdio)
	}
	site, err := b.open(ctx, contract, stdio)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	site.cfg.HTTPListen = "127.0.0.1:0"
	site.routes = []query.Route{{Pattern: "POST " + emptyPath, Scope: auth.Check, Handler: func(http.ResponseWriter, *http.Request, *auth.Client) {}}}
	return b.measure(ctx, site, stdio)
}

// clients asks a server that runs.
func (b *benchCheck) clients(ctx context.Context, contract string, rates []float64, stdio *cli.Stdio) (err error) {
	dir, err := os.MkdirTemp("", "freshet-bench-*")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cfg := b.cfg
	cfg.ContractsFile = filepath.Join(dir, "contracts.yaml")
	if err := os.WriteFile(cfg.ContractsFile, []byte(contract), 0o600); err != nil {
		return fmt.Errorf("write the contract: %w", err)
	}
	engine, err := app.New(cfg, log.NewNopLogger()) // for its graph
	if err != nil {
		return cli.Usage(err)
	}
	cluster, err := (&kafkaFlags{brokers: cfg.Brokers, access: cfg.Access}).cluster()
	if err != nil {
		return err
	}
	agents, err := bench.NewAgents(cluster, engine.Graph(), b.agents, b.items)
	if err != nil {
		return cli.Unavailable(err)
	}
	defer agents.Close()
	stop, err := profileCPU(b.cpuProfile)
	if err != nil {
		return err
	}
	defer stop()
	out := json.NewEncoder(stdio.Out)
	found := keeping{}
	for _, rate := range rates {
		if err := b.pair(ctx, agents, rate, &found, out); err != nil {
			return err
		}
	}
	for range b.search {
		rate, ok := found.next()
		if !ok {
			break
		}
		if err := b.pair(ctx, agents, rate, &found, out); err != nil {
			return err
		}
	}
	if found.most.Rate > 0 {
		if err := out.Encode(found.most); err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
	}
	was := bench.Use(b.now(), 0)
	own, err := agents.OwnWrites(ctx, b.server, b.wait, b.span, b.now)
	if err != nil {
		return cli.Unavailable(err)
	}
	return out.Encode(checkRun{What: "own writes", Missed: own.Missed, Clients: bench.Use(b.now(), 0).Cores(was),
		Asked: bench.Asked{Answers: int64(own.Checks), Reached: float64(own.Checks) / b.span.Seconds(), P50: own.P50, P99: own.P99, Max: own.Max}})
}

// pair asks the empty handler and then for checks, at a rate.
func (b *benchCheck) pair(ctx context.Context, agents *bench.Agents, rate float64, found *keeping, out *json.Encoder) error {
	var empty checkRun
	for _, what := range []string{"empty", "check"} {
		path := map[string]string{"empty": emptyPath, "check": "/v1/check"}[what]
		asking := &bench.Asking{Addr: b.server, Path: path, Bodies: agents.Checks(), Connections: b.connections, Rate: rate, For: b.span}
		was := bench.Use(b.now(), 0)
		asked, err := asking.Run(ctx)
		if err != nil {
			return cli.Unavailable(err)
		}
		m := checkRun{What: what, Rate: rate, Kept: keptUp(rate, asked.Reached), Asked: asked, Clients: bench.Use(b.now(), 0).Cores(was)}
		if what == "empty" {
			empty = m
		} else {
			if empty.P50 > 0 {
				m.OverP50, m.OverP99 = asked.P50/empty.P50, asked.P99/empty.P99
			}
			found.note(&empty, &m)
		}
		if err := out.Encode(m); err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
	}
	return nil
}

// keptUp says whether a rate that was asked for was answered: at least 99 of 100, so that a queue of more than a hundredth of the run is seen.
func keptUp(rate, reached float64) bool { return reached >= 0.99*rate }

// highest is what the run is called that is said again: it had the greatest rate that was kept up with.
const highest = "highest"

// keeping looks for the greatest rate at which both the empty handler and the checks are answered as they are asked.
type keeping struct {
	most  checkRun // of the checks at the greatest rate so far
	least float64  // at which one of them was not, 0: none yet
}

func (k *keeping) note(empty, check *checkRun) {
	switch {
	case !empty.Kept || !check.Kept:
		if k.least == 0 || check.Rate < k.least {
			k.least = check.Rate
		}
	case check.Rate > k.most.Rate:
		k.most = *check
		k.most.What = highest
	}
}

// next returns the rate to try next; false if it has been found closely enough, or is greater than all that were asked for.
func (k *keeping) next() (rate float64, ok bool) {
	const step = 500 // checks a second
	rate = float64(int64((k.most.Rate+k.least)/2/step)) * step
	return rate, k.least > 0 && rate > k.most.Rate && rate < k.least
}

// measure runs the engine and lets it be asked, at rest and while it ingests.
func (b *benchCheck) measure(ctx context.Context, site *site, stdio *cli.Stdio) (err error) {
	agents, err := bench.NewAgents(site.cluster, site.graph, b.agents, b.items)
	if err != nil {
		return cli.Unavailable(err)
	}
	defer agents.Close()
	feed, fed := bench.NewFeed(), make(chan error, 1)
	feeding, enough := context.WithCancel(ctx)
	records := int64(b.workload.Workflows) * bench.EventsPerWorkflow
	workload := b.workload
	workload.Workflows = 100_000_000 // it goes on until it is enough
	// The backlog ends a minute ago; what comes behind it happens as it is written: were it older than the lateness, each decision would be judged
	// as soon as it is read, and again with each event of its workflow that comes after it.
	workload.Begin = event.Of(b.now().Add(-time.Minute)) - event.Time(2*records)
	workload.Now = func() event.Time {
		if feed.Written() < records {
			return 0
		}
		return event.Of(b.now())
	}
	go func() { fed <- feed.Run(feeding, site.cluster, site.graph, &workload, records) }()
	defer func() { enough(); err = errors.Join(err, <-fed) }()
	select {
	case <-feed.Backlog():
	case err := <-fed:
		fed <- nil
		return cli.Unavailable(err)
	}
	engine, err := site.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.stop()) }()
	most, err := b.most(ctx, engine, records)
	if err != nil {
		return err
	}
	if err := agents.Load(ctx, b.now().Add(-time.Minute)); err != nil {
		return cli.Unavailable(err)
	}
	if err := b.settled(ctx, engine); err != nil {
		return err
	}
	results := b.format.Results(stdio, "WHAT", "INGESTED/S", "ASKED/S", "ANSWERED/S", "KEPT UP", "P50 µs", "P99 µs", "MAX µs", "P50 / EMPTY", "P99 / EMPTY", "ENGINE CORES", "CLIENT CORES", "ANSWERS", "MISSED")
	if err := b.asked(ctx, site, engine, results, false); err != nil {
		return err
	}
	rate := b.ingest
	if rate == 0 {
		live, err := b.live(ctx, engine, feed)
		if err != nil {
			return err
		}
		rate = live / 2
		fmt.Fprintf(stdio.Err, "a backlog was ingested at %s records a second, and as they come %s\n", cli.Count(int64(most)), cli.Count(int64(live)))
	}
	fmt.Fprintf(stdio.Err, "now %s records a second come in\n", cli.Count(int64(rate)))
	feed.Go(bench.AtRate(rate))
	if err := b.asked(ctx, site, engine, results, true); err != nil {
		return err
	}
	return results.Flush()
}

// most is how many records of a backlog are ingested a second.
func (b *benchCheck) most(ctx context.Context, engine *running, records int64) (rate float64, err error) {
	var begun time.Time
	first := 0.0
	err = engine.until(ctx, 20*time.Millisecond, func() (bool, error) {
		n, err := total(engine.Registry(), "freshet_events_total")
		if n > 0 && begun.IsZero() {
			begun, first = b.now(), n
		}
		if int64(n) < records {
			return false, err
		}
		rate = (n - first) / b.now().Sub(begun).Seconds()
		return true, err
	})
	return rate, err
}

// liveBacklog is how many records wait at most while it is measured how many are ingested as they come.
const liveBacklog = 16384

// live is how many records are ingested a second as they come, if no more come than are ingested. It is less than of a backlog: there all events of
// a workflow are folded at once, and its row is written once.
func (b *benchCheck) live(ctx context.Context, engine *running, feed *bench.Feed) (rate float64, err error) {
	before, err := total(engine.Registry(), "freshet_events_total")
	if err != nil {
		return 0, err
	}
	before -= float64(feed.Written())
	feed.Go(bench.Within(liveBacklog, func() (int64, error) {
		n, err := total(engine.Registry(), "freshet_events_total")
		return feed.Written() - int64(n-before), err
	}))
	if err := pause(ctx, b.span/2); err != nil {
		return 0, err
	}
	was, err := total(engine.Registry(), "freshet_events_total")
	if err != nil {
		return 0, err
	}
	began := b.now()
	if err := pause(ctx, b.span); err != nil {
		return 0, err
	}
	is, err := total(engine.Registry(), "freshet_events_total")
	return (is - was) / b.now().Sub(began).Seconds(), err
}

// settled waits until the engine is ready and the agents' loads are applied.
func (b *benchCheck) settled(ctx context.Context, engine *running) error {
	loaded := b.now()
	return engine.until(ctx, readyGap, func() (bool, error) {
		for _, p := range engine.Partitions() {
			if !p.Live || !p.AppliedThrough.Go().After(loaded) {
				return false, nil
			}
		}
		return engine.Ready() == nil, nil
	})
}

// asked lets another process ask, and adds what it says to the results.
func (b *benchCheck) asked(ctx context.Context, site *site, engine *running, results *cli.Results, busy bool) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	args := []string{"bench", "check", "-check.server", engine.HTTPAddr(), "-kafka.brokers", site.cfg.Brokers, "-check.rates", b.rates,
		"-check.for", b.span.String(), "-check.connections", fmt.Sprint(b.connections), "-check.agents", fmt.Sprint(b.agents), "-check.items", fmt.Sprint(b.items),
		"-check.wait", b.wait.String(), "-check.search", strconv.Itoa(b.search), "-topics.partitions", fmt.Sprint(site.cfg.Topics.Partitions), "-topics.prefix", site.cfg.Topics.Prefix}
	if busy && b.cpuProfile != "" {
		args = append(args, "-cpuprofile", b.cpuProfile+".clients")
	}
	profile := b.cpuProfile
	if profile != "" && !busy {
		profile += ".rest"
	}
	stop, err := profileCPU(profile)
	if err != nil {
		return err
	}
	defer stop()
	cmd := exec.CommandContext(ctx, self, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run the clients: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run the clients: %w", err)
	}
	before, _ := total(engine.Registry(), "freshet_events_total")
	used := bench.Use(b.now(), 0)
	checked := map[float64]checkRun{} // by rate
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		m := checkRun{}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		m.Busy = busy
		if was, ok := checked[m.Rate]; ok && m.What == highest {
			m.Ingest, m.Engine = was.Ingest, was.Engine // it is that run again
		} else {
			is, _ := total(engine.Registry(), "freshet_events_total")
			uses := bench.Use(b.now(), 0)
			m.Ingest, m.Engine = (is-before)/uses.At.Sub(used.At).Seconds(), uses.Cores(used)
			before, used = is, uses
			checked[m.Rate] = m
		}
		if err := results.Add(m, m.cells()...); err != nil {
			return err
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the clients: %w: %s", err, said.String())
	}
	return nil
}

func (m *checkRun) cells() []string {
	over := func(x float64) string {
		if x == 0 {
			return ""
		}
		return fmt.Sprintf("%.2f", x)
	}
	var answers []string
	for _, v := range []string{"fresh", "stale", "unknown"} {
		if n := m.Verdicts[v]; n > 0 {
			answers = append(answers, fmt.Sprintf("%s %s", cli.Count(n), v))
		}
	}
	if len(answers) == 0 {
		answers = []string{cli.Count(m.Answers)}
	}
	kept := ""
	if m.Rate > 0 {
		kept = map[bool]string{true: "yes", false: "no"}[m.Kept]
	}
	return []string{m.What, cli.Count(int64(m.Ingest)), cli.Count(int64(m.Rate)), cli.Count(int64(m.Reached)), kept, fmt.Sprintf("%.0f", m.P50), fmt.Sprintf("%.0f", m.P99),
		fmt.Sprintf("%.0f", m.Max), over(m.OverP50), over(m.OverP99), fmt.Sprintf("%.2f", m.Engine), fmt.Sprintf("%.2f", m.Clients), strings.Join(answers, ", "), fmt.Sprint(m.Missed)}
}
