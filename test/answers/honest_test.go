package answers

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/programs"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kgo"
)

const refunds = "testdata/refund.yaml"

// policy publishes a version of policy/p.
func (e *engine) policy(seq int) string {
	e.t.Helper()
	return e.tell("context.source", "source.updated", "policy/p", now(), fmt.Sprintf(`{"kind":"policy","key":"p","version":"v%d","seq":%d}`, seq, seq))
}

// loads makes a workflow load a version of policy/p.
func (e *engine) loads(workflow string, seq int) string {
	e.t.Helper()
	return e.tell("workflow.context", "context.loaded", workflow, now(), fmt.Sprintf(`{"refs":[{"kind":"policy","key":"p","seq":%d}]}`, seq))
}

// An agent that checks with the acknowledgement of what it has just written sees it, and never an answer from before it.
func TestReadYourWrites(t *testing.T) {
	e := start(t, refunds, harness.Options{Partitions: 4})
	for i := 1; i <= 20; i++ {
		id := fmt.Sprint("w", i)
		published := e.policy(i)
		loaded := e.loads(id, i)
		answer := e.check(`{"workflow":%q,"at_least":[%s,%s],"wait_s":20,"max_engine_lag_s":60}`, id, published, loaded)
		if says(answer) != "fresh" {
			t.Fatalf("%d: %v", i, answer)
		}
		if item := answer["items"].([]any)[0].(map[string]any); item["used"].(map[string]any)["seq"] != float64(i) || item["current"].(map[string]any)["seq"] != float64(i) {
			t.Fatalf("%d: %v", i, item)
		}
		// The one before is now one version behind.
		if i > 1 {
			if answer := e.check(`{"workflow":"w%d","at_least":[%s],"wait_s":20,"max_engine_lag_s":60}`, i-1, published); says(answer) != "stale versions" {
				t.Fatalf("%d: %v", i, answer)
			}
		}
	}
}

func TestARecordThatIsNotThereYet(t *testing.T) {
	e := start(t, refunds, harness.Options{Partitions: 2})
	e.policy(1)
	r := e.record("workflow.context", "context.loaded", "w", now(), `{"refs":[{"kind":"policy","key":"p","seq":1}]}`)
	e.Produce(e.ctx, r)
	e.until("fresh", `{"workflow":"w"}`)
	ahead := fmt.Sprintf(`{"topic":%q,"partition":%d,"offset":%d}`, r.Topic, r.Partition, r.Offset+1)
	answer := e.check(`{"workflow":"w","at_least":[%s],"wait_s":0.05,"max_engine_lag_s":60}`, ahead)
	if says(answer) != "unknown not_up_to_bound" || answer["action"] != "wait" || len(answer["items"].([]any)) != 0 {
		t.Errorf("%v", answer)
	}
	// It is waited for, and the answer comes with the commit of the record that was missing.
	asked := make(chan map[string]any, 1)
	go func() { asked <- e.check(`{"workflow":"w","at_least":[%s],"wait_s":30,"max_engine_lag_s":60}`, ahead) }()
	again := e.record("workflow.context", "context.dropped", "w", now(), `{"refs":[{"kind":"policy","key":"p"}]}`)
	e.Produce(e.ctx, again)
	select {
	case answer := <-asked:
		if says(answer) != "unknown no_context" {
			t.Errorf("%v", answer)
		}
	case <-e.ctx.Done():
		t.Fatal("there is no answer")
	}
	for at, pointer := range map[string]string{
		`{"topic":"nowhere","partition":0,"offset":0}`:                         "/at_least/0",
		fmt.Sprintf(`{"topic":%q,"partition":99,"offset":0}`, r.Topic):         "/at_least/0",
		fmt.Sprintf(`{"topic":%q,"partition":0,"offset":0}`, "freshet.alerts"): "/at_least/0",
	} {
		if status, answer := e.ask(http.MethodPost, "/v1/check", `{"workflow":"w","at_least":[`+at+`]}`); status != 400 || answer["pointer"] != pointer {
			t.Errorf("%s: %d %v", at, status, answer)
		}
	}
}

