package detections

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/app"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/test/harness"
)

const short = `version: 1
owners: {pay: {slack: "#pay"}, risk: {slack: "#risk"}}
contexts:
  policy: {owner: risk}
workflows:
  refund:
    owner: pay
    bounds: {policy: {max_age: 1h}}
retention: {decisions: 2h, workflow_idle: 6h}
lateness: {default: 100ms}
`

// TestWhatIsOldLeaves runs several days of event time, caught up on their own clock: nothing of it is late, ended workflows leave the table
// when their decisions are too old to be amended, those without events are abandoned first, and the rows that are left are what the last hours
// need. What comes again afterwards is late, and gets no second life.
func TestWhatIsOldLeaves(t *testing.T) {
	ctx := within(t, 4*time.Minute)
	w := newWorld(t, short)
	const hours, perHour, last = 96, 4, 8 // in the last hours something may still be needed
	begin := time.Now().Add(-(hours + 1) * time.Hour)
	w.Load(ctx, [][]byte{w.updated("p", 1, begin.Add(-time.Hour))})
	var first [][]byte
	for hour := range hours {
		var lines [][]byte
		for i := range perHour {
			id, at := fmt.Sprintf("wf-%d-%d", hour, i), begin.Add(time.Duration(hour)*time.Hour+time.Duration(i)*time.Minute)
			lines = append(lines, w.started(id, at), w.loaded(id, at, "p", 1), w.say("action.executed", id, at.Add(time.Minute), `{"decision_id":"d"}`))
			if i > 0 { // the others are never heard of again
				lines = append(lines, w.say("task.completed", id, at.Add(2*time.Minute), `{}`))
			}
		}
		if hour == 0 {
			first = lines
		}
		w.Load(ctx, lines)
	}
	w.Start(ctx)
	w.AwaitNow(ctx)
	rows := func() int {
		live := map[string]bool{}
		for _, r := range w.ReadAll(ctx, w.Graph().Workflows.Table) {
			if live[string(r.Key)] = r.Value != nil; r.Value == nil || r.Key[0] == 0 {
				delete(live, string(r.Key))
			}
		}
		return len(live)
	}
	w.Until(ctx, func() string {
		if n := rows(); n > last*perHour {
			return fmt.Sprintf("%d of %d rows are left", n, hours*perHour)
		}
		return ""
	})
	late := func() float64 { return w.Counted("freshet_events_total", map[string]string{"result": "late"}) }
	if n := late(); n != 0 {
		t.Errorf("%v events were late", n)
	}
	for name, bounds := range map[string][2]float64{
		"freshet_decisions_total":           {hours * perHour, hours * perHour},
		"freshet_workflows_abandoned_total": {hours - last, hours},
		"freshet_open_workflows":            {0, last},
		"freshet_stale_holdings":            {0, last},
	} {
		if n := w.Counted(name, nil); n < bounds[0] || n > bounds[1] {
			t.Errorf("%s is %v, want %v", name, n, bounds)
		}
	}
	if n := w.Counted("freshet_purged_total", map[string]string{"what": "workflows"}); n < (hours-last)*perHour {
		t.Errorf("%v workflows have been let go of", n)
	}
	said := len(w.ReadAll(ctx, w.Name("freshet.verdicts")))
	w.Load(ctx, first)
	w.AwaitNow(ctx)
	if n := late(); n != float64(len(first)) {
		t.Errorf("%v events were late when %d came again", n, len(first))
	}
	if is := len(w.ReadAll(ctx, w.Name("freshet.verdicts"))); is != said || rows() > last*perHour {
		t.Errorf("%d verdict records, there were %d; %d rows", is, said, rows())
	}
}

