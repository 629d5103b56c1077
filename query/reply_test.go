package query

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/testfile"
)

// with makes a request with headers.
func with(method, path string, headers ...string) *http.Request {
	r := request(method, path, "")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// Whoever has a list by its tag does not get it again, as long as nothing that lasts of it changes.
func TestListsHaveTags(t *testing.T) {
	f := refund(t, tell("source.updated", "policy/p", 100, `{"kind":"policy","key":"p","version":"v2","seq":2}`), tell("action.executed", "w", 300, `{"decision_id":"d"}`))
	f.live(zero + 301*second)
	h := f.serve(t, Config{}).Handler(true)
	lists := []string{"/v1/workflows", "/v1/workflows?state=open&verdict=stale", "/v1/workflows/w/timeline", "/v1/sources/policy/p/users", "/v1/slos"}
	tags := map[string]string{}
	for _, path := range lists {
		w := ask(h, with("GET", path))
		tag := w.Header().Get("ETag")
		if tags[path] = tag; w.Code != 200 || tag == "" {
			t.Fatalf("%s: %d, tag %q", path, w.Code, tag)
		}
		for _, list := range []string{tag, `"other", ` + tag, strings.TrimPrefix(tag, "W/"), "*"} {
			w := ask(h, with("GET", path, "If-None-Match", list))
			if w.Code != 304 || w.Body.Len() != 0 || w.Header().Get("ETag") != tag || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s with %s: %d %v %s", path, list, w.Code, w.Header(), w.Body)
			}
		}
		if w := ask(h, with("GET", path, "If-None-Match", `"other"`)); w.Code != 200 {
			t.Errorf("%s with another tag: %d", path, w.Code)
		}
	}
	f.now += 10 // nothing but what time it is
	if w := ask(h, with("GET", "/v1/slos", "If-None-Match", tags["/v1/slos"])); w.Code != 304 {
		t.Errorf("objectives a moment later: %d", w.Code)
	}
	f.add(t, tell("action.executed", "w", 302, `{"decision_id":"e"}`))
	f.live(zero + 303*second)
	for _, path := range lists[:4] {
		if w := ask(h, with("GET", path, "If-None-Match", tags[path])); w.Code != 200 || w.Header().Get("ETag") == tags[path] {
			t.Errorf("%s has changed: %d", path, w.Code)
		}
	}
	if w := ask(h, with("GET", "/v1/workflows?limit=0", "If-None-Match", "*")); w.Code != 400 {
		t.Errorf("a problem is not a list: %d", w.Code)
	}
}

// Large answers are compressed for whoever takes that; answers to checks never are.
func TestWhatIsCompressed(t *testing.T) {
	f := newFake(t, goldenDir+"/adversarial-1.contracts.yaml", testfile.Lines(t, goldenDir+"/adversarial-1.events.ndjson.gz"))
	h := f.serve(t, Config{}).Handler(true)
	for _, path := range []string{"/v1/workflows?limit=50", "/openapi.json"} {
		plain := ask(h, with("GET", path))
		for accept, want := range map[string]bool{"gzip": true, "br;q=1, GZIP;q=0.5": true, "gzip;q=0": false, "br": false, "gzip;q=x": false} {
			w := ask(h, with("GET", path, "Accept-Encoding", accept))
			if got := w.Header().Get("Content-Encoding") == "gzip"; got != want || w.Header().Get("Vary") != "Accept-Encoding" || w.Header().Get("ETag") != plain.Header().Get("ETag") {
				t.Errorf("%s with %q: %v", path, accept, w.Header())
			}
			if want && (!bytes.Equal(unzipped(t, w), plain.Body.Bytes()) || w.Body.Len()*2 > plain.Body.Len()) {
				t.Errorf("%s: %d bytes become %d", path, plain.Body.Len(), w.Body.Len())
			}
		}
	}
	if w := ask(h, with("GET", "/v1/workflows?limit=1", "Accept-Encoding", "gzip")); w.Header().Get("Content-Encoding") != "" {
		t.Errorf("%d bytes are compressed", w.Body.Len())
	}
	r := request("POST", "/v1/check:batch", `[`+strings.Repeat(`{"workflow":"none"},`, 99)+`{"workflow":"none"}]`)
	r.Header.Set("Accept-Encoding", "gzip")
	if w := ask(h, r); w.Code != 200 || w.Header().Get("Content-Encoding") != "" || w.Body.Len() < 10*compressFrom {
		t.Errorf("checks: %d %v, %d bytes", w.Code, w.Header(), w.Body.Len())
	}
}

