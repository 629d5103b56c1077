package query

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/query/auth"
)

// fakeFeed is a feed of one partition, in memory.
type fakeFeed struct {
	mu   sync.Mutex
	said []Said
	more chan struct{}
	read atomic.Int64 // how many follow it
}

func (f *fakeFeed) Range(context.Context) (starts, ends Positions, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Positions{0}, Positions{int64(len(f.said))}, nil
}

func (f *fakeFeed) Follow(ctx context.Context, from Positions, each func(Said)) error {
	f.read.Add(1)
	defer f.read.Add(-1)
	for at := from[0]; ; {
		f.mu.Lock()
		if f.more == nil {
			f.more = make(chan struct{})
		}
		said, more := f.said[at:], f.more
		f.mu.Unlock()
		for _, s := range said {
			each(s)
		}
		at += int64(len(said))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}

func (f *fakeFeed) say(workflow, data string) { f.sayAs("verdict", workflow, data) }

func (f *fakeFeed) sayAs(kind, workflow, data string) {
	f.add(Said{Event: kind, Workflow: workflow, Data: []byte(data)})
}

func (f *fakeFeed) sayNothing() { f.add(Said{Event: "detection", Workflow: "gone"}) }

func (f *fakeFeed) add(s Said) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Offset = int64(len(f.said))
	f.said = append(f.said, s)
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
}

// sse is one event that was received.
type sse struct {
	kind, id string
	data     map[string]any
}

// watch asks a server for its events; each that comes goes to the channel, which is closed at the end.
func watch(t *testing.T, addr, path, last string, token ...string) (<-chan sse, func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	for _, one := range token {
		r.Header.Set("Authorization", "Bearer "+one)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: %d %v", path, resp.StatusCode, resp.Header)
	}
	events := make(chan sse)
	go func() {
		defer close(events)
		defer resp.Body.Close()
		var e sse
		for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
			switch name, value, _ := strings.Cut(sc.Text(), ": "); name {
			case "event":
				e.kind = value
			case "id":
				e.id = value
			case "data":
				_ = json.Unmarshal([]byte(value), &e.data)
			case "":
				select {
				case events <- e:
				case <-ctx.Done():
					return
				}
				e = sse{}
			}
		}
	}()
	t.Cleanup(cancel)
	return events, cancel
}

// next returns the next event that is no bookmark.
func next(t *testing.T, events <-chan sse) sse {
	t.Helper()
	for e := range events {
		if e.kind != "bookmark" {
			return e
		}
	}
	t.Fatal("the events have ended")
	return sse{}
}

func running(t *testing.T, f *fake, cfg Config) string {
	t.Helper()
	_, addr := runningServer(t, f, cfg)
	return addr
}

func runningServer(t *testing.T, f *fake, cfg Config) (*Server, string) {
	t.Helper()
	cfg.MaxConnections = 100
	if cfg.MaxWatchers == 0 {
		cfg.MaxWatchers = 10
	}
	s := f.serve(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	for deadline := time.Now().Add(time.Minute); ; {
		s.hub.mu.Lock()
		reached := s.hub.feed != nil
		s.hub.mu.Unlock()
		if reached {
			return s, listen(t, s)
		}
		if time.Now().After(deadline) {
			t.Fatal("the feed is not reached")
		}
	}
}

// What all instances say is much to read: nobody does while nobody watches. Who comes after that hears what is said from then on.
func TestTheFeedIsReadWhileSomebodyWatches(t *testing.T) {
	f := refund(t)
	addr := running(t, f, Config{})
	settled := func(followers int64) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); f.feed.read.Load() != followers; {
			if time.Now().After(deadline) {
				t.Fatalf("%d read the feed, not %d", f.feed.read.Load(), followers)
			}
		}
	}
	settled(0)
	for round := range 3 {
		f.feed.say("w", `{"n":-1}`)
		first, stopFirst := watch(t, addr, "/v1/watch", "")
		second, stopSecond := watch(t, addr, "/v1/watch", "")
		settled(1)
		stopFirst()
		for range first {
		}
		f.feed.say("w", fmt.Sprintf(`{"n":%d}`, round))
		if e := next(t, second); e.data["n"] != float64(round) {
			t.Errorf("round %d: %+v", round, e)
		}
		settled(1)
		stopSecond()
		for range second {
		}
		settled(0)
	}
}

