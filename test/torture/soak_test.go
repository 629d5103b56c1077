//go:build unix

package torture

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/loader"
	broker "github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/freshet-io/freshet/test/kafka"
	"github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	soakFor   = flag.Duration("soak", 0, "for how long of event time TestSoak runs; 0: it does not")
	soakSpeed = flag.Int("soak.speed", 60, "how many times as fast as the machine's the soak's clock goes")
	soakOn    = flag.String("soak.on", "kafka", "kafka, or embedded: a broker in the test's process, which takes less of the machine and compacts nothing while it runs")
	soakHeap  = flag.String("soak.heap", "", "directory for a profile of what lives on the engine's heap at the end of each hour; empty: none")
	soakStop  = flag.Duration("soak.freeze", 0, "for how long of event time the soak's engine is frozen in the middle of it")
)

// TestSoak lets days pass in minutes: the clock of the engine's machine goes many times as fast, and events happen by that clock. Decisions
// leave when they are too old to be amended, workflows when nobody has heard of them for too long, versions when there are too many, silence
// comes and goes, detections open and close. After the longest of these times nothing may grow but what topics keep by time, and in the end the
// last revisions are those of the judgement over all events.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("NOT RUN: make soak runs it")
	}
	wall := *soakFor / time.Duration(*soakSpeed)
	ctx, cancel := context.WithTimeout(t.Context(), wall+10*time.Minute)
	t.Cleanup(cancel)
	w := soakWorld(t)
	// Brokers refuse records of the future: the soak ends a little before the machine's own time.
	real := time.Now().Truncate(time.Millisecond)
	s := &soak{world: w, speed: time.Duration(*soakSpeed), real: real, shown: real.Add(-*soakFor), tables: newTables(w)}
	i := w.instance("i0")
	i.pace = fmt.Sprintf("%d/%d/%d", *soakSpeed, s.real.UnixMilli(), s.shown.UnixMilli())
	if *soakHeap != "" {
		var err error
		if i.heap, err = filepath.Abs(*soakHeap); err == nil {
			err = os.MkdirAll(i.heap, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	i.start("")
	i.awaitReady(ctx)
	events := soakEvents(s.now().Add(30*time.Minute), s.shown.Add(*soakFor))
	t.Logf("%d events of %v, in %v", len(events), *soakFor, wall)
	s.run(ctx, i, events)
	s.want(events)
	s.settled(ctx, i)
	s.flat()
	i.stop()
}

// soakContract keeps what is old for a shorter time than the default, so that a day has many of these times in it.
const soakContract = `version: 1
owners: {pay: {slack: "#pay"}, risk: {slack: "#risk"}}
contexts:
  policy: {owner: risk, max_silence: 30m}
  feature: {owner: risk, history: 32, versions_limit: 128}
workflows:
  refund:
    owner: pay
    bounds: {policy: {max_versions_behind: 0, max_staleness: 5m}}
retention: {decisions: 2h, workflow_idle: 3h}
lateness: {default: 1m}
slos:
  - {name: refunds, workflow: refund, use: action.executed, objective: 0.9, window: 1d, owner: pay}
detections:
  - {name: held, workflow: refund, for: 10m, severity: ticket, limit: 1000}
`

// soakSettles is when everything that goes by time has come and gone once: idle workflows are abandoned after three hours, and leave two hours
// later; 128 versions of an item that changes once a minute are there after little more than two hours.
const soakSettles = 6 * time.Hour

func soakWorld(t *testing.T) *world {
	t.Helper()
	contract := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(contract, []byte(soakContract), 0o644); err != nil {
		t.Fatal(err)
	}
	// What takes half a minute of lag to be said takes half an hour of it here; and what collects before a file is written is to be written a
	// few times.
	s := setup{at: cluster, contract: contract, partitions: 4, sessionTimeout: 10 * time.Second, flags: []string{"-ready.max-lag", "30m", "-state.memtable-bytes", "8388608"}}
	if *soakOn == "embedded" {
		s.addrs = []string{soakBroker(t)}
		return newWorld(t, s)
	}
	t.Setenv(kafka.Env, orTry(os.Getenv(kafka.Env)))
	s.cluster = kafka.Start(t, kafka.Options{Properties: map[string]string{"log.cleaner.backoff.ms": "5000"}})
	w := newWorld(t, s)
	// With little written in minutes, closed segments, and so compaction, would never come.
	size := fmt.Sprint(1 << 20)
	for _, topic := range w.compacted() {
		if _, err := w.admin().AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "segment.bytes", Value: &size}}, topic); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// soakBroker starts a broker in this process, with a directory of its own.
func soakBroker(t *testing.T) (addr string) {
	t.Helper()
	var cfg broker.Config
	cfg.RegisterFlags(flag.NewFlagSet("broker", flag.PanicOnError))
	cfg.Listen, cfg.Dir = "127.0.0.1:0", t.TempDir()
	b, err := broker.New(cfg, log.NewNopLogger())
	if err == nil {
		err = services.StartAndAwaitRunning(context.WithoutCancel(t.Context()), b)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = services.StopAndAwaitTerminated(context.Background(), b) })
	return b.Addr()
}

