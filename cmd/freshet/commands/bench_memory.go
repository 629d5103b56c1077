package commands

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

type benchMemory struct {
	measurement
	workflows string
	items     int
	stale     float64
	rest      time.Duration
}

func benchMemoryCommand() *cli.Command {
	b := &benchMemory{measurement: measurement{now: time.Now}}
	return &cli.Command{
		Name:    "bench memory",
		Summary: "measure what open workflows take of memory at rest",
		About: `Has more and more open workflows hold one item each, and lets the engine, in a process of its own, come to rest with each number of them: says
then how much memory it has, how much of its heap lives, and by how many bytes for each workflow that is more than with the number before. The
living heap is the least that the heap has come to in that time, between two collections. The broker, if it is an embedded one, is in the
process of the command. Flags of the engine are passed on to it, GOMEMLIMIT as well.`,
		Example: "freshet bench memory -memory.workflows 100000,250000,1000000",
		Flags: func(f *flag.FlagSet) {
			b.register(f)
			f.StringVar(&b.workflows, "memory.workflows", "100000,250000,1000000", "Open workflows, one figure for each measurement, each more than the one before.")
			f.IntVar(&b.items, "memory.items", 1000, "How many items they hold, one each.")
			f.Float64Var(&b.stale, "memory.stale", 0, "Share of the workflows whose item is stale, so that each of them has an open detection.")
			f.DurationVar(&b.rest, "memory.rest", 40*time.Second, "For how long the engine is looked at once it has nothing to do; it gives back to the system what it has free after 20s.")
		},
		Run: b.run,
	}
}

// atRest is a result.
type atRest struct {
	Workflows int   `json:"workflows"`
	Resident  int64 `json:"resident_bytes"`
	Live      int64 `json:"live_bytes"`
	// More for each workflow than with the number before.
	ResidentEach float64 `json:"resident_bytes_per_workflow,omitempty"`
	LiveEach     float64 `json:"live_bytes_per_workflow,omitempty"`
}

// goalEach is by how much resident memory may grow with each open workflow, in bytes.
const goalEach = 1024

func (b *benchMemory) run(ctx context.Context, args []string, stdio *cli.Stdio) (err error) {
	if len(args) > 0 {
		return cli.Usagef("%q: bench memory takes no arguments", args[0])
	}
	steps, err := b.steps()
	if err != nil {
		return err
	}
	site, err := b.open(ctx, bench.HeldContract("max_age: 10d", time.Second), stdio)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	engine := &process{m: &b.measurement, site: site, id: "engine", listen: "127.0.0.1:0", err: stdio.Err}
	defer func() { err = errors.Join(err, engine.stop()) }()
	if err := engine.start(ctx); err != nil {
		return err
	}
	w, err := bench.NewWriter(site.cluster, site.graph)
	if err != nil {
		return err
	}
	defer w.Close()
	results := b.format.Results(stdio, "WORKFLOWS", "RSS MiB", "LIVE MiB", "RSS B/WORKFLOW", "LIVE B/WORKFLOW", "GOAL")
	var was atRest
	for _, n := range steps {
		is, err := b.step(ctx, engine, w, was.Workflows, n, stdio)
		if err != nil {
			return err
		}
		resident, live, goal := "", "", ""
		if was.Workflows > 0 {
			more := float64(n - was.Workflows)
			is.ResidentEach, is.LiveEach = float64(is.Resident-was.Resident)/more, float64(is.Live-was.Live)/more
			resident, live, goal = fmt.Sprintf("%.0f", is.ResidentEach), fmt.Sprintf("%.0f", is.LiveEach), fmt.Sprintf("≤ %d", goalEach)
		}
		if err := results.Add(is, cli.Count(int64(n)), fmt.Sprint(is.Resident>>20), fmt.Sprint(is.Live>>20), resident, live, goal); err != nil {
			return err
		}
		was = is
	}
	return results.Flush()
}

// steps are the numbers of workflows.
func (b *benchMemory) steps() (steps []int, err error) {
	last := 0
	for text := range strings.SplitSeq(b.workflows, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n <= last {
			return nil, cli.Usagef("-memory.workflows %q: must be numbers of workflows, each greater than the one before", b.workflows)
		}
		steps, last = append(steps, n), n
	}
	if b.items < 1 || b.stale < 0 || b.stale > 1 || b.rest < time.Second {
		return nil, cli.Usagef("-memory.items %d: at least 1; -memory.stale %v: between 0 and 1; -memory.rest %s: at least 1s", b.items, b.stale, b.rest)
	}
	return steps, nil
}

// step lets there be n open workflows instead of was, and looks at the engine at rest.
func (b *benchMemory) step(ctx context.Context, engine *process, w *bench.Writer, was, n int, stdio *cli.Stdio) (m atRest, err error) {
	at := b.now().Add(-time.Minute)
	stale := was + int(float64(n-was)*b.stale)
	progress := stdio.Progress("workflows", b.now())
	defer progress.Clear()
	for _, h := range []bench.Held{
		{First: was, Workflows: stale - was, Items: b.items, At: at, AsOf: at.Add(-11 * 24 * time.Hour)},
		{First: stale, Workflows: n - stale, Items: b.items, At: at},
	} {
		if h.Workflows == 0 {
			continue
		}
		if err := w.Hold(ctx, h, func(i int64) { progress.Say(int64(h.First)+i, float64(int64(h.First)+i)/float64(n), b.now()) }); err != nil {
			return m, cli.Unavailable(err)
		}
	}
	if err := b.quiet(ctx, engine, n); err != nil {
		return m, err
	}
	m.Workflows = n
	for end := b.now().Add(b.rest); b.now().Before(end); {
		series, err := engine.series(ctx)
		if err != nil {
			return m, err
		}
		m.Resident = int64(series["process_resident_memory_bytes"])
		if heap := int64(series["go_memstats_heap_alloc_bytes"]); m.Live == 0 || heap < m.Live {
			m.Live = heap
		}
		if err := pause(ctx, time.Second); err != nil {
			return m, err
		}
	}
	return m, nil
}

// quiet waits until the engine has n open workflows and the stale ones among them, and commits little.
func (b *benchMemory) quiet(ctx context.Context, engine *process, n int) error {
	const calmLooks = 8 // seconds
	calm, committed := 0, -1.0
	for calm < calmLooks {
		series, err := engine.series(ctx)
		if err != nil {
			return err
		}
		is := series["freshet_commit_records_total"]
		if calm++; is-committed > quiet || series["freshet_open_workflows"] < float64(n) || series["freshet_stale_holdings"] < float64(n)*b.stale-1 {
			calm = 0
		}
		committed = is
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}

// series are the instance's metrics, each summed up over its labels.
func (p *process) series(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.http+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("ask instance %s: %w", p.id, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, cli.Unavailable(fmt.Errorf("ask instance %s: %w", p.id, err))
	}
	defer resp.Body.Close()
	sums := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20) // exemplars
	for lines.Scan() {
		name, rest := lines.Text(), ""
		if at := strings.IndexAny(name, "{ "); at >= 0 {
			name, rest = name[:at], name[strings.LastIndexByte(name, ' ')+1:]
		}
		if v, err := strconv.ParseFloat(rest, 64); err == nil && !strings.HasPrefix(name, "#") {
			sums[name] += v
		}
	}
	return sums, lines.Err()
}
