package answers

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/freshet-io/freshet/checkid"
	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/test/harness"
)

// An agent asks, and acts with the id of the answer: the verdict record, the explanation and the counter say what it had been told, and
// whether the context was superseded between the check and the act. With a key, an id that an agent has made itself is none.
func TestAnActIsTiedToItsCheck(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("a key of at least 16 bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := start(t, refunds, harness.Options{Partitions: 2, Config: func(cfg *app.Config) { cfg.Query.CheckKeyFile = key }})
	e.policy(1)
	e.loads("w", 1)
	e.tell("workflow.control", "task.started", "w", now(), `{}`)
	fresh := e.until("fresh", `{"workflow":"w"}`)
	act := func(decision, check string) string {
		return e.tell("workflow.decision", "action.executed", "w", now(), fmt.Sprintf(`{"decision_id":%q,"check_id":%q}`, decision, check))
	}
	act("in time", fresh["check_id"].(string))
	e.policy(2)
	stale := e.until("stale versions", `{"workflow":"w"}`)
	act("too late", fresh["check_id"].(string))
	act("against the answer", stale["check_id"].(string))
	act("forged", checkid.Encode(nil, checkid.Check{Workflow: "w", At: now(), Verdict: freshness.IsFresh}))
	act("unasked", "")

	says := func(answer map[string]any, superseded bool) string {
		return fmt.Sprintf("map[at:%s superseded_since:%v verdict:%s]", answer["at"], superseded, answer["verdict"])
	}
	v := e.Verdicts()
	for decision, want := range map[string]string{
		"in time": says(fresh, false), "too late": says(fresh, true), "against the answer": says(stale, false),
		"forged": "map[verdict:invalid]", "unasked": "<nil>",
	} {
		v.Until(e.ctx, func() string {
			d := v.Last["w "+decision+" action.executed"].Data
			if d == nil {
				return decision + " is not judged"
			}
			if got := fmt.Sprint(d["check"]); got != want {
				return fmt.Sprintf("%s: %s, want %s", decision, got, want)
			}
			return ""
		})
		e.Until(e.ctx, func() string { // what is committed is in the topic before it is in the store
			status, explained := e.ask(http.MethodGet, "/v1/decisions/w/"+url.PathEscape(decision), "")
			if uses, _ := explained["uses"].([]any); status == http.StatusOK && len(uses) == 1 {
				verdict, _ := uses[0].(map[string]any)["verdict"].(map[string]any)
				if verdict != nil && fmt.Sprint(verdict["check"]) == want {
					return ""
				}
			}
			return fmt.Sprintf("%s is to be explained by check %s: %d %v", decision, want, status, explained)
		})
	}
	for _, c := range []struct {
		check, superseded string
		want              float64
	}{{"fresh", "false", 1}, {"fresh", "true", 1}, {"stale", "false", 1}, {"invalid", "false", 1}, {"none", "false", 1}} {
		if n := e.Counted("freshet_acts_total", map[string]string{"workflow_type": "refund", "check": c.check, "superseded_since": c.superseded}); n != c.want {
			t.Errorf("%v acts with check %s, superseded since %s, are counted, want %v", n, c.check, c.superseded, c.want)
		}
	}
}