// A record that lies where its key does not say is there once its copy is.
func TestAMisplacedRecordIsReachedWithItsCopy(t *testing.T) {
	e := start(t, refunds, harness.Options{Partitions: 4})
	for i := range 5 {
		workflow := fmt.Sprint("w", i)
		source := e.record("context.source", "source.updated", "policy/p", now(), fmt.Sprintf(`{"kind":"policy","key":"p","seq":%d}`, i+1))
		load := e.record("workflow.context", "context.loaded", workflow, now(), fmt.Sprintf(`{"refs":[{"kind":"policy","key":"p","seq":%d}]}`, i+1))
		for _, r := range []*kgo.Record{source, load} {
			r.Partition = (r.Partition + 1) % 4
		}
		e.Produce(e.ctx, source, load)
		if answer := e.check(`{"workflow":%q,"at_least":[%s,%s],"wait_s":20,"max_engine_lag_s":60}`, workflow, token(source), token(load)); says(answer) != "fresh" {
			t.Fatalf("%v", answer)
		}
	}
}

func TestUnknownNeverFresh(t *testing.T) {
	e := start(t, refunds, harness.Options{Partitions: 2})
	for body, want := range map[string]string{
		`{"workflow":"nobody"}`: "unknown unknown_workflow",
	} {
		e.until(want, "%s", body)
	}
	e.tell("workflow.control", "task.started", "w", now(), `{}`)
	e.until("unknown no_context", `{"workflow":"w"}`)
	e.until("unknown unknown_source", `{"workflow":"w","items":[{"kind":"policy","key":"p","seq":1}]}`)
	// A source that has gone silent says nothing that can be relied on; a sign of life cures it.
	// On a slow machine it is silent again when that is seen, and gives another one.
	fresh := func(sign func(n int) string) {
		t.Helper()
		n := 0
		e.Until(e.ctx, func() string {
			n++
			answer := e.check(`{"workflow":"w","items":[{"kind":"price","key":"a","seq":1}],"at_least":[%s],"wait_s":20}`, sign(n))
			if says(answer) == "fresh" {
				return ""
			}
			return fmt.Sprint("not fresh: ", answer)
		})
	}
	fresh(func(n int) string {
		return e.tell("context.source", "source.updated", "price/a", now(), fmt.Sprintf(`{"kind":"price","key":"a","seq":%d}`, n))
	})
	e.until("unknown source_silent", `{"workflow":"w","items":[{"kind":"price","key":"a","seq":1}]}`)
	fresh(func(int) string {
		return e.tell("context.source", "source.heartbeat", "price/a", now(), `{"kind":"price","key":"a","through":"`+now().String()+`"}`)
	})
}

// An engine that is behind by more than the caller allows says nothing fresh; what is stale is so all the same.
func TestBehindByMoreThanAsked(t *testing.T) {
	e := start(t, refunds, harness.Options{Partitions: 2})
	e.policy(1)
	e.loads("w", 1)
	e.until("fresh", `{"workflow":"w"}`)
	behind := e.until("unknown engine_behind", `{"workflow":"w","max_engine_lag_s":0}`)
	if behind["action"] != "wait" || behind["engine_lag_s"].(float64) <= 0 {
		t.Errorf("%v", behind)
	}
	e.until("unknown unknown_version", `{"workflow":"w","items":[{"kind":"policy","key":"p","seq":99}]}`)
	e.policy(2)
	e.until("stale versions", `{"workflow":"w"}`)
	if stale := e.until("stale versions engine_behind", `{"workflow":"w","max_engine_lag_s":0}`); stale["action"] != "reload" {
		t.Errorf("%v", stale)
	}
}

// When the brokers are gone, nothing that is written is seen any more: the lag in the answers grows, and what was fresh is no longer said
// to be. When they are back, it is.
func TestBrokersThatAreGone(t *testing.T) {
	dir := t.TempDir()
	addr, err := programs.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	b := broker(t, dir, addr)
	e := start(t, refunds, harness.Options{Partitions: 2, Brokers: addr})
	e.policy(1)
	e.loads("w", 1)
	before := e.until("fresh", `{"workflow":"w"}`)
	if err := services.StopAndAwaitTerminated(e.ctx, b); err != nil {
		t.Fatal(err)
	}
	gone := e.until("unknown engine_behind", `{"workflow":"w"}`)
	if gone["action"] != "wait" || gone["applied_through"].(string) < before["applied_through"].(string) || gone["engine_lag_s"].(float64) <= 2 {
		t.Errorf("%v", gone)
	}
	later := e.until("unknown engine_behind", `{"workflow":"w"}`)
	e.Until(e.ctx, func() string { // also once the session has ended, and the partition is this instance's no longer for all it knows
		later = e.check(`{"workflow":"w"}`)
		if lag, known := later["engine_lag_s"].(float64); !known {
			t.Fatalf("no lag: %v", later)
		} else if lag > gone["engine_lag_s"].(float64)+0.5 && len(e.App.Partitions()) == 0 {
			return ""
		}
		return fmt.Sprintf("the lag does not grow, or the session does not end: %v", later)
	})
	if later["applied_through"] != gone["applied_through"] {
		t.Errorf("the clock has moved from %v to %v without brokers", gone["applied_through"], later["applied_through"])
	}
	// Who allows for it is told, with how much can be unseen.
	allowed := e.check(`{"workflow":"w","max_engine_lag_s":3600}`)
	if says(allowed) != "fresh" || allowed["staleness_upper_s"].(float64) < allowed["engine_lag_s"].(float64) {
		t.Errorf("%v", allowed)
	}
	broker(t, dir, addr)
	e.until("fresh", `{"workflow":"w"}`)
}