func orTry(v string) string {
	if v == "" {
		return "try"
	}
	return v
}

// compacted are the topics of which the last record of each key is kept.
func (w *world) compacted() []string {
	g := w.graph
	return []string{g.Workflows.Table, g.Sources.Table, g.Alerting.Table, g.Detections, g.Buckets}
}

// soak is a world whose clock goes faster.
type soak struct {
	*world
	speed       time.Duration
	real, shown time.Time // what this machine's clock shows, and the soak's at the same instant
	tables      *tables
	hours       []hour
	way         way
}

func (s *soak) now() time.Time { return s.shown.Add(time.Since(s.real) * s.speed) }

// hour is what was there at the end of an hour of event time; Live and Resident are the least and the most that was seen in it.
type hour struct {
	N, Events                       int
	Decisions, Late, CPU            float64
	Open, Held                      float64
	Workflows, Versions             int
	Live, Resident                  int64
	State, Compacted, Inputs, Other int64
	Way                             time.Duration // the longest that an event was on its way to the broker
}

// run lets the events happen, and looks at the engine meanwhile.
func (s *soak) run(ctx context.Context, i *instance, events []soaked) {
	s.t.Helper()
	s.way.s = s
	l, err := loader.Open(ctx, access.Open(s.brokers...), s.graph, kgo.WithHooks(&s.way))
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	s.t.Log(hourHeader)
	was := s.counters(ctx, i)
	h, ends := hour{N: 1}, events[0].at.Add(time.Hour)
	frozen := s.shown.Add((*soakFor - *soakStop) / 2)
	for looks := 0; ; looks++ {
		now, n := s.now(), 0
		for ; n < len(events) && !events[n].at.After(now); n++ {
			r, reason := l.Record(events[n].line)
			if r == nil {
				s.t.Fatalf("%s: %s", reason, events[n].line)
			}
			if err := l.Produce(ctx, r); err != nil {
				s.t.Fatal(err)
			}
		}
		events, h.Events = events[n:], h.Events+n
		if *soakStop > 0 && i.frozen != (now.After(frozen) && now.Before(frozen.Add(*soakStop))) {
			s.turn(i)
		}
		if looks%5 == 0 && !i.frozen {
			s.look(ctx, i, &h)
		}
		if !now.Before(ends) && !i.frozen {
			is := s.counters(ctx, i)
			s.close(ctx, i, &h, was, is)
			if i.heap != "" {
				i.signal(syscall.SIGUSR1)
			}
			was, h, ends = is, hour{N: h.N + 1}, ends.Add(time.Hour)
		}
		if len(events) == 0 {
			break
		}
		select {
		case <-tick.C:
		case <-i.done:
			s.t.Fatalf("the engine ended: %s", i.lastWords())
		case <-ctx.Done():
			s.t.Fatal(ctx.Err())
		}
	}
	if err := l.Finish(ctx); err != nil {
		s.t.Fatal(err)
	}
}