// Who comes back with the id of the last event that it had gets what it missed, once, and then what comes.
func TestWatchingResumes(t *testing.T) {
	f := refund(t)
	addr := running(t, f, Config{})
	events, stop := watch(t, addr, "/v1/watch", "")
	if first := <-events; first.kind != "bookmark" || first.id == "" || first.data["applied_through"] != f.now.String() {
		t.Errorf("first: %+v", first)
	}
	for i := range 3 {
		f.feed.say("w", fmt.Sprintf(`{"n":%d}`, i))
	}
	var last string
	for i := range 2 {
		e := next(t, events)
		if last = e.id; e.kind != "verdict" || e.data["n"] != float64(i) {
			t.Errorf("%+v", e)
		}
	}
	stop()
	f.feed.say("w", `{"n":3}`)
	events, stop = watch(t, addr, "/v1/watch", last)
	f.feed.say("w", `{"n":4}`)
	for i := 2; i < 5; i++ {
		if e := next(t, events); e.data["n"] != float64(i) {
			t.Errorf("after coming back: %+v, want %d", e, i)
		}
	}
	stop()
	// A row that has been taken away says nothing, and is not missing either.
	f.feed.say("w", `{"n":5}`)
	f.feed.sayNothing()
	events, stop = watch(t, addr, "/v1/watch", last)
	for i := 2; i < 6; i++ {
		if e := next(t, events); e.data["n"] != float64(i) {
			t.Errorf("before a row that is gone: %+v, want %d", e, i)
		}
	}
	f.feed.say("w", `{"n":6}`)
	if e := next(t, events); e.data["n"] != 6.0 {
		t.Errorf("behind it: %+v", e)
	}
	stop()
	// An id of topics that were longer, before they were made anew, hides nothing that comes.
	events, stop = watch(t, addr, "/v1/watch", Positions{1_000_000}.String())
	<-events
	f.feed.say("w", `{"n":7}`)
	if e := next(t, events); e.data["n"] != 7.0 {
		t.Errorf("after an id of the future: %+v", e)
	}
	stop()
	w := ask(f.serve(t, Config{MaxWatchers: 1}).Handler(true), request("GET", "/v1/watch", ""))
	if w.Code != 503 {
		t.Errorf("without a feed: %d", w.Code)
	}
}

// An agent that watches its workflow hears at once that its verdict has changed: by a source, by an event of its own, or by time alone.
func TestWatchingOneWorkflow(t *testing.T) {
	f := refund(t)
	f.live(zero + 100*second)
	f.instant = new(atomic.Int64)
	f.instant.Store(int64(f.now))
	s, addr := runningServer(t, f, Config{})
	events, _ := watch(t, addr, "/v1/watch?workflow=w", "")
	if e := next(t, events); e.data["verdict"] != "fresh" || e.data["provisional"] != true || e.id != "" {
		t.Errorf("as it is: %+v", e)
	}
	changed := refund(t, tell("source.updated", "policy/p", 98, `{"kind":"policy","key":"p","seq":2}`))
	changed.live(zero + 100*second)
	s.Attach(changed.engine())
	f.changes.Add()
	if e := next(t, events); e.data["verdict"] != "fresh" || e.data["versions_behind"] != 1.0 {
		t.Errorf("a source has changed: %+v", e)
	}
	later := refund(t, tell("source.updated", "policy/p", 98, `{"kind":"policy","key":"p","seq":2}`))
	later.live(zero + 158*second + 1)
	s.Attach(later.engine())
	f.instant.Store(int64(later.now))
	if e := next(t, events); e.data["verdict"] != "stale" || e.data["action"] != "reload" {
		t.Errorf("time has passed: %+v", e)
	}
	f.feed.say("other", `{"n":1}`)
	f.feed.say("w", `{"n":2}`)
	if e := next(t, events); e.data["n"] != 2.0 || e.id == "" {
		t.Errorf("its own verdict record: %+v", e)
	}
}

