package app

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-kit/log"
)

const contract = `version: 1
owners: {payments: {}}
contexts: {policy: {owner: payments}}
workflows: {refund: {owner: payments, bounds: {policy: {max_versions_behind: 0}}}}
`

// wired returns an application that has not been started.
func wired(t *testing.T, args ...string) *App {
	t.Helper()
	file := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(file, []byte(contract), 0o600); err != nil {
		t.Fatal(err)
	}
	var cfg Config
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	cfg.RegisterFlags(flags)
	if err := flags.Parse(append([]string{"-contracts.file", file, "-data.dir", ""}, args...)); err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Every route that the program serves is in /openapi.json, and nothing else is.
func TestEveryRouteOfTheProgramIsDescribed(t *testing.T) {
	a := wired(t)
	w := httptest.NewRecorder()
	a.query.Handler(true).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/openapi.json", nil))
	var doc struct {
		Paths map[string]map[string]struct {
			Security []map[string][]string `json:"security"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	var described []string
	for path, methods := range doc.Paths {
		for method, op := range methods {
			described = append(described, strings.ToUpper(method)+" "+path)
			if open := slices.Contains([]string{"/healthz", "/ready", "/openapi.json"}, path); open != (len(op.Security) == 0) {
				t.Errorf("%s %s: security %v", method, path, op.Security)
			}
		}
	}
	served := a.query.Patterns()
	slices.Sort(served)
	slices.Sort(described)
	if !slices.Equal(served, described) {
		t.Errorf("served\n %v\ndescribed\n %v", served, described)
	}
}

// Who has no token sees of the whole program that it is there, whether it is ready, and how it is asked.
func TestWhatIsOpen(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens.yaml")
	if err := os.WriteFile(tokens, []byte("clients: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := wired(t, "-auth.tokens-file", tokens)
	replace := strings.NewReplacer("{id}", "w", "{workflow}", "w", "{decision}", "d", "{kind}", "k", "{key}", "k")
	for _, pattern := range a.query.Patterns() {
		method, path, _ := strings.Cut(replace.Replace(pattern), " ")
		w := httptest.NewRecorder()
		a.query.Handler(true).ServeHTTP(w, httptest.NewRequest(method, "http://localhost"+path, nil))
		open := slices.Contains([]string{"/healthz", "/ready", "/openapi.json"}, path)
		if (w.Code == http.StatusUnauthorized) == open {
			t.Errorf("%s: %d", pattern, w.Code)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached: %v", pattern, w.Header())
		}
	}
}

// Alerts before there is an engine, and parameters that cannot be used.
func TestWhatAlertsAreAsked(t *testing.T) {
	a := wired(t)
	for path, want := range map[string]string{
		"/v1/alerts": "not-here", "/v1/alerts?status=firing": "not-here", "/v1/alerts?status=fire": "bad-parameter", "/v1/alerts?x=y": "bad-parameter",
		"/v1/alerts/why": "bad-parameter", "/v1/alerts/why?name=None": "bad-parameter", "/v1/alerts/why?name=SourceSilent": "not-here",
	} {
		w := httptest.NewRecorder()
		a.query.Handler(true).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
		if !strings.Contains(w.Body.String(), "problem:"+want+`"`) {
			t.Errorf("%s: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
}
