package query

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/query/check"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/slo/budget"
	"github.com/go-kit/log"
)

// fake is an engine that has applied what a test gave it, in memory.
type fake struct {
	*freshness.Facts
	batch    *freshness.Batch
	contract *freshness.Contract
	file     *slo.File
	now      event.Time
	here     bool
	clock    check.Clock   // of every workflow partition
	sources  []check.Clock // of the source partitions; nil: one that shows clock
	next     chan struct{}
	position int64 // of every input
	row      func(id string) (*freshness.Workflow, error)

	reading bool // how the objectives stand

	feed      fakeFeed
	changes   Changes
	instant   *atomic.Int64 // what time it is, if a test changes it while the server runs
	ids       []string      // of the workflows, sorted
	lines     [][]byte      // the events, at their offsets
	start     int64         // what lies before it has been deleted
	revisions map[string][][]byte
}

func (f *fake) Partition(string) int32            { return 0 }
func (f *fake) Owner(int32) check.Owner           { return check.Owner{Here: f.here} }
func (f *fake) Clock(int32) check.Clock           { return f.clock }
func (f *fake) Next(int32) <-chan struct{}        { return f.next }
func (f *fake) At(event.Time) *freshness.Contract { return f.contract }
func (f *fake) DecisionRetention() freshness.Duration {
	return f.file.DecisionRetention()
}

func (f *fake) Workflow(_ int32, id string) (*freshness.Workflow, error) {
	if f.row != nil {
		return f.row(id)
	}
	return f.batch.Workflow(id), nil
}

func (f *fake) Reach(_ int32, at freshness.Position) (func() bool, bool) {
	return func() bool { return f.position > at.Offset }, at.Topic == "workflow.context"
}

func (f *fake) Partitions() int32 { return 1 }

func (f *fake) Scan(_ int32, from string, each func(w *freshness.Workflow) bool) error {
	for _, id := range f.ids {
		if id >= from && !each(f.batch.Workflow(id)) {
			break
		}
	}
	return nil
}

func (f *fake) Holders(_ int32, kind, key string, after []byte, each func(string, []byte) bool) error {
	for _, id := range f.ids {
		if id > string(after) && f.batch.Workflow(id).Holding(kind, key) != nil && !each(id, []byte(id)) {
			break
		}
	}
	return nil
}

func (f *fake) Fetch(_ context.Context, at []freshness.Position) ([]*Record, error) {
	found := make([]*Record, len(at))
	for i, p := range at {
		if int(p.Offset) < len(f.lines) && p.Offset >= f.start {
			var e event.Event
			event.NewDecoder(event.Config{}).DecodeStructured(f.lines[p.Offset], 0, &e)
			found[i] = &Record{Category: e.Type.Category(), Key: []byte(e.Subject), Value: f.lines[p.Offset], Headers: []event.Header{{Key: []byte("content-type"), Value: []byte("application/cloudevents+json")}}}
		}
	}
	return found, nil
}

func (f *fake) Verdicts(_ context.Context, workflow string, _, _ event.Time, each func([]byte)) (bool, error) {
	for _, b := range f.revisions[workflow] {
		each(b)
	}
	return true, nil
}

// sourcesOf is the fake's other half: both have a method Partition.
type sourcesOf struct{ *fake }

func (f sourcesOf) Partition(_, key string) int32 {
	if f.sources == nil {
		return 0
	}
	return int32(len(key)) % int32(len(f.sources))
}

func (f sourcesOf) Clocks(to []check.Clock) []check.Clock {
	if f.sources == nil {
		return append(to, f.clock)
	}
	return append(to, f.sources...)
}

const (
	second = event.Time(1000)
	minute = 60 * second
)

// newFake folds structured events.
func newFake(t testing.TB, contract string, lines [][]byte) *fake {
	t.Helper()
	text, err := os.ReadFile(contract)
	if err != nil {
		t.Fatal(err)
	}
	file, err := slo.Parse(text, contract, func(string) (string, bool) { return "", true })
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{file: file, contract: file.Contract(), here: true, next: make(chan struct{})}
	f.batch = freshness.NewBatch(f.contract, freshness.DefaultLimits())
	f.Facts = f.batch.Facts()
	f.add(t, lines...)
	f.live(f.now + minute)
	return f
}

func (f *fake) add(t testing.TB, lines ...[]byte) {
	t.Helper()
	d, e := event.NewDecoder(event.Config{}), event.Event{}
	for i, line := range lines {
		if reason := d.DecodeStructured(line, 0, &e); reason != event.OK {
			t.Fatalf("line %d: %s", i+1, reason)
		}
		f.batch.Add(&e, freshness.Position{Topic: topicOf(e.Type), Offset: int64(len(f.lines))})
		f.lines = append(f.lines, line)
		f.now = max(f.now, e.Time)
		if i, known := slices.BinarySearch(f.ids, e.Subject); !known && e.Type.Category() != event.Source {
			f.ids = slices.Insert(f.ids, i, strings.Clone(e.Subject))
		}
	}
}

func topicOf(t event.Type) string {
	if t.Category() == event.Source {
		return "context.source"
	}
	return "workflow.context"
}

// live lets it be an instant, of which everything has been applied.
func (f *fake) live(now event.Time) {
	f.now = now
	f.clock = check.Clock{Applied: now, Complete: now - 5*second, Live: true}
}

func (f *fake) time() event.Time {
	if f.instant != nil {
		return event.Time(f.instant.Load())
	}
	return f.now
}

// serve returns a server over the fake.
func (f *fake) serve(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.MaxBodyBytes == 0 {
		cfg.MaxBodyBytes = 256 << 10
	}
	if cfg.MaxWaiters == 0 {
		cfg.MaxWaiters = 4
	}
	s, err := New(cfg, Deps{Now: f.time, Metrics: metrics.New(nil), Logger: log.NewNopLogger()})
	if err != nil {
		t.Fatal(err)
	}
	s.Attach(f.engine())
	return s
}

func (f *fake) engine() Engine {
	return Engine{Rows: f, Sources: sourcesOf{f}, Contracts: f, Records: f, Status: func() Status { return Status{Instance: "fake"} }, Feed: &f.feed, Changes: &f.changes, Objectives: f.objectives}
}

// objectives says how the objectives stand: a use was fresh, another one stale.
func (f *fake) objectives(now event.Time) ([]budget.State, bool) {
	var states []budget.State
	for i := range f.file.SLOs {
		s := &f.file.SLOs[i]
		var l budget.Ledger
		l.Set(0, budget.Bucket{Start: budget.Start(now-minute, budget.Finest(s)), Size: budget.Finest(s), Counts: budget.Counts{Good: 1, Bad: 1}})
		states = append(states, budget.Evaluate(s, &l, now))
	}
	return states, !f.reading
}

// post asks a server and returns the status and the answer.
func post(t testing.TB, h http.Handler, path, body string) (int, map[string]any) {
	t.Helper()
	w := ask(h, httptest.NewRequest(http.MethodPost, "http://localhost"+path, strings.NewReader(body)))
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s: %v: %s", path, err, w.Body)
	}
	return w.Code, answer
}

func ask(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const goldenDir = "../testdata/golden"