// Verdicts, detections and alerts are sent under their names. Whoever may see some types of workflows only has what is of those, and what is
// of none; whoever watches a workflow has its own.
func TestWatchersHaveWhatIsTheirs(t *testing.T) {
	f := refund(t)
	f.live(zero + 100*second)
	addr := running(t, f, Config{Auth: auth.Config{TokensFile: tokensFile(t, `clients:
  - {name: all, tokens: [%s], scopes: [read]}
  - {name: refunds, tokens: [%s], scopes: [read], workflow_types: [refund]}
`, "all", "refunds")}})
	everything, _ := watch(t, addr, "/v1/watch", "", "all")
	limited, _ := watch(t, addr, "/v1/watch", "", "refunds")
	own, _ := watch(t, addr, "/v1/watch?workflow=w", "", "all")
	next(t, own) // how it is
	said := []struct {
		kind, key, data string
		limited, own    bool
	}{
		{"verdict", "w", `{"n":0,"workflow":"w","workflow_type":"refund"}`, true, true},
		{"verdict", "x", `{"n":1,"workflow":"x","workflow_type":"triage"}`, false, false},
		{"detection", "d1", `{"n":2,"workflow":"w","workflow_type":"refund"}`, true, true},
		{"detection", "d2", `{"n":3,"workflow":"x","workflow_type":"triage"}`, false, false},
		{"detection", "d3", `{"n":4,"workflow":null,"workflow_type":"refund","workflows":["w"]}`, true, false},
		{"alert", "a1", `{"n":5,"labels":{"workflow_type":"refund"}}`, true, false},
		{"alert", "a2", `{"n":6,"labels":{"workflow_type":"triage"}}`, false, false},
		{"alert", "a3", `{"n":7,"labels":{"kind":"policy"}}`, true, false},
		{"verdict", "w", `{"n":8,"workflow":"w","workflow_type":"refund"}`, true, true},
	}
	for _, s := range said {
		f.feed.sayAs(s.kind, s.key, s.data)
	}
	for n, s := range said {
		for _, one := range []struct {
			who    string
			has    bool
			events <-chan sse
		}{{"all", true, everything}, {"refunds", s.limited, limited}, {"w", s.own, own}} {
			if !one.has {
				continue
			}
			if e := next(t, one.events); e.kind != s.kind || e.data["n"] != float64(n) || e.id == "" {
				t.Errorf("%s: %+v, want %+v", one.who, e, s)
			}
		}
	}
}

func TestTooManyWatch(t *testing.T) {
	f := refund(t)
	addr := running(t, f, Config{MaxWatchers: 1})
	_, stop := watch(t, addr, "/v1/watch", "")
	defer stop()
	resp, err := http.Get("http://" + addr + "/v1/watch")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the second: %d", resp.StatusCode)
	}
	for last, want := range map[string]int{"x!": 400, Positions{1, 2}.String(): 400} {
		r, _ := http.NewRequest(http.MethodGet, "http://"+running(t, refund(t), Config{})+"/v1/watch", nil)
		r.Header.Set("Last-Event-ID", last)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("id %q: %d", last, resp.StatusCode)
		}
	}
}

func TestPositions(t *testing.T) {
	p := Positions{0, 5, 1 << 40}
	got, ok := parsePositions(p.String(), 3)
	if !ok || got.String() != p.String() || got[2] != 1<<40 {
		t.Errorf("%v, %v", got, ok)
	}
	if _, ok := parsePositions(p.String(), 2); ok {
		t.Error("positions of another feed")
	}
	if !(Positions{0, 4, 1 << 41}).behind(p) || p.behind(p) {
		t.Error("behind")
	}
}
