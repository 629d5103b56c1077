package exact

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/cmd/freshet/loader"
	"github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	full    = flag.Bool("exact.full", false, "run every combination, not one of each kind")
	seed    = flag.Uint64("exact.seed", 0, "seed of the shuffled orders; 0 takes one from the clock and prints it")
	brokers = flag.String("exact.brokers", "", "brokers to run against instead of an embedded one")
	verbose = flag.Bool("exact.log", false, "print the engine's log")
)

const golden = "../../testdata/golden"

var sets = []string{"coding-sessions", "adversarial-1", "adversarial-2", "adversarial-3", "adversarial-4"}

// scenario is one way through the engine.
type scenario struct {
	set        string
	partitions int
	order      string // given, reversed, shuffled
	running    bool   // loaded into the running engine, not before it starts
	restarts   int    // how often the engine is stopped and started on the way
}

func (s scenario) String() string {
	when := "before"
	if s.running {
		when = "running"
	}
	return fmt.Sprintf("%s/p%d/%s/%s/restarts%d", s.set, s.partitions, s.order, when, s.restarts)
}

// scenarios are all combinations, or few that meet every value of every dimension.
func scenarios() []scenario {
	if !*full {
		return []scenario{
			{"adversarial-1", 8, "shuffled", true, 2},
			{"adversarial-2", 1, "given", false, 0},
			{"adversarial-3", 12, "reversed", true, 0},
			{"adversarial-4", 8, "shuffled", false, 2},
			{"coding-sessions", 12, "given", false, 0},
		}
	}
	var all []scenario
	for _, set := range sets {
		for _, partitions := range []int{1, 8, 12} {
			for _, order := range []string{"given", "shuffled", "reversed"} {
				for _, running := range []bool{false, true} {
					for _, restarts := range []int{0, 2} {
						all = append(all, scenario{set, partitions, order, running, restarts})
					}
				}
			}
		}
	}
	return all
}

func TestGoldenSetsThroughTheEngine(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	for _, s := range scenarios() {
		t.Run(s.String(), func(t *testing.T) {
			t.Logf("repeat with: go test ./test/exact -run '%s' -exact.full=%v -exact.seed=%d", strings.ReplaceAll(t.Name(), "+", "."), *full, *seed)
			run(t, s)
		})
	}
}

func run(t *testing.T, s scenario) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	e := newEngine(t, s)
	lines := order(t, s)
	parts := 1 + s.restarts
	if s.running {
		e.start(ctx)
		e.await(ctx, event.Of(time.Now())) // it stands at the head: every use is final as soon as it is read, and amended from then on
		parts = max(parts, 4)
	}
	for i := range parts {
		e.load(ctx, lines[i*len(lines)/parts:(i+1)*len(lines)/parts])
		switch {
		case i < s.restarts:
			if e.app == nil {
				e.start(ctx)
			}
			e.stop() // in the middle of what it does
			e.start(ctx)
		case s.running:
			e.await(ctx, event.Of(time.Now()))
		}
	}
	loaded := event.Of(time.Now())
	if e.app == nil {
		e.start(ctx)
	}
	e.await(ctx, loaded)
	e.compare(ctx)
	if s.running && len(e.content) == len(e.last) {
		t.Error("nothing has been amended: the engine was not at the head")
	}
}

// order returns the set's lines in the scenario's order.
func order(t *testing.T, s scenario) [][]byte {
	lines := readLines(t, s.set+".events.ndjson.gz")
	switch s.order {
	case "reversed":
		slices.Reverse(lines)
	case "shuffled":
		rng := rand.New(rand.NewPCG(*seed, 1))
		rng.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	}
	return lines
}