// An engine whose brokers are gone stops when it is told to, soon after and long after: orchestrators kill what does not.
func TestStopWithoutBrokers(t *testing.T) {
	for name, lag := range map[string]float64{"at once": 0, "while sessions end": 4, "after a while": 15} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := broker(t, t.TempDir(), "127.0.0.1:0")
			e := start(t, refunds, harness.Options{Partitions: 2, Brokers: b.Addr()})
			e.policy(1)
			e.loads("w", 1)
			e.until("fresh", `{"workflow":"w"}`)
			if err := services.StopAndAwaitTerminated(e.ctx, b); err != nil {
				t.Fatal(err)
			}
			e.Until(e.ctx, func() string {
				answer := e.check(`{"workflow":"w"}`)
				if got, known := answer["engine_lag_s"].(float64); known && got >= lag {
					return ""
				}
				return fmt.Sprint(answer)
			})
			began := time.Now()
			e.Stop() // fails the test if modules do not stop in time
			t.Log("stopped in", time.Since(began))
		})
	}
}

func broker(t *testing.T, dir, addr string) *embedded.Broker {
	t.Helper()
	cfg := embedded.Config{}
	cfg.RegisterFlags(flag.NewFlagSet("broker", flag.PanicOnError))
	cfg.Listen, cfg.Dir = addr, dir
	b, err := embedded.New(cfg, log.NewNopLogger())
	if err == nil {
		err = services.StartAndAwaitRunning(context.WithoutCancel(t.Context()), b)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = services.StopAndAwaitTerminated(context.Background(), b) })
	return b
}

// While the engine starts, restores and stops it answers, and never fresh before it can be.
func TestFromStartToStop(t *testing.T) {
	e := start(t, refunds, harness.Options{Partitions: 2})
	e.policy(1)
	e.loads("w", 1)
	e.until("fresh", `{"workflow":"w"}`)
	e.Stop()
	if answer := e.check(`{"workflow":"w"}`); says(answer) != "unknown recovering" || answer["action"] != "wait" || answer["applied_through"] != nil {
		t.Errorf("stopped: %v", answer)
	}
	// Meanwhile the policy changes: whoever is asked must not say what was so before.
	e.policy(2)
	published := now()
	seen := map[string]int{}
	e.Start(e.ctx)
	e.Until(e.ctx, func() string {
		answer := e.check(`{"workflow":"w","max_engine_lag_s":0.5}`)
		seen[says(answer)]++
		if says(answer) == "fresh" {
			through, _ := event.ParseTime(answer["applied_through"].(string))
			if through >= published {
				t.Errorf("fresh, applied through %v, and the policy had changed by %v: %v", through, published, answer)
			}
		}
		if strings.HasPrefix(says(answer), "stale") && answer["engine_lag_s"] != nil {
			return ""
		}
		return fmt.Sprint("not stale yet: ", answer)
	})
	t.Log(seen)
}

