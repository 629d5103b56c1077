package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/query/client"
)

const freshAnswer = `{"verdict":"fresh","action":"proceed","reasons":[],"items":[{"kind":"policy","key":"refund","verdict":"fresh","reasons":[],"staleness_s":0,"age_s":1.5,
 "versions_behind":0,"used":{"version":"v17","seq":17,"as_of":"2026-03-01T10:00:00Z","loaded_at":"2026-03-01T10:00:01Z","at":{"topic":"workflow.context","partition":3,"offset":88}},
 "current":{"version":"v17","seq":17,"effective_at":"2026-03-01T09:00:00Z","published_at":"2026-03-01T09:00:01Z","at":{"topic":"context.source","partition":1,"offset":9}},"superseded_at":null}],
 "staleness_s":0,"staleness_upper_s":1.25,"age_s":1.5,"versions_behind":0,"cause":null,"owner":null,"applied_through":"2026-03-01T10:00:02Z","complete_through":"2026-03-01T09:59:57Z",
 "engine_lag_s":0.14,"valid_until":"2026-03-01T10:01:00Z","valid_for_s":57.9,"workflow":"wf-7f3","at":"2026-03-01T10:00:02.1Z","check_id":"abc"}`

// server answers with what handle says and counts the requests.
func server(t *testing.T, handle func(n int64, w http.ResponseWriter, r *http.Request)) (*client.Client, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(n.Add(1), w, r) }))
	t.Cleanup(s.Close)
	c, err := client.New(client.Config{Server: s.URL, Token: func() (string, error) { return "t0ken", nil }})
	if err != nil {
		t.Fatal(err)
	}
	return c, &n
}

func problem(w http.ResponseWriter, status int, title string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"urn:freshet:problem:x","title":%q,"status":%d,"detail":"why","pointer":"/items/0"}`, title, status)
}

func TestAnAnswerIsReadWhole(t *testing.T) {
	var got map[string]any
	c, _ := server(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/check" || r.Header.Get("Authorization") != "Bearer t0ken" {
			t.Errorf("asked %s with %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, freshAnswer)
	})
	seq, stale := int64(17), client.Seconds(1500*time.Millisecond)
	a, err := c.Check(t.Context(), client.Request{
		Workflow: "wf-7f3", Class: "large", Items: []client.Ref{{Kind: "policy", Key: "refund", Seq: &seq}},
		Bounds: map[string]client.Bounds{"policy": {MaxStaleness: &stale}}, MaxEngineLag: 2500 * time.Millisecond, Wait: 100 * time.Millisecond,
		At: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"at":"2026-03-01T10:00:00Z","bounds":{"policy":{"max_staleness_s":1.5}},"class":"large","items":[{"key":"refund","kind":"policy","seq":17}],"max_engine_lag_s":2.5,"wait_s":0.1,"workflow":"wf-7f3"}`
	if b, _ := json.Marshal(got); string(b) != want {
		t.Errorf("sent %s\nwant %s", b, want)
	}
	if a.Verdict != client.Fresh || a.Action != client.Proceed || *a.StalenessUpper != client.Seconds(1250*time.Millisecond) || *a.EngineLag != client.Seconds(140*time.Millisecond) ||
		a.CheckID != "abc" || *a.Items[0].Used.Seq != 17 || a.Items[0].Current.At.Offset != 9 || a.Cause != nil {
		t.Errorf("read %+v", a)
	}
}

// No items, said explicitly, is not the same as saying nothing of them.
func TestNoItemsAreSent(t *testing.T) {
	var sent []string
	c, _ := server(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		sent = append(sent, string(b))
		_, _ = io.WriteString(w, freshAnswer)
	})
	for _, items := range [][]client.Ref{nil, {}} {
		if _, err := c.Check(t.Context(), client.Request{Workflow: "w", Items: items}); err != nil {
			t.Fatal(err)
		}
	}
	if sent[0] != `{"workflow":"w"}` || sent[1] != `{"workflow":"w","items":[]}` {
		t.Errorf("sent %q", sent)
	}
}