// TestABacklogLongerThanDecisionsAreKept catches up with a day in which a source said all the time that it was there, by heartbeats of its kind. They
// count once all sources have been applied, at the end of the backlog; by then most decisions are too old to be amended. So none of them may
// have been judged without.
func TestABacklogLongerThanDecisionsAreKept(t *testing.T) {
	ctx := within(t, 4*time.Minute)
	path := filepath.Join(t.TempDir(), "contracts.yaml")
	contract := strings.Replace(short, "policy: {owner: risk}", "policy: {owner: risk, max_silence: 30m}", 1)
	contract = strings.Replace(contract, "{max_age: 1h}", "{max_versions_behind: 0}", 1)
	if err := os.WriteFile(path, []byte(contract), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(path)
	o.Config = func(c *app.Config) { c.Gateway.MaxRecords = 20 } // many transactions, and so many instants that the clocks show on the way
	w := &world{Engine: harness.New(t, o), t: t}
	const hours, perHour = 24, 100
	begin := time.Now().Add(-(hours + 1) * time.Hour)
	lines := [][]byte{w.updated("p", 1, begin.Add(-time.Hour))}
	for i := range hours * perHour {
		at := begin.Add(time.Duration(i) * time.Hour / perHour)
		id := fmt.Sprintf("wf-%d", i)
		lines = append(lines, w.say("source.heartbeat", "policy/", at, fmt.Sprintf(`{"kind":"policy","through":%q}`, event.Of(at))),
			w.started(id, at), w.loaded(id, at, "p", 1), w.say("action.executed", id, at.Add(time.Minute), `{"decision_id":"d"}`), w.say("task.completed", id, at.Add(2*time.Minute), `{}`))
	}
	w.Load(ctx, lines)
	w.Start(ctx)
	w.AwaitNow(ctx)
	w.Until(ctx, func() string {
		if n := w.Counted("freshet_decisions_total", nil); n < hours*perHour {
			return fmt.Sprintf("%v of %d decisions are judged", n, hours*perHour)
		}
		return ""
	})
	if n := w.Counted("freshet_decisions_total", map[string]string{"verdict": "fresh"}); n != hours*perHour {
		t.Errorf("%v of %d decisions were judged fresh", n, hours*perHour)
	}
	if n := w.Counted("freshet_verdict_amendments_total", nil); n != 0 {
		t.Errorf("%v verdicts were taken back", n)
	}
}

// TestAbandonedCloseTheirDetections has workflows that hold something stale go by themselves: what is open of them is closed, whatever clock is
// the first to pass their end.
func TestAbandonedCloseTheirDetections(t *testing.T) {
	ctx := within(t, 4*time.Minute)
	w := newWorld(t, `version: 1
owners: {pay: {slack: "#pay"}, risk: {slack: "#risk"}}
contexts:
  policy: {owner: risk}
workflows:
  refund:
    owner: pay
    bounds: {policy: {max_versions_behind: 0}}
retention: {decisions: 5s, workflow_idle: 6s}
lateness: {default: 100ms}
`)
	w.Start(ctx)
	w.AwaitNow(ctx)
	hour := time.Now().Add(-time.Hour)
	const workflows = 40
	w.Load(ctx, [][]byte{w.updated("p", 1, hour), w.updated("p", 2, hour.Add(time.Minute))})
	for i := range workflows {
		now := time.Now()
		id := fmt.Sprintf("wf-%d", i)
		w.Load(ctx, [][]byte{w.started(id, now), w.loaded(id, now.Add(time.Millisecond), "p", 1)})
	}
	w.Until(ctx, func() string {
		if n := w.Counted("freshet_purged_total", map[string]string{"what": "workflows"}); n != workflows {
			return fmt.Sprintf("%v of %d workflows have been let go of", n, workflows)
		}
		return ""
	})
	w.AwaitNow(ctx) // and committed
	if n := w.Counted("freshet_stale_holdings", nil); n != 0 {
		t.Errorf("%v stale items are held by nobody", n)
	}
	closed := 0
	for id, d := range last(ctx, t, w.Engine) {
		if d.Status != "closed" || *d.ClosedBy != "end" {
			t.Errorf("%s is %s", id, d.line())
			continue
		}
		closed++
	}
	if closed != workflows {
		t.Errorf("%d detections of %d workflows", closed, workflows)
	}
}
