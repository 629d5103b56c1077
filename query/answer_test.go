package query

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/checkid"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/query/check"
)

// refunds is a contract with every kind of bound that an answer can rest on.
const refunds = `version: 1
owners: {payments: {}, risk: {}, serving: {}}
contexts:
  policy: {owner: risk, serving_owner: serving, max_silence: 10m}
  score: {owner: risk, basis: published}
workflows:
  refund:
    owner: payments
    require: [policy]
    bounds:
      policy: {max_staleness: 60s, max_versions_behind: 1}
      score: {max_age: 30s}
retention: {decisions: 24h}
slos:
  - name: refunds-fresh
    workflow: refund
    use: action.executed
    objective: 0.99
    window: 7d
    owner: payments
    alerting: {page: [{burn: 6, long: 6h, short: 30m}], min_events: 20}
`

// zero is the instant from which the tests count seconds.
var zero, _ = event.ParseTime("2026-01-03T12:00:00Z")

// at returns an instant in RFC 3339.
func at(s event.Time) string { return (zero + s*second).String() }

// tell makes a structured event.
func tell(kind, subject string, s event.Time, data string) []byte {
	return fmt.Appendf(nil, `{"specversion":"1.0","id":"%s %d %s","source":"/t","type":%q,"subject":%q,"time":%q,"workflowtype":"refund","data":%s}`,
		kind, s, strings.ReplaceAll(data, `"`, `'`), kind, subject, at(s), data)
}

