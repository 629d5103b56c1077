package query

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/query/auth"
	"github.com/go-kit/log"
)

func request(method, path, body string) *http.Request {
	return httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
}

// tokensFile writes a file of tokens; each %s of its text becomes the hash of a token.
func tokensFile(t *testing.T, text string, tokens ...string) string {
	t.Helper()
	var sums []any
	for _, token := range tokens {
		sums = append(sums, fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(token))))
	}
	file := filepath.Join(t.TempDir(), "tokens.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, text, sums...), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWhoMayAskWhat(t *testing.T) {
	file := tokensFile(t, `clients:
  - {name: agent, tokens: [%s, %s], scopes: [check]}
  - {name: refunds, tokens: [%s], scopes: [check, read, explain], workflow_types: [refund]}
  - {name: triage, tokens: [%s], scopes: [check, read, explain], workflow_types: [triage]}
  - {name: slow, tokens: [%s], scopes: [check], rate: 0.001}
`, "one", "two", "refund", "triage", "slow")
	f := refund(t)
	var log logged
	s := f.serveLogging(t, Config{Auth: auth.Config{TokensFile: file}}, &log)
	h := s.Handler(false)
	for _, c := range []struct{ token, method, path, want string }{
		{"", "POST", "/v1/check", "401 no-token"},
		{"three", "POST", "/v1/check", "401 no-token"},
		{"one", "POST", "/v1/check", "200 "},
		{"two", "POST", "/v1/check", "200 "},
		{"one", "GET", "/v1/status", "403 forbidden"},
		{"one", "GET", "/v1/workflows/w", "403 forbidden"},
		{"refund", "POST", "/v1/check", "200 "},
		{"refund", "GET", "/v1/workflows/w", "200 "},
		{"triage", "POST", "/v1/check", "403 forbidden"},
		{"triage", "POST", "/v1/gate", "403 forbidden"},
		{"triage", "GET", "/v1/workflows/w", "403 forbidden"},
		{"triage", "GET", "/v1/workflows/w/timeline", "403 forbidden"},
		{"triage", "GET", "/v1/status", "200 "},
		{"slow", "POST", "/v1/check", "200 "},
		{"slow", "POST", "/v1/check", "429 too-many-requests"},
	} {
		r := request(c.method, c.path, `{"workflow":"w"}`)
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		w := ask(h, r)
		if is := fmt.Sprint(w.Code, " ", problemOf(w)); is != c.want {
			t.Errorf("%s %s with token %q: %s, want %s", c.method, c.path, c.token, is, c.want)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached", c.path)
		}
		if (w.Code == 429) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%s: %d, try again after %q", c.path, w.Code, w.Header().Get("Retry-After"))
		}
	}
	for _, want := range []string{"why=no-token", "why=unknown-token", "client=triage", "why=workflow-type", "route=\"POST /v1/check\"", "client=slow"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the audit lacks %s:\n%s", want, &log)
		}
	}
	for _, secret := range []string{"three", "workflows/w", `"w"`} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the audit has %s:\n%s", secret, &log)
		}
	}
	if r := request("GET", "/v1/workflows", ""); true {
		r.Header.Set("Authorization", "Bearer triage")
		if w := ask(h, r); strings.Contains(w.Body.String(), `"workflow":"w"`) {
			t.Errorf("a list has what its reader may not see: %s", w.Body)
		}
	}
}

// The tokens are read again while the server runs; a file that is wrong changes nothing.
func TestTokensAreRotated(t *testing.T) {
	file := tokensFile(t, "clients: [{name: a, tokens: [%s], scopes: [check]}]\n", "old")
	f := refund(t)
	s := f.serve(t, Config{Auth: auth.Config{TokensFile: file}})
	status := func(token string) int {
		r := request("POST", "/v1/check", `{"workflow":"w"}`)
		r.Header.Set("Authorization", "Bearer "+token)
		return ask(s.Handler(true), r).Code
	}
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Refresh()
	}
	both, err := os.ReadFile(tokensFile(t, "clients: [{name: a, tokens: [%s, %s], scopes: [check]}]\n", "old", "new"))
	if err != nil {
		t.Fatal(err)
	}
	if status("old") != 200 || status("new") != 401 {
		t.Error("before")
	}
	write(string(both))
	if status("old") != 200 || status("new") != 200 {
		t.Error("both are good while the token is changed")
	}
	write("clients: [{name: a, tokens: [plain], scopes: [check]}]\n")
	if status("old") != 200 || status("new") != 200 {
		t.Error("a wrong file has changed something")
	}
}

