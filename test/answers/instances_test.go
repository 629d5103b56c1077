package answers

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/test/harness"
)

// TestAnyInstanceAnswers asks each of two instances for everything, and one of them while the other goes.
func TestAnyInstanceAnswers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	const partitions, workflows = 4, 12
	one := &engine{harness.New(t, harness.Options{Contract: filepath.Join("testdata", "refund.yaml"), Partitions: partitions, HTTP: true}), t, ctx}
	two := &engine{one.Another("two"), t, ctx}
	one.Start(ctx)
	two.Start(ctx)
	both := []*engine{one, two}
	one.Until(ctx, func() string {
		if a, b := len(one.App.Partitions()), len(two.App.Partitions()); a == 0 || b == 0 || a+b < 2*partitions {
			return fmt.Sprintf("one has %d partitions, two has %d", a, b)
		}
		return ""
	})

	at := now() - 1000
	published := one.tell("context.source", "source.updated", "policy/p", at, `{"kind":"policy","key":"p","version":"v1","seq":1}`)
	tokens := map[string]string{}
	for i := range workflows {
		id := fmt.Sprintf("wf-%02d", i)
		one.tell("workflow.control", "task.started", id, at, `{"workflow_type":"refund"}`)
		one.tell("workflow.context", "context.loaded", id, at+1, `{"refs":[{"kind":"policy","key":"p","version":"v1","seq":1}]}`)
		tokens[id] = one.tell("workflow.decision", "decision.proposed", id, at+2, `{"decision_id":"d1"}`)
	}
	for id, token := range tokens {
		for _, e := range both {
			e.until("fresh", `{"workflow":%q,"at_least":[%s,%s],"wait_s":5,"max_engine_lag_s":10}`, id, published, token)
		}
	}
	for i, e := range both {
		e.Until(ctx, func() string { // on a machine that is slow an instance may not reach the other one in time, and says so
			if wrong := answersAll(e, tokens, 2*partitions); wrong != "" {
				return fmt.Sprintf("instance %d: %s", i, wrong)
			}
			for id := range tokens {
				if wrong := watchBegins(e, id); wrong != "" {
					return fmt.Sprintf("instance %d: %s", i, wrong)
				}
			}
			return ""
		})
	}
	oneGoes(one, two, tokens)
}

// watchBegins watches a workflow until its verdict is said, whoever has it, and says what is wrong.
func watchBegins(e *engine, id string) string {
	ctx, cancel := context.WithTimeout(e.ctx, time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.App.HTTPAddr()+"/v1/watch?workflow="+id, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
		if strings.HasPrefix(sc.Text(), `data: {"verdict":"`) && strings.Contains(sc.Text(), fmt.Sprintf(`"workflow":%q`, id)) {
			return ""
		}
	}
	return fmt.Sprintf("who watches %s is told nothing, %d", id, resp.StatusCode)
}

// answersAll asks an instance for everything that both have, and says what is wrong with an answer.
func answersAll(e *engine, tokens map[string]string, partitions int) string {
	ids := all(e, "/v1/workflows?limit=5", "workflows", "workflow")
	if distinct := slices.Compact(slices.Sorted(slices.Values(ids))); len(ids) != len(tokens) || len(distinct) != len(tokens) {
		return fmt.Sprintf("it lists %v", ids)
	}
	_, source := e.ask(http.MethodGet, "/v1/sources/policy/p", "")
	holders, _ := source["holders"].([]any)
	if len(holders) != 1 || holders[0].(map[string]any)["workflows"] != float64(len(tokens)) || source["holders_whole"] != true {
		return fmt.Sprintf("holders %v, whole %v", holders, source["holders_whole"])
	}
	_, status := e.ask(http.MethodGet, "/v1/status", "")
	owners := map[string]int{}
	known, _ := status["partitions"].([]any)
	for _, p := range known {
		owners[p.(map[string]any)["owner"].(string)]++
	}
	if owners["engine"]+owners["two"] != partitions || owners["engine"] == 0 || owners["two"] == 0 {
		return fmt.Sprintf("the status names %v", owners)
	}
	for id := range tokens {
		if code, row := e.ask(http.MethodGet, "/v1/workflows/"+id, ""); code != http.StatusOK || row["workflow"] != id {
			return fmt.Sprintf("workflow %s: %d %v", id, code, row)
		}
		if code, row := e.ask(http.MethodGet, "/v1/decisions/"+id+"/d1", ""); code != http.StatusOK || row["decision_id"] != "d1" {
			return fmt.Sprintf("decision of %s: %d %v", id, code, row)
		}
	}
	return checkBatch(e, tokens)
}

// checkBatch asks for all at once, and for one nobody knows.
func checkBatch(e *engine, tokens map[string]string) string {
	var checks []string
	for id := range tokens {
		checks = append(checks, fmt.Sprintf(`{"workflow":%q,"max_engine_lag_s":10}`, id))
	}
	checks = append(checks, `{"workflow":"nobody"}`)
	_, answer := e.ask(http.MethodPost, "/v1/check:batch", `{"checks":[`+strings.Join(checks, ",")+`]}`)
	answers, _ := answer["answers"].([]any)
	if len(answers) != len(checks) {
		return fmt.Sprintf("batch: %v", answer)
	}
	for i, a := range answers {
		want := "fresh"
		if i == len(tokens) {
			want = "unknown"
		}
		if got := a.(map[string]any); got["verdict"] != want {
			return fmt.Sprintf("batch, check %d: %v", i, got)
		}
	}
	return ""
}

// oneGoes changes the truth, stops an instance, and asks the other all the while: whatever it says, it never says fresh again; and in the
// end it says stale of all.
func oneGoes(stays, goes *engine, tokens map[string]string) {
	t := stays.t
	changed := stays.tell("context.source", "source.updated", "policy/p", now()-500, `{"kind":"policy","key":"p","version":"v2","seq":2}`)
	for id := range tokens {
		stays.until("stale versions", `{"workflow":%q,"at_least":[%s],"wait_s":5,"max_engine_lag_s":10}`, id, changed)
	}
	stopped := make(chan struct{})
	go func() { goes.Stop(); close(stopped) }()
	said := map[string]int{}
	for left := true; left; {
		select {
		case <-stopped:
			left = false
		default:
		}
		for id := range tokens {
			a := stays.check(`{"workflow":%q,"max_engine_lag_s":60}`, id)
			said[says(a)]++
			if a["verdict"] == "fresh" {
				t.Fatalf("%s is called fresh while an instance goes: %v", id, a)
			}
		}
	}
	t.Logf("while an instance went: %v", said)
	for id := range tokens {
		stays.until("stale versions", `{"workflow":%q,"max_engine_lag_s":60}`, id)
	}
}

// all follows a list to its end.
func all(e *engine, path, list, name string) []string {
	e.t.Helper()
	var found []string
	for next := path; next != ""; {
		_, answer := e.ask(http.MethodGet, next, "")
		some, _ := answer[list].([]any)
		for _, one := range some {
			found = append(found, one.(map[string]any)[name].(string))
		}
		next = ""
		if cursor, _ := answer["next"].(string); cursor != "" {
			next = path + "&cursor=" + cursor
		}
		if len(found) > 1000 {
			e.t.Fatalf("%s has no end", path)
		}
	}
	return found
}