// refund is an engine that knows a workflow w with policy/p v1, loaded at second 10, and what a test adds.
func refund(t testing.TB, more ...[]byte) *fake {
	t.Helper()
	file := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(file, []byte(refunds), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFake(t, file, append([][]byte{
		tell("source.updated", "policy/p", 0, `{"kind":"policy","key":"p","version":"v1","seq":1}`),
		tell("task.started", "w", 5, `{}`),
		tell("context.loaded", "w", 10, `{"refs":[{"kind":"policy","key":"p","seq":1}]}`),
	}, more...))
	return f
}

func TestWhatACheckSays(t *testing.T) {
	v2 := tell("source.updated", "policy/p", 100, `{"kind":"policy","key":"p","version":"v2","seq":2}`)
	v3 := tell("source.updated", "policy/p", 110, `{"kind":"policy","key":"p","version":"v3","seq":3}`)
	approved := tell("approval.granted", "w", 50, `{}`)
	denied := tell("approval.denied", "w", 60, `{}`)
	score := tell("tool.result", "w", 90, `{"call_id":"c","tool":"t","status":"ok","refs":[{"kind":"score","key":"s","version":"x","as_of":"`+at(90)+`"}]}`)
	for name, c := range map[string]struct {
		events [][]byte
		now    event.Time // seconds
		body   string     // beside the workflow
		clock  func(*check.Clock)
		want   string
	}{
		"fresh":                     {nil, 100, ``, nil, "fresh proceed [] until 600.001"},
		"stale by versions":         {[][]byte{v2, v3}, 120, ``, nil, "stale reload [versions] until -"},
		"stale by staleness":        {[][]byte{v2}, 161, ``, nil, "stale reload [staleness] until -"},
		"not stale yet":             {[][]byte{v2}, 160, ``, nil, "fresh proceed [] until 160.001"},
		"superseded later":          {[][]byte{v2}, 99, ``, nil, "fresh proceed [] until 160.001"},
		"approved before":           {[][]byte{v2, v3, approved}, 120, ``, nil, "stale reapprove [versions] until -"},
		"approved, then denied":     {[][]byte{v2, v3, approved, denied}, 120, ``, nil, "stale reload [versions] until -"},
		"approved after the act":    {[][]byte{v2, v3, approved}, 160, `"at":"` + at(112) + `"`, nil, "stale reapprove [versions] until -"},
		"silent":                    {nil, 700, ``, nil, "unknown abstain [source_silent] until -"},
		"age":                       {[][]byte{score}, 100, ``, nil, "fresh proceed [] until 120.001"},
		"tighter":                   {[][]byte{v2}, 105, `"bounds":{"policy":{"max_versions_behind":0}}`, nil, "stale reload [versions] until -"},
		"looser is not taken":       {[][]byte{v2, v3}, 120, `"bounds":{"policy":{"max_versions_behind":9}}`, nil, "stale reload [versions] until -"},
		"items instead":             {[][]byte{v2, v3}, 120, `"items":[{"kind":"policy","key":"p","seq":3}]`, nil, "fresh proceed [] until 710.001"},
		"no items":                  {nil, 100, `"items":[]`, nil, "unknown abstain [not_loaded no_context] until -"},
		"of nobody's":               {nil, 100, `"items":[{"kind":"policy","key":"q","seq":3}]`, nil, "unknown abstain [unknown_source source_silent] until -"},
		"earlier":                   {[][]byte{v2, v3}, 500, `"at":"` + at(99) + `"`, nil, "fresh proceed [] until 110.001"},
		"before it was loaded":      {nil, 500, `"at":"` + at(9) + `"`, nil, "unknown abstain [not_loaded no_context] until -"},
		"a little behind":           {nil, 100, ``, func(c *check.Clock) { c.Applied -= 2 * second }, "fresh proceed [] until 600.001"},
		"behind":                    {nil, 100, ``, func(c *check.Clock) { c.Applied -= 2*second + 1 }, "unknown wait [engine_behind] until -"},
		"behind by what is allowed": {nil, 100, `"max_engine_lag_s":3`, func(c *check.Clock) { c.Applied -= 3 * second }, "fresh proceed [] until 600.001"},
		"stale and behind":          {[][]byte{v2, v3}, 120, `"max_engine_lag_s":0`, func(c *check.Clock) { c.Applied-- }, "stale reload [versions engine_behind] until -"},
		"never live":                {nil, 100, ``, func(c *check.Clock) { c.Live = false }, "unknown wait [engine_behind] until -"},
	} {
		t.Run(name, func(t *testing.T) {
			f := refund(t, c.events...)
			f.live(zero + c.now*second)
			if c.clock != nil {
				c.clock(&f.clock)
			}
			body := `{"workflow":"w"}`
			if c.body != "" {
				body = `{"workflow":"w",` + c.body + `}`
			}
			status, got := post(t, f.serve(t, Config{}).Handler(true), "/v1/check", body)
			until := "-"
			if s, ok := got["valid_until"].(string); ok {
				x, _ := event.ParseTime(s)
				until = fmt.Sprint(float64(x-zero) / 1000)
				judged, _ := event.ParseTime(got["at"].(string))
				if got["valid_for_s"] != float64(x-judged)/1000 {
					t.Errorf("valid for %v from %v until %v", got["valid_for_s"], judged, s)
				}
			} else if got["valid_for_s"] != nil {
				t.Errorf("valid for %v until nothing", got["valid_for_s"])
			}
			if is := fmt.Sprint(got["verdict"], " ", got["action"], " ", got["reasons"], " until ", until); status != 200 || is != c.want {
				t.Errorf("%d %s, want %s\n%v", status, is, c.want, got)
			}
		})
	}
}

// The clocks of an answer are the earliest of all that it rests on, and nothing else.
func TestTheClocksOfAnAnswer(t *testing.T) {
	f := refund(t)
	f.live(zero + 100*second)
	f.sources = []check.Clock{ // policy/p lies in partition 1
		{Applied: zero, Complete: zero, Live: false},
		{Applied: f.now - 1500, Complete: f.now - 11_500, Live: true},
	}
	h := f.serve(t, Config{}).Handler(true)
	_, got := post(t, h, "/v1/check", `{"workflow":"w"}`)
	if got["applied_through"] != (f.now-1500).String() || got["complete_through"] != (f.now-11_500).String() || got["engine_lag_s"] != 1.5 || got["verdict"] != "fresh" {
		t.Errorf("resting on partition 1: %v", got)
	}
	if got["staleness_s"] != 0.0 || got["staleness_upper_s"] != 11.5 {
		t.Errorf("a version may have come into force 11.5 s ago unseen: %v", got)
	}
	_, got = post(t, h, "/v1/check", `{"workflow":"w","items":[{"kind":"policy","key":"pp","seq":1}]}`)
	if got["applied_through"] != nil || got["engine_lag_s"] != nil || got["verdict"] != "unknown" {
		t.Errorf("resting on partition 0: %v", got)
	}
	// What counts from when it was published is seen once it has been applied.
	f.add(t, tell("source.updated", "score/s", 95, `{"kind":"score","key":"s","version":"x","seq":1}`))
	_, got = post(t, h, "/v1/check", `{"workflow":"w","items":[{"kind":"score","key":"s","seq":1,"as_of":"`+at(95)+`"}]}`)
	if got["staleness_upper_s"] != 1.5 || got["age_s"] != 5.0 {
		t.Errorf("published: %v", got)
	}
}

func TestAnswersWithoutARow(t *testing.T) {
	f := refund(t)
	h := f.serve(t, Config{}).Handler(true)
	says := func(body string) string {
		status, got := post(t, h, "/v1/check", body)
		return fmt.Sprint(status, " ", got["verdict"], " ", got["action"], " ", got["reasons"], " ", got["items"])
	}
	for body, want := range map[string]string{
		`{"workflow":"nobody"}`: "200 unknown abstain [unknown_workflow] []",
		`{"workflow":"nobody","items":[{"kind":"policy","key":"p","seq":1}]}`: "200 unknown abstain [unknown_workflow] []",
	} {
		if got := says(body); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	f.clock.Applied -= minute
	if got := says(`{"workflow":"nobody"}`); got != "200 unknown wait [unknown_workflow engine_behind] []" {
		t.Errorf("an engine that is behind may not have heard of it yet: %s", got)
	}
	f.here = false
	if got := says(`{"workflow":"w"}`); got != "200 unknown wait [recovering] []" {
		t.Errorf("without an owner: %s", got)
	}
	f.here = true
	f.row = func(string) (*freshness.Workflow, error) { return nil, fmt.Errorf("gone") }
	if got := says(`{"workflow":"w"}`); got != "200 unknown wait [recovering] []" {
		t.Errorf("a row that has just gone: %s", got)
	}
}

// What is older than what is kept may lack what was loaded then.
func TestFreshnessOfTheForgottenPast(t *testing.T) {
	f := refund(t)
	h := f.serve(t, Config{}).Handler(true)
	f.live(zero + 100*second)
	if _, got := post(t, h, "/v1/check", `{"workflow":"w","at":"`+at(20)+`"}`); got["verdict"] != "fresh" {
		t.Fatalf("%v", got)
	}
	f.live(zero + 25*60*minute)
	if _, got := post(t, h, "/v1/check", `{"workflow":"w","at":"`+at(20)+`"}`); got["verdict"] != "unknown" || fmt.Sprint(got["reasons"]) != "[history_truncated]" {
		t.Errorf("%v", got)
	}
}

func TestTheIDOfACheck(t *testing.T) {
	key := []byte("0123456789abcdef")
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, append(key, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	f := refund(t)
	f.live(zero + 100*second)
	_, got := post(t, f.serve(t, Config{CheckKeyFile: file}).Handler(true), "/v1/check", `{"workflow":"w"}`)
	c, err := checkid.Decode(key, got["check_id"].(string))
	if want := (checkid.Check{Workflow: "w", At: f.now, Verdict: freshness.IsFresh}); err != nil || c != want {
		t.Errorf("%+v, %v, want %+v", c, err, want)
	}
	if _, err := checkid.Decode([]byte("another key 1234"), got["check_id"].(string)); err == nil {
		t.Error("it is not signed")
	}
}

// A caller who only looks at the status fails closed, and gets the whole answer besides.
func TestTheGateFailsClosed(t *testing.T) {
	f := refund(t, tell("source.updated", "policy/p", 100, `{"kind":"policy","key":"p","version":"v2","seq":2}`))
	h := f.serve(t, Config{}).Handler(true)
	for now, want := range map[event.Time]string{
		99: "200 <nil> fresh proceed", 170: "412 urn:freshet:problem:stale stale reload", 5: "503 urn:freshet:problem:unknown unknown abstain",
	} {
		f.live(zero + now*second)
		status, got := post(t, h, "/v1/gate", `{"workflow":"w"}`)
		if is := fmt.Sprint(status, " ", got["type"], " ", got["verdict"], " ", got["action"]); is != want {
			t.Errorf("at %d: %s, want %s", now, is, want)
		}
		if got["check_id"] == nil || got["items"] == nil {
			t.Errorf("at %d the answer is not whole: %v", now, got)
		}
	}
	w := ask(h, request(http.MethodPost, "/v1/gate", `{"workflow":"nobody"}`))
	if w.Header().Get("Retry-After") == "" || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("headers of a refusal: %v", w.Header())
	}
}

func TestBatches(t *testing.T) {
	f := refund(t)
	f.live(zero + 100*second)
	h := f.serve(t, Config{}).Handler(true)
	status, got := post(t, h, "/v1/check:batch", `{"checks":[{"workflow":"w"},{"workflow":"nobody"}]}`)
	answers, _ := got["answers"].([]any)
	if status != 200 || len(answers) != 2 || answers[0].(map[string]any)["verdict"] != "fresh" || answers[1].(map[string]any)["verdict"] != "unknown" {
		t.Errorf("%d %v", status, got)
	}
	if w := ask(h, request(http.MethodPost, "/v1/check:batch", `[{"workflow":"w"}]`)); w.Code != 200 || w.Body.String()[0] != '[' {
		t.Errorf("a list: %d %s", w.Code, w.Body)
	}
	many := strings.Repeat(`{"workflow":"w"},`, 101)
	for body, pointer := range map[string]string{
		`{"checks":[` + many[:len(many)-1] + `]}`:                                    "/checks/100",
		`{"checks":[{"workflow":"w"},{"workflow":"w","at":"2099-01-01T00:00:00Z"}]}`: "/checks/1/at",
		`[{"workflow":"w"},{"workflow":"w","at":"2099-01-01T00:00:00Z"}]`:            "/1/at",
		`{"checks":[{"workflow":"w"},{"workfow":"w"}]}`:                              "/checks/1/workfow",
		`{"check":[]}`: "/check",
	} {
		if status, got := post(t, h, "/v1/check:batch", body); status != 400 || got["pointer"] != pointer {
			t.Errorf("%.60s: %d %v", body, status, got)
		}
	}
}

func TestBodiesThatCannotBeUsed(t *testing.T) {
	f := refund(t)
	f.live(zero + 100*second)
	h := f.serve(t, Config{MaxBodyBytes: 4096}).Handler(true)
	for body, want := range map[string]string{
		``:                                "must be an object, not nothing",
		`[]`:                              "must be an object, not a list",
		`{}`:                              `"workflow" is missing`,
		`{"workflow":""}`:                 "/workflow must not be empty",
		`{"workflow":7}`:                  "/workflow must be a string, not a number",
		`{"workflow":"w"} x`:              "there is more behind",
		`{"workflow":"w","workflow":"w"}`: "/workflow stands twice",
		`{"workflow":"w","clas":"x"}`:     `/clas there is no member "clas"; did you mean "class"?`,
		`{"workflow":"w","bounds":{"policy":{"max_stalenes_s":1}}}`:            `/bounds/policy/max_stalenes_s there is no member "max_stalenes_s"; did you mean "max_staleness_s"?`,
		`{"workflow":"w","bounds":{"a/b~c":{"max_age_s":-1}}}`:                 "/bounds/a~1b~0c/max_age_s is -1, at least 0",
		`{"workflow":"w","items":[{"kind":"a","key":"b"},{"kind":"a"}]}`:       `/items/1 "key" is missing`,
		`{"workflow":"w","items":[{"kind":"a/b","key":"b"}]}`:                  "/items/0/kind",
		`{"workflow":"w","items":[{"kind":"a","key":"b","seq":1.5}]}`:          "/items/0/seq 1.5 is not a whole number",
		`{"workflow":"w","at":"yesterday"}`:                                    "/at \"yesterday\" is not an RFC 3339",
		`{"workflow":"w","at":"2099-01-01T00:00:00Z"}`:                         "/at 2099-01-01T00:00:00.000Z has not come yet",
		`{"workflow":"w","wait_s":31}`:                                         "/wait_s is 31, at most 30",
		`{"workflow":"w","max_engine_lag_s":"2"}`:                              "/max_engine_lag_s must be a number of seconds, not a string",
		`{"workflow":"w","at_least":[{"topic":"x","partition":0}]}`:            "/at_least/0",
		`{"workflow":"w","at_least":[{"topic":"x","partition":0,"offset":1}]}`: "/at_least/0 x/0 is no partition of an input",
		`{"workflow":"w","class":"\ud800"}`:                                    "/class not JSON",
		`{"workflow":"w","items":[[[[[[[[[[[[[[[[[[`:                           "/items/0 must be an object",
		`{"workflow":"w"`:         "not JSON at byte 15",
		"{\"workflow\":\"\xff\"}": "/workflow is not UTF-8",
	} {
		status, got := post(t, h, "/v1/check", body)
		if is := strings.TrimSpace(fmt.Sprint(or(got["pointer"]), " ", got["detail"])); status != 400 || got["type"] != "urn:freshet:problem:bad-body" || !strings.Contains(is, want) {
			t.Errorf("%s: %d %s, want %s", body, status, is, want)
		}
	}
	if status, got := post(t, h, "/v1/check", `{"workflow":"`+strings.Repeat("w", 5000)+`"}`); status != 413 || got["type"] != "urn:freshet:problem:too-large" {
		t.Errorf("too large: %d %v", status, got)
	}
	if status, got := post(t, h, "/v1/check", `{"workflow":"w","class":null,"items":null,"bounds":null,"at_least":null,"at":null,"wait_s":null}`); status != 200 || got["verdict"] != "fresh" {
		t.Errorf("null is nothing: %d %v", status, got)
	}
	for member, pointer := range map[string]string{`"boundz":null`: "/boundz", `"bounds":{"policy":{"max_age":null}}`: "/bounds/policy/max_age",
		`"items":[{"kind":"policy","key":"p","sequence":null}]`: "/items/0/sequence"} {
		if status, got := post(t, h, "/v1/check", `{"workflow":"w",`+member+`}`); status != 400 || got["pointer"] != pointer {
			t.Errorf("a name that is not known is refused, also for null: %s: %d %v", member, status, got)
		}
	}
}

func or(x any) any {
	if x == nil {
		return ""
	}
	return x
}