func TestForeignNamesAndPages(t *testing.T) {
	f := refund(t)
	h := f.serve(t, Config{Hosts: "freshet.internal"}).Handler(true)
	open := f.serve(t, Config{}).Handler(false)
	for _, c := range []struct {
		h            http.Handler
		host, origin string
		want         string
	}{
		{h, "localhost:8080", "", "200 "}, {h, "127.0.0.1", "", "200 "}, {h, "[::1]:80", "", "200 "}, {h, "Freshet.Internal", "", "200 "},
		{h, "evil.example", "", "403 foreign-host"}, {h, "10.0.0.1", "", "403 foreign-host"},
		{h, "localhost:8080", "http://localhost:8080", "200 "}, {h, "localhost:8080", "http://localhost:9090", "403 foreign-origin"},
		{h, "localhost", "https://evil.example", "403 foreign-origin"}, {h, "localhost", "null", "403 foreign-origin"},
		{open, "any.example", "", "200 "},
	} {
		r := request("POST", "/v1/check", `{"workflow":"w"}`)
		if r.Host = c.host; c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if w := ask(c.h, r); fmt.Sprint(w.Code, " ", problemOf(w)) != c.want {
			t.Errorf("host %q, origin %q: %d %s, want %s", c.host, c.origin, w.Code, w.Body, c.want)
		}
	}
}

func TestAHandlerThatPanics(t *testing.T) {
	f := refund(t)
	s := f.serve(t, Config{})
	f.batch = nil
	w := ask(s.Handler(true), request("POST", "/v1/check", `{"workflow":"w"}`))
	if w.Code != 500 || problemOf(w) != "internal" || strings.Contains(w.Body.String(), "nil pointer") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func problemOf(w *httptest.ResponseRecorder) string {
	_, name, _ := strings.Cut(w.Body.String(), "urn:freshet:problem:")
	name, _, _ = strings.Cut(name, `"`)
	if w.Code < 400 {
		return ""
	}
	return name
}

// Only so many may wait for a record at a time; the others are told to come back.
func TestTooManyWait(t *testing.T) {
	f := refund(t)
	f.live(zero + 100*second)
	s := f.serve(t, Config{MaxWaiters: 1})
	waits := func() *http.Request {
		return request("POST", "/v1/check", `{"workflow":"w","wait_s":30,"at_least":[{"topic":"workflow.context","partition":0,"offset":99}]}`)
	}
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ask(s.Handler(true), waits().WithContext(ctx))
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); len(s.waiters) == 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("nobody waits")
		}
	}
	if w := ask(s.Handler(true), waits()); w.Code != 429 || problemOf(w) != "too-many-waiters" || w.Header().Get("Retry-After") == "" {
		t.Errorf("the second: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if status, got := post(t, s.Handler(true), "/v1/check", `{"workflow":"w"}`); status != 200 || got["verdict"] != "fresh" {
		t.Errorf("who does not wait: %d %v", status, got)
	}
	leave()
	<-done
	if len(s.waiters) != 0 {
		t.Error("who has gone still waits")
	}
}

// The body of a request to the tools is bounded like any other.
func TestALargeRequestToTheTools(t *testing.T) {
	h := refund(t).serve(t, Config{MaxBodyBytes: 1000}).Handler(true)
	call := func(workflow string) *httptest.ResponseRecorder {
		r := request("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"check_freshness","arguments":{"workflow":"`+workflow+`"}}}`)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		return ask(h, r)
	}
	if w := call("w"); w.Code != 200 || !strings.Contains(w.Body.String(), `"verdict"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := call(strings.Repeat("w", 2000)); w.Code < 400 || w.Code >= 500 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// logged keeps what is logged while a server runs.
type logged struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// serveLogging is serve with a log.
func (f *fake) serveLogging(t *testing.T, cfg Config, to io.Writer) *Server {
	t.Helper()
	cfg.MaxBodyBytes, cfg.MaxWaiters = 4096, 4
	s, err := New(cfg, Deps{Now: func() event.Time { return f.now }, Metrics: metrics.New(nil), Logger: log.NewLogfmtLogger(to)})
	if err != nil {
		t.Fatal(err)
	}
	s.Attach(f.engine())
	return s
}