// What is asked of a workflow while its engine reads a backlog is never fresh before the clocks are there.
func TestWhileCatchingUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	e := &engine{harness.New(t, harness.Options{Contract: refunds, Partitions: 1}), t, ctx}
	e.policy(1)
	e.loads("w", 1)
	backlog := make([][]byte, 0, 20_000)
	for i := range cap(backlog) {
		backlog = append(backlog, line("task.waiting", fmt.Sprint("other", i%500), now(), fmt.Sprintf(`{"step":"%d"}`, i)))
	}
	e.Load(ctx, backlog)
	e.policy(2)
	published := now()
	e.Start(ctx)
	seen := map[string]int{}
	e.Until(ctx, func() string {
		answer := e.check(`{"workflow":"w"}`)
		seen[says(answer)]++
		if says(answer) == "fresh" {
			if through, _ := event.ParseTime(answer["applied_through"].(string)); through >= published {
				t.Errorf("fresh, applied through %v: %v", through, answer)
			}
		}
		if says(answer) == "stale versions" {
			return ""
		}
		return fmt.Sprint(answer)
	})
	t.Log(seen)
}

// Who watches a workflow hears of its loads and of what happens to its sources, of its decisions before they are final and once they are.
func TestWatch(t *testing.T) {
	e := start(t, refunds, harness.Options{Partitions: 2, HTTP: true})
	e.policy(1)
	e.loads("w", 1)
	e.until("fresh", `{"workflow":"w"}`)
	r, err := http.NewRequestWithContext(e.ctx, http.MethodGet, "http://"+e.App.HTTPAddr()+"/v1/watch?workflow=w", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(resp.Body)
	await := func(what string, is func(kind, data string) bool) {
		t.Helper()
		kind := ""
		for sc.Scan() {
			name, value, _ := strings.Cut(sc.Text(), ": ")
			if name == "event" {
				kind = value
			}
			if name == "data" && is(kind, value) {
				return
			}
		}
		t.Fatalf("the events have ended before %s: %v", what, sc.Err())
	}
	await("the state it is in", func(kind, data string) bool {
		return kind == "verdict" && strings.HasPrefix(data, `{"verdict":"fresh"`)
	})
	e.policy(2)
	await("the change of the source", func(kind, data string) bool {
		return kind == "verdict" && strings.HasPrefix(data, `{"verdict":"stale"`)
	})
	e.tell("workflow.decision", "action.executed", "w", now()+3000, `{"decision_id":"d"}`) // so that it is told before it is final on a slow machine, too
	provisional := false
	await("the verdict", func(kind, data string) bool {
		ours := kind == "verdict" && strings.Contains(data, `"decision_id":"d"`)
		provisional = provisional || ours && strings.Contains(data, `"provisional":true`)
		return ours && !strings.Contains(data, `"provisional"`)
	})
	if !provisional {
		t.Error("the verdict was not told before it was final")
	}
	await("a bookmark", func(kind, _ string) bool { return kind == "bookmark" })

	// What is there of a decision, once it is final.
	status, explained := 0, map[string]any{}
	var revisions []any
	e.Until(e.ctx, func() string { // who watches may hear of it before it is in the store
		status, explained = e.ask(http.MethodGet, "/v1/decisions/w/d", "")
		if revisions, _ = explained["revisions"].([]any); status == 200 && len(revisions) > 0 {
			return ""
		}
		return fmt.Sprintf("%d %v", status, explained)
	})
	if len(revisions) != 1 || len(explained["evidence"].([]any)) < 3 || explained["completeness"].(map[string]any)["revisions"].(map[string]any)["whole"] != true {
		t.Errorf("%d %v", status, explained)
	}
	if n := len(explained["completeness"].(map[string]any)["records"].(map[string]any)["gone"].([]any)); n != 0 {
		t.Errorf("%d records are gone", n)
	}
	if status, timeline := e.ask(http.MethodGet, "/v1/workflows/w/timeline", ""); status != 200 || len(timeline["events"].([]any)) != 2 {
		t.Errorf("%d %v", status, timeline)
	}
	if status, source := e.ask(http.MethodGet, "/v1/sources/policy/p", ""); status != 200 || source["current"].(map[string]any)["seq"] != 2.0 {
		t.Errorf("%d %v", status, source)
	}
	if status, users := e.ask(http.MethodGet, "/v1/sources/policy/p/users?seq=1", ""); status != 200 || len(users["users"].([]any)) != 1 {
		t.Errorf("%d %v", status, users)
	}
	if status, said := e.ask(http.MethodGet, "/v1/status", ""); status != 200 || len(said["partitions"].([]any)) < 4 || said["contract"] == "" {
		t.Errorf("%d %v", status, said)
	}
	if status, list := e.ask(http.MethodGet, "/v1/workflows?verdict=stale", ""); status != 200 || len(list["workflows"].([]any)) != 1 {
		t.Errorf("%d %v", status, list)
	}
}