// turn freezes an instance that runs, and wakes one that is frozen.
func (s *soak) turn(i *instance) {
	s.t.Logf("%s at %v: frozen is %v", i.id, s.now().Format(time.TimeOnly), !i.frozen)
	if i.frozen {
		i.wake()
	} else {
		i.freeze()
	}
}

// look takes what is there now: between two collections of garbage the heap says nothing of what lives, so the least of an hour counts.
func (s *soak) look(ctx context.Context, i *instance, h *hour) {
	if alloc := int64(i.sum(ctx, "go_memstats_heap_alloc_bytes")); alloc > 0 && (h.Live == 0 || alloc < h.Live) {
		h.Live = alloc
	}
	h.Resident = max(h.Resident, int64(i.sum(ctx, "process_resident_memory_bytes")))
	s.tables.poll(ctx)
}

// sum adds up a series of the instance, whatever its labels.
func (i *instance) sum(ctx context.Context, name string) (sum float64) {
	for _, v := range i.metric(ctx, name) {
		sum += v
	}
	return sum
}

// counters are what an hour is the difference of. An instance that is busy may not answer at once.
func (s *soak) counters(ctx context.Context, i *instance) map[string]float64 {
	s.t.Helper()
	all := map[string]float64{}
	s.until(ctx, func() string {
		for _, name := range []string{"freshet_decisions_total", "process_cpu_seconds_total"} {
			all[name] = i.sum(ctx, name)
		}
		all["late"] = 0
		for labels, v := range i.metric(ctx, "freshet_events_total") {
			if strings.Contains(labels, `result="late"`) {
				all["late"] += v
			}
		}
		if all["process_cpu_seconds_total"] == 0 {
			return i.id + " does not say what it counts"
		}
		return ""
	})
	return all
}