// The time that a caller has left is the time that the server may wait for his own writes.
func TestTheDeadlineBecomesTheWait(t *testing.T) {
	var wait float64
	c, _ := server(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		var body struct {
			Wait float64 `json:"wait_s"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		wait = body.Wait
		_, _ = io.WriteString(w, freshAnswer)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r := client.Request{Workflow: "w", AtLeast: []client.Position{{Topic: "workflow.context", Partition: 1, Offset: 7}}}
	if _, err := c.Check(ctx, r); err != nil {
		t.Fatal(err)
	}
	if wait < 4 || wait > 8 {
		t.Errorf("wait_s is %v of 10 s", wait)
	}
}

func TestGateFailsClosed(t *testing.T) {
	answer := func(verdict string) string {
		return strings.Replace(freshAnswer, `"verdict":"fresh"`, `"verdict":"`+verdict+`"`, 1)
	}
	for _, verdict := range []string{"fresh", "stale", "unknown", "", "FRESH"} {
		c, _ := server(t, func(_ int64, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer(verdict)) })
		acted := false
		err := c.Gate(t.Context(), client.Request{Workflow: "w"}, func(_ context.Context, a client.Answer) error {
			acted = a.CheckID == "abc"
			return nil
		})
		if fresh := verdict == "fresh"; acted != fresh || (err == nil) != fresh {
			t.Errorf("verdict %q: acted %v, %v", verdict, acted, err)
		}
		var not *client.NotFreshError
		if verdict == "stale" && (!errors.As(err, &not) || not.Answer.Verdict != client.Stale) {
			t.Errorf("stale: %v", err)
		}
	}
	gone, _ := client.New(client.Config{Server: "http://127.0.0.1:1"})
	err := gone.Gate(t.Context(), client.Request{Workflow: "w"}, func(context.Context, client.Answer) error {
		t.Error("acted without an answer")
		return nil
	})
	if !client.Unreachable(err) {
		t.Errorf("without a server: %v", err)
	}
}

func TestTryingAgain(t *testing.T) {
	c, n := server(t, func(n int64, w http.ResponseWriter, _ *http.Request) {
		if n < 3 {
			problem(w, http.StatusServiceUnavailable, "busy")
			return
		}
		_, _ = io.WriteString(w, freshAnswer)
	})
	if _, err := c.Check(t.Context(), client.Request{Workflow: "w"}); err != nil || n.Load() != 3 {
		t.Errorf("%d requests, %v", n.Load(), err)
	}

	c, n = server(t, func(_ int64, w http.ResponseWriter, _ *http.Request) { problem(w, http.StatusBadRequest, "no") })
	_, err := c.Check(t.Context(), client.Request{Workflow: "w"})
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != 400 || p.Pointer != "/items/0" || n.Load() != 1 {
		t.Errorf("what is wrong is asked %d times: %v", n.Load(), err)
	}

	// A server that stays down is asked less and less.
	c, n = server(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusServiceUnavailable, "down")
	})
	const calls = 30
	for range calls {
		if _, err := c.Check(t.Context(), client.Request{Workflow: "w"}); err == nil {
			t.Fatal("an answer")
		}
	}
	if got := n.Load(); got > calls+10 {
		t.Errorf("%d requests for %d checks", got, calls)
	}
}

func TestManyAtOnce(t *testing.T) {
	c, _ := server(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		var all []map[string]any
		if r.URL.Path != "/v1/check:batch" || json.NewDecoder(r.Body).Decode(&all) != nil {
			t.Errorf("asked %s", r.URL.Path)
		}
		answers := make([]string, len(all))
		for i := range all {
			answers[i] = strings.Replace(freshAnswer, "wf-7f3", all[i]["workflow"].(string), 1)
		}
		_, _ = io.WriteString(w, "["+strings.Join(answers[:min(2, len(answers))], ",")+"]")
	})
	a, err := c.CheckAll(t.Context(), []client.Request{{Workflow: "a"}, {Workflow: "b"}})
	if err != nil || len(a) != 2 || a[1].Workflow != "b" {
		t.Errorf("%v, %v", a, err)
	}
	if _, err := c.CheckAll(t.Context(), []client.Request{{Workflow: "a"}, {Workflow: "b"}, {Workflow: "c"}}); err == nil {
		t.Error("a missing answer is not missed")
	}
}

// A watch goes on after the last event it has seen, on another connection.
func TestAWatchGoesOn(t *testing.T) {
	c, _ := server(t, func(n int64, w http.ResponseWriter, r *http.Request) {
		if got, want := r.Header.Get("Last-Event-ID"), []string{"start", "2"}[n-1]; got != want {
			t.Errorf("connection %d goes on after %q, want %q", n, got, want)
		}
		if r.URL.Query().Get("workflow") != "w 1" {
			t.Errorf("watches %s", r.URL)
		}
		if n == 1 {
			_, _ = io.WriteString(w, ": hello\n\nevent: verdict\nid: 1\ndata: {\"a\":1}\n\nevent: bookmark\nid: 2\ndata: {\ndata: }\n\nevent: verdict\nid: 9\ndata: cut")
			return
		}
		_, _ = io.WriteString(w, "id:3\ndata:last\n\n")
	})
	var got []string
	stop := errors.New("enough")
	err := c.Watch(t.Context(), "w 1", "start", func(e client.Event) error {
		got = append(got, e.Name+" "+e.ID+" "+string(e.Data))
		if e.ID == "3" {
			return stop
		}
		return nil
	})
	if err != stop {
		t.Errorf("ended with %v", err)
	}
	if want := "verdict 1 {\"a\":1}|bookmark 2 {\n}|message 3 last"; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", strings.Join(got, "|"), want)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Watch(ended, "", "", nil); err != nil {
		t.Errorf("an ended watch: %v", err)
	}
}

// A watch whose connection has gone silent, as that to a machine which is no longer there, is begun anew.
func TestAWatchThatHasGoneSilent(t *testing.T) {
	ended := make(chan struct{}, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if last := r.Header.Get("Last-Event-ID"); last != "" {
			_, _ = io.WriteString(w, "event: verdict\nid: 2\ndata: {}\n\n")
			return
		}
		_, _ = io.WriteString(w, "event: verdict\nid: 1\ndata: {}\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		ended <- struct{}{}
	}))
	t.Cleanup(s.Close)
	c, err := client.New(client.Config{Server: s.URL, Silence: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	stop := errors.New("enough")
	if err := c.Watch(t.Context(), "w", "", func(e client.Event) error {
		if got = append(got, e.ID); len(got) == 2 {
			return stop
		}
		return nil
	}); err != stop || strings.Join(got, " ") != "1 2" {
		t.Errorf("%v, %v", got, err)
	}
	<-ended
}

// What the server is asked to wait comes on top of the time that the client waits for an answer, and whatever is asked ends.
func TestRequestsEnd(t *testing.T) {
	slow := func(_ int64, w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(400 * time.Millisecond):
			_, _ = io.WriteString(w, freshAnswer)
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		slow(0, w, r)
	}))
	t.Cleanup(s.Close)
	c, err := client.New(client.Config{Server: s.URL, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := c.Check(t.Context(), client.Request{Workflow: "w", Wait: 20 * time.Second}); err != nil || a.Verdict != client.Fresh {
		t.Errorf("told to wait: %v, %v", a.Verdict, err)
	}
	if _, err := c.Check(t.Context(), client.Request{Workflow: "w"}); !client.Unreachable(err) {
		t.Errorf("a check: %v", err)
	}
	if _, err := c.Post(t.Context(), "/v1/alerts/test?owner=x", nil); !client.Unreachable(err) {
		t.Errorf("a post: %v", err)
	}
}

func TestPathsOfAnyName(t *testing.T) {
	for want, parts := range map[string][]string{
		"/v1/workflows/wf-7f3": {"v1", "workflows", "wf-7f3"}, "/a%2Fb/c%20d": {"a/b", "c d"}, "/v1/%2E%2E/%2E": {"v1", "..", "."}, "/..x/a.b": {"..x", "a.b"},
	} {
		if got := client.Path(parts...); got != want {
			t.Errorf("%q: %s, want %s", parts, got, want)
		}
	}
}

func TestServersAreNamedByURLs(t *testing.T) {
	for _, s := range []string{"", "localhost:8080", "ftp://x", "http://"} {
		if _, err := client.New(client.Config{Server: s}); err == nil {
			t.Errorf("%q is taken for a server", s)
		}
	}
}