func unzipped(t *testing.T, w *httptest.ResponseRecorder) []byte {
	t.Helper()
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A list is read page by page while workflows come: those that were there from the beginning are in it exactly once.
func TestPagesSurviveChanges(t *testing.T) {
	f := refund(t)
	for i := range 20 {
		f.add(t, tell("task.started", fmt.Sprintf("m%02d", i), 5, `{"workflow_type":"refund"}`))
	}
	f.live(zero + 301*second)
	h := f.serve(t, Config{}).Handler(true)
	seen, next := map[string]int{}, ""
	for page := 0; ; page++ {
		_, got := get(t, h, "/v1/workflows?limit=3&cursor="+next)
		for _, w := range got["workflows"].([]any) {
			seen[w.(map[string]any)["workflow"].(string)]++
		}
		// One comes in front of what has been read, one right behind it, one at the end; and one goes of what has been read.
		f.add(t, tell("task.started", fmt.Sprintf("a%02d", page), 5, `{}`), tell("task.started", fmt.Sprintf("m%02dx", page*2), 5, `{}`), tell("task.started", fmt.Sprintf("z%02d", page), 5, `{}`))
		if i, there := slices.BinarySearch(f.ids, fmt.Sprintf("m%02d", page)); there && seen[f.ids[i]] > 0 {
			f.ids = slices.Delete(f.ids, i, i+1)
		}
		if next, _ = got["next"].(string); next == "" || page > 40 {
			break
		}
		h = f.serve(t, Config{}).Handler(true) // and any server answers the next page
	}
	for i := range 20 {
		if id := fmt.Sprintf("m%02d", i); seen[id] != 1 {
			t.Errorf("%s is in the list %d times", id, seen[id])
		}
	}
	for id, n := range seen {
		if n > 1 {
			t.Errorf("%s is in the list %d times", id, n)
		}
	}
}

// A timeline is read page by page while events come, late ones, too.
func TestPagesOfATimelineSurviveChanges(t *testing.T) {
	f := refund(t)
	var sent []string
	for i := range 10 {
		f.add(t, tell("task.waiting", "w", event.Time(20+10*i), `{}`))
		sent = append(sent, fmt.Sprintf("task.waiting %v {}", 20+10*i))
	}
	f.live(zero + 301*second)
	h := f.serve(t, Config{}).Handler(true)
	seen, next := map[string]int{}, ""
	for page := 0; ; page++ {
		_, got := get(t, h, "/v1/workflows/w/timeline?limit=2&cursor="+next)
		for _, e := range got["events"].([]any) {
			seen[e.(map[string]any)["id"].(string)]++
		}
		f.add(t, tell("task.resumed", "w", event.Time(11+page), `{}`), tell("task.resumed", "w", event.Time(200+page), `{}`))
		if next, _ = got["next"].(string); next == "" || page > 40 {
			break
		}
	}
	for _, id := range sent {
		if seen[id] != 1 {
			t.Errorf("%s is in the timeline %d times", id, seen[id])
		}
	}
	for id, n := range seen {
		if n > 1 {
			t.Errorf("%s is in the timeline %d times", id, n)
		}
	}
}

// Nothing may be kept by caches between us and those who ask.
func TestNothingIsCached(t *testing.T) {
	f := refund(t, tell("action.executed", "w", 300, `{"decision_id":"d"}`))
	f.live(zero + 301*second)
	s := f.serve(t, Config{})
	h := s.Handler(true)
	replace := strings.NewReplacer("{id}", "w", "{workflow}", "w", "{decision}", "d", "{kind}", "policy", "{key}", "p")
	paths := []string{"GET /nowhere", "GET /v1/check", "GET /v1/workflows?x=y", "GET /v1/workflows/none", "POST /v1/status"}
	for _, pattern := range s.Patterns() {
		paths = append(paths, replace.Replace(pattern))
	}
	for _, one := range paths {
		method, path, _ := strings.Cut(one, " ")
		r := request(method, path, `{"workflow":"w"}`)
		if path == "/v1/watch" {
			continue // it does not end; whoever watches in tests looks at its headers
		}
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Content-Type", "application/json")
		if w := ask(h, r); w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", one, w.Code, w.Header())
		}
	}
}

func TestSchemasStandAlone(t *testing.T) {
	all, err := readSchemas("Answer", "Explanation", "Workflows", "Source")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range all {
		text, err := json.Marshal(s)
		if err != nil || s.Type != "object" || strings.Contains(string(text), inDocument) {
			t.Errorf("%s: %v %s", name, err, text)
		}
		if _, err := s.Resolve(nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readSchemas("None"); err == nil {
		t.Error("a schema that is not there")
	}
}