// close ends an hour.
func (s *soak) close(ctx context.Context, i *instance, h *hour, was, is map[string]float64) {
	s.t.Helper()
	h.Decisions, h.CPU = is["freshet_decisions_total"]-was["freshet_decisions_total"], is["process_cpu_seconds_total"]-was["process_cpu_seconds_total"]
	h.Late, h.Way = is["late"]-was["late"], s.way.take()
	h.Open, h.Held = i.sum(ctx, "freshet_open_workflows"), i.sum(ctx, "freshet_stale_holdings")
	h.Workflows, h.Versions = s.tables.counts()
	h.State = size(s.t, filepath.Join(i.data, "rows"))
	dirs, err := s.admin().DescribeAllLogDirs(ctx, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	kinds := map[string]*int64{}
	for _, topic := range s.compacted() {
		kinds[topic] = &h.Compacted
	}
	for _, topic := range s.inputs() {
		kinds[topic] = &h.Inputs
	}
	for _, d := range dirs {
		d.EachPartition(func(p kadm.DescribedLogDirPartition) {
			if to := kinds[p.Topic]; to != nil {
				*to += p.Size
			} else if strings.HasPrefix(p.Topic, s.prefix) {
				h.Other += p.Size
			}
		})
	}
	s.hours = append(s.hours, *h)
	s.t.Log(h)
}

const hourHeader = "| hour | events | decisions | workflow rows | open | stale held | versions | live heap MiB | RSS MiB | state MiB | compacted topics MiB | inputs MiB | other topics MiB | CPU s | on the way min |"

func (h *hour) String() string {
	mib := func(n int64) string { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }
	return fmt.Sprintf("| %d | %d | %.0f | %d | %.0f | %.0f | %d | %s | %s | %s | %s | %s | %s | %.1f | %.0f |", h.N, h.Events, h.Decisions, h.Workflows, h.Open, h.Held, h.Versions,
		mib(h.Live), mib(h.Resident), mib(h.State), mib(h.Compacted), mib(h.Inputs), mib(h.Other), h.CPU, h.Way.Minutes())
}

// size is what the files of a directory take. One that goes meanwhile takes nothing.
func size(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil && !d.IsDir() {
			n += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// want is what the judgement over all events says.
func (s *soak) want(events []soaked) {
	s.t.Helper()
	var all bytes.Buffer
	for _, e := range events {
		all.Write(append(e.line, '\n'))
	}
	file := filepath.Join(s.dir, "soak.ndjson")
	if err := os.WriteFile(file, all.Bytes(), 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.world.want = map[string]map[string]any{}
	for line := range bytes.Lines(s.freshet("judge", "-contracts.file", s.contract, file)) {
		var g map[string]any
		if err := json.Unmarshal(line, &g); err != nil {
			s.t.Fatal(err)
		}
		s.world.want[harness.UseOf(g)] = g
	}
}

// settled waits until the last revisions are those of the judgement, as long as more of them come.
func (s *soak) settled(ctx context.Context, i *instance) {
	s.t.Helper()
	ended, verdicts := s.now(), s.ledger()
	missing := "nothing has been read"
	// Comparing takes longer than reading a record: it is done when there is nothing to read.
	for last := time.Now(); ctx.Err() == nil && missing != "" && time.Since(last) < settlePatience; {
		if verdicts.poll(ctx) > 0 {
			last = time.Now()
			continue
		}
		missing = verdicts.differs(s.world.want)
	}
	if missing != "" {
		s.t.Errorf("%s; %s; %s; %s", missing, cmp.Or(s.behind(ctx, ended), "all partitions have applied what was loaded"), s.lateness(ctx, i), s.states())
	} else {
		s.t.Log(s.lateness(ctx, i))
	}
	s.t.Logf("%d verdicts, %d revisions", len(verdicts.last), len(verdicts.content))
}

// flat holds the last hours against those after everything that goes by time has come and gone once.
func (s *soak) flat() {
	s.t.Helper()
	settled := int(soakSettles / time.Hour)
	if len(s.hours) < settled+6 {
		s.t.Logf("%d hours are too few to say that nothing grows: at least %d", len(s.hours), settled+6)
		return
	}
	third := (len(s.hours) - settled) / 3
	early, late := s.hours[settled:settled+third], s.hours[len(s.hours)-third:]
	const mib = 1 << 20
	for _, c := range []struct {
		what  string
		of    func(h *hour) int64
		slack int64
	}{
		{"workflow rows", func(h *hour) int64 { return int64(h.Workflows) }, 20},
		{"open workflows", func(h *hour) int64 { return int64(h.Open) }, 20},
		{"stale items held", func(h *hour) int64 { return int64(h.Held) }, 40},
		{"versions", func(h *hour) int64 { return int64(h.Versions) }, 20},
		{"live heap", func(h *hour) int64 { return h.Live }, 4 * mib},
		{"RSS", func(h *hour) int64 { return h.Resident }, 16 * mib},
		{"state", func(h *hour) int64 { return h.State }, 8 * mib},
		{"compacted topics", func(h *hour) int64 { return h.Compacted }, 8 * mib},
	} {
		if c.what == "compacted topics" && *soakOn == "embedded" {
			continue // it compacts when it starts
		}
		was, is := mean(early, c.of), mean(late, c.of)
		if is > was+was/10+c.slack {
			s.t.Errorf("%s: %d on average in hours %d to %d, %d in hours %d to %d: it grows", c.what, was, early[0].N, early[third-1].N, is, late[0].N, late[third-1].N)
		}
	}
	for _, h := range s.hours {
		if h.Late > 0 {
			s.t.Errorf("%.0f events of hour %d were late; the longest way to the broker was %v", h.Late, h.N, h.Way.Round(time.Minute))
		}
	}
}

func mean(hours []hour, of func(h *hour) int64) (sum int64) {
	for i := range hours {
		sum += of(&hours[i])
	}
	return sum / int64(len(hours))
}