func readLines(t *testing.T, name string) [][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join(golden, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		lines = append(lines, bytes.Clone(sc.Bytes()))
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// ---- the engine under test

type engine struct {
	t       *testing.T
	s       scenario
	cfg     app.Config
	brokers []string
	graph   *topology.Graph

	app  *app.App
	end  context.CancelFunc
	done chan error

	client  *kgo.Client
	content map[string]string         // record id → its bytes
	last    map[string]verdict        // use → last revision
	want    map[string]map[string]any // use → golden line
}

type verdict struct {
	revision int64
	line     map[string]any
}

func logger() log.Logger {
	if *verbose {
		return log.NewLogfmtLogger(log.NewSyncWriter(os.Stderr))
	}
	return log.NewNopLogger()
}

func newEngine(t *testing.T, s scenario) *engine {
	e := &engine{t: t, s: s, content: map[string]string{}, last: map[string]verdict{}, want: map[string]map[string]any{}}
	fs := flag.NewFlagSet("engine", flag.PanicOnError)
	e.cfg.RegisterFlags(fs)
	e.cfg.ContractsFile = filepath.Join(golden, s.set+".contracts.yaml")
	e.cfg.DataDir = t.TempDir()
	e.cfg.HTTPListen = ""
	e.cfg.InstanceID = "exact"
	e.cfg.Topics.Partitions = s.partitions
	e.cfg.Topics.Prefix = fmt.Sprintf("exact-%d.", time.Now().UnixNano())
	e.cfg.MemoryLimit = "4GiB"
	e.brokers = strings.Split(*brokers, ",")
	if *brokers == "" {
		e.brokers = []string{startBroker(t)}
	}
	e.cfg.Brokers = strings.Join(e.brokers, ",")
	a, err := app.New(e.cfg, logger())
	if err != nil {
		t.Fatal(err)
	}
	e.graph = a.Graph()
	e.createTopics()
	for _, line := range readLines(t, s.set+".verdicts.ndjson.gz") {
		var g map[string]any
		if err := json.Unmarshal(line, &g); err != nil {
			t.Fatal(err)
		}
		e.want[useOf(g)] = g
	}
	return e
}

func startBroker(t *testing.T) string {
	cfg := embedded.Config{}
	cfg.RegisterFlags(flag.NewFlagSet("broker", flag.PanicOnError))
	cfg.Listen, cfg.Dir = "127.0.0.1:0", ""
	b, err := embedded.New(cfg, logger())
	if err != nil {
		t.Fatal(err)
	}
	if err := services.StartAndAwaitRunning(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = services.StopAndAwaitTerminated(context.Background(), b) })
	return b.Addr()
}

func (e *engine) createTopics() {
	client, err := kgo.NewClient(kgo.SeedBrokers(e.brokers...))
	if err != nil {
		e.t.Fatal(err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	changes, err := topology.Plan(e.t.Context(), adm, e.graph, ".")
	if err == nil {
		err = topology.Apply(e.t.Context(), adm, changes)
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *engine) start(ctx context.Context) {
	e.t.Helper()
	a, err := app.New(e.cfg, logger())
	if err != nil {
		e.t.Fatal(err)
	}
	ctx, e.end = context.WithCancel(ctx)
	e.app, e.done = a, make(chan error, 1)
	go func() { e.done <- a.Run(ctx) }()
	select {
	case <-a.Running():
	case err := <-e.done:
		e.t.Fatalf("the engine ended: %v", err)
	}
	e.t.Cleanup(e.stop)
}

func (e *engine) stop() {
	if e.end == nil {
		return
	}
	e.end()
	if err := <-e.done; err != nil {
		e.t.Errorf("the engine ended with: %v", err)
	}
	e.end = nil
}

func (e *engine) load(ctx context.Context, lines [][]byte) {
	e.t.Helper()
	l, err := loader.Open(ctx, e.brokers, e.graph)
	if err != nil {
		e.t.Fatal(err)
	}
	defer l.Close()
	for i, line := range lines {
		r, reason := l.Record(line)
		if reason != event.OK {
			e.t.Fatalf("line %d: %s", i+1, reason)
		}
		if err := l.Produce(ctx, r); err != nil {
			e.t.Fatal(err)
		}
	}
	if err := l.Finish(ctx); err != nil {
		e.t.Fatal(err)
	}
}

// await waits until every partition has applied what was loaded.
func (e *engine) await(ctx context.Context, loaded event.Time) {
	e.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	partitions := 2 * e.s.partitions
	for {
		all := e.app.Partitions()
		through := 0
		for _, p := range all {
			if p.Live && p.AppliedThrough > loaded {
				through++
			}
		}
		if through == partitions {
			return
		}
		select {
		case err := <-e.done:
			e.t.Fatalf("the engine ended: %v", err)
		case <-ctx.Done():
			for _, p := range all {
				e.t.Logf("%+v", p)
			}
			e.t.Fatalf("%d of %d partitions have applied what was loaded; %v", through, partitions, e.app.Ready())
		case <-tick.C:
		}
	}
}

// ---- what was said

// compare reads verdicts until the last revisions are the golden lines, and then as long as one more clock tick takes: they must stay so.
func (e *engine) compare(ctx context.Context) {
	e.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(e.brokers...), kgo.ConsumeTopics(e.graph.Verdicts),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		e.t.Fatal(err)
	}
	defer client.Close()
	e.client = client
	patience, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for !e.equal() && patience.Err() == nil {
		e.poll(patience)
	}
	settled, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer cancel()
	for settled.Err() == nil {
		e.poll(settled)
	}
	if e.equal() {
		e.t.Logf("%d verdicts, %d revisions", len(e.last), len(e.content))
		return
	}
	e.report()
}

func (e *engine) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	e.client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
		var id string
		for _, h := range r.Headers {
			if h.Key == "ce_id" {
				id = string(h.Value)
			}
		}
		if before, known := e.content[id]; known && before != string(r.Value) {
			e.t.Errorf("id %s names two contents:\n%s\n%s", id, before, r.Value)
		}
		e.content[id] = string(r.Value)
		var d map[string]any
		if err := json.Unmarshal(r.Value, &d); err != nil {
			e.t.Fatalf("%s: %v", r.Value, err)
		}
		line := goldenOf(d)
		key, revision := useOf(line), int64(d["revision"].(float64))
		if before := e.last[key]; revision <= before.revision {
			e.t.Errorf("%s: revision %d after %d", key, revision, before.revision)
			return
		}
		e.last[key] = verdict{revision, line}
	})
}

