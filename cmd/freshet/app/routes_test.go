package app

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
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

// open are the routes that nobody needs a token for.
func open() []string { return []string{"/healthz", "/ready", "/openapi.json", "/ui/", "/ui/{file}"} }

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
			if open := slices.Contains(open(), path); open != (len(op.Security) == 0) {
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

// Who has no token sees of the whole program that it is there, whether it is ready, how it is asked, and the page without anything to show.
func TestWhatIsOpen(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens.yaml")
	if err := os.WriteFile(tokens, []byte("clients: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := wired(t, "-auth.tokens-file", tokens)
	replace := strings.NewReplacer("{id}", "w", "{workflow}", "w", "{decision}", "d", "{kind}", "k", "{key}", "k", "{file}", "app.js")
	for _, pattern := range a.query.Patterns() {
		method, path, _ := strings.Cut(replace.Replace(pattern), " ")
		w := httptest.NewRecorder()
		a.query.Handler(true).ServeHTTP(w, httptest.NewRequest(method, "http://localhost"+path, nil))
		if _, route, _ := strings.Cut(pattern, " "); (w.Code == http.StatusUnauthorized) == slices.Contains(open(), route) {
			t.Errorf("%s: %d", pattern, w.Code)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached: %v", pattern, w.Header())
		}
	}
}

// askedPath is a path of the API as the page's script has it.
var askedPath = regexp.MustCompile("[`\"](/v1/[^`\"]*)")

// The page is served, under its policy and to the server's own names only, and asks nothing but what there is.
func TestThePage(t *testing.T) {
	a := wired(t)
	h := a.query.Handler(true)
	get := func(url string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, url, nil))
		return w
	}
	for url, want := range map[string]int{
		"http://localhost/ui/": 200, "http://localhost/ui/app.js": 200, "http://localhost/ui": 307, "http://localhost/ui/none": 404,
		"http://localhost/ui/a/b": 404, "http://evil.example/ui/": 403,
	} {
		w := get(url)
		if w.Code != want || (want == 200) != strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v", url, w.Code, w.Header())
		}
		if want > 400 && w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %v", url, w.Header())
		}
	}
	paths := askedPath.FindAllStringSubmatch(get("http://localhost/ui/app.js").Body.String(), -1)
	if len(paths) < 7 {
		t.Errorf("the page asks %v", paths)
	}
	filled := regexp.MustCompile(`\$\{path\(id, decided\)\}`)
	for _, p := range paths {
		path, _, _ := strings.Cut(filled.ReplaceAllString(p[1], "w/d"), "?")
		path = regexp.MustCompile(`\$\{[^}]*\}`).ReplaceAllString(path, "w")
		if w := get("http://localhost" + path); w.Code == http.StatusNotFound {
			t.Errorf("the page asks %s: %d %s", p[1], w.Code, w.Body)
		}
	}
}

// Where other machines reach it the server listens only if it asks who they are, or is told not to.
func TestWhoCanReachTheServer(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens.yaml")
	if err := os.WriteFile(tokens, []byte("clients: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for listen, refused := range map[string]bool{
		"127.0.0.1:0": false, "localhost:0": false, "[::1]:0": false, "": false,
		"0.0.0.0:0": true, ":8080": true, "[::]:0": true, "10.0.0.1:80": true, "freshet.example:80": true,
	} {
		for _, more := range [][]string{nil, {"-insecure"}, {"-auth.tokens-file", tokens}} {
			var cfg Config
			flags := flag.NewFlagSet("run", flag.ContinueOnError)
			cfg.RegisterFlags(flags)
			if err := flags.Parse(append([]string{"-contracts.file", "c.yaml", "-http.listen", listen}, more...)); err != nil {
				t.Fatal(err)
			}
			err := cfg.Validate()
			if is := err != nil && strings.Contains(err.Error(), "-insecure"); is != (refused && more == nil) {
				t.Errorf("-http.listen %q %v: %v", listen, more, err)
			}
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
