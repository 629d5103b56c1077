package query

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/query/problem"
)

var rewrite = flag.Bool("rewrite", false, "write the answers in docs/api.md anew")

const apiDoc = "../docs/api.md"

// example is a request in docs/api.md, and the answer behind it.
var example = regexp.MustCompile("(?s)```http\n(GET|POST) ([^\n]+)\n(.*?)```\n\n```json\n(.*?)```")

// Every request in docs/api.md is made to an engine that knows the same workflow, and is answered as it stands there.
func TestTheExamplesOfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile(apiDoc)
	if err != nil {
		t.Fatal(err)
	}
	f := refund(t,
		tell("approval.granted", "w", 50, `{}`),
		tell("source.updated", "policy/p", 100, `{"kind":"policy","key":"p","version":"v2","seq":2}`),
		tell("action.executed", "w", 300, `{"decision_id":"d"}`))
	f.live(zero + 301*second)
	f.clock.Applied -= 140
	f.clock.Complete -= 140
	h := f.serve(t, Config{}).Handler(true)
	n := 0
	written := example.ReplaceAllFunc(text, func(b []byte) []byte {
		m := example.FindSubmatch(b)
		n++
		r := httptest.NewRequest(string(m[1]), "http://localhost"+string(m[2]), bytes.NewReader(m[3]))
		w := ask(h, r)
		var answer bytes.Buffer
		if err := json.Indent(&answer, w.Body.Bytes(), "", "  "); err != nil {
			t.Fatalf("%s: %v: %s", m[2], err, w.Body)
		}
		if got := answer.String(); got != string(m[4]) && !*rewrite {
			t.Errorf("%s %s is answered\n%s\nthe documentation has\n%s", m[1], m[2], got, m[4])
		}
		return []byte("```http\n" + string(m[1]) + " " + string(m[2]) + "\n" + string(m[3]) + "```\n\n```json\n" + answer.String() + "```")
	})
	if n < 8 {
		t.Errorf("%d examples", n)
	}
	if *rewrite {
		if err := os.WriteFile(apiDoc, written, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Every kind of problem, and every route, has its place in docs/api.md.
func TestEveryProblemIsDocumented(t *testing.T) {
	text, err := os.ReadFile(apiDoc)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range problem.Kinds() {
		if !strings.Contains(string(text), "\n### "+k.Name+"\n") {
			t.Errorf("no heading for the problem %s", k.Name)
		}
	}
	for _, pattern := range refund(t).serve(t, Config{}).Patterns() {
		_, path, _ := strings.Cut(pattern, " ")
		if !strings.Contains(string(text), "`"+path+"`") && !strings.Contains(string(text), path+"`") {
			t.Errorf("route %s is not documented", pattern)
		}
	}
}