func (e *engine) equal() bool {
	if len(e.last) != len(e.want) {
		return false
	}
	for key, want := range e.want {
		if got, ok := e.last[key]; !ok || !reflect.DeepEqual(got.line, want) {
			return false
		}
	}
	return true
}

func (e *engine) report() {
	e.t.Helper()
	missing, wrong, extra := 0, 0, 0
	say := func(n *int, format string, args ...any) {
		if *n++; *n <= 3 {
			e.t.Errorf(format, args...)
		}
	}
	for key, want := range e.want {
		got, ok := e.last[key]
		switch {
		case !ok:
			say(&missing, "missing: %s", key)
		case !reflect.DeepEqual(got.line, want):
			g, _ := json.Marshal(got.line)
			w, _ := json.Marshal(want)
			say(&wrong, "%s, revision %d:\n got  %s\n want %s", key, got.revision, g, w)
		}
	}
	for key := range e.last {
		if e.want[key] == nil {
			say(&extra, "additional: %s", key)
		}
	}
	e.t.Errorf("%d verdicts expected: %d missing, %d wrong, %d additional", len(e.want), missing, wrong, extra)
}

func useOf(line map[string]any) string {
	return fmt.Sprintf("%v %v %v", line["workflow"], line["decision_id"], line["use"])
}

// goldenOf turns the data of a verdict record into the form of a golden line.
func goldenOf(d map[string]any) map[string]any {
	line := map[string]any{"cls": d["class"]}
	for _, k := range []string{"workflow", "workflow_type", "decision_id", "use", "traffic_class", "verdict", "reasons", "staleness_s", "age_s", "versions_behind", "cause", "owner"} {
		line[k] = d[k]
	}
	items := []any{}
	for _, it := range d["items"].([]any) {
		it := it.(map[string]any)
		item := map[string]any{"seq": it["used"].(map[string]any)["seq"]}
		for _, k := range []string{"kind", "key", "verdict", "reasons", "staleness_s", "age_s", "versions_behind", "causes"} {
			if v, ok := it[k]; ok {
				item[k] = v
			}
		}
		items = append(items, item)
	}
	line["items"] = items
	return line
}
