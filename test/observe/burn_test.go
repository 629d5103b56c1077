package observe

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/loader"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/freshet-io/freshet/test/wait"
)

const burning = `
version: 1
owners: {risk: {}, payments: {}}
contexts: {policy: {owner: risk}}
workflows: {refund: {owner: payments, bounds: {policy: {max_versions_behind: 0}}}}
slos:
  - {name: refunds, workflow: refund, use: action.executed, objective: 0.9, window: 1d, alerting: {page: [{burn: 5, long: 1m, short: 10s}], min_events: 5}}
lateness: {default: 100ms}
`

const (
	budget    = 0.1
	burnGap   = 50 * time.Millisecond // between uses
	burnUses  = 480
	burnShift = 4 * scrapeEvery // that what both say may lie apart: lateness, a tick of the gauges, a scrape, an evaluation
	burnStep  = 0.5             // by which few uses more or less change a burn rate, which is 10 if all are bad
)

// acts writes uses as they happen: one in five is stale at first, four in five later.
func acts(ctx context.Context, t *testing.T, e *harness.Engine) {
	t.Helper()
	l, err := loader.Open(ctx, access.Open(e.Brokers()...), e.Graph())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tick := time.NewTicker(burnGap)
	defer tick.Stop()
	for i := range burnUses {
		seq := 2
		if stale := i % 5; stale == 0 || i > burnUses/2 && stale < 4 {
			seq = 1
		}
		r, reason := l.Record(fmt.Appendf(nil, `{"specversion":"1.0","id":"use-%d","source":"/test","type":"action.executed","subject":"wf-%d","time":%q,"workflowtype":"refund",`+
			`"data":{"decision_id":"d","based_on":[{"kind":"policy","key":"refund","seq":%d}]}}`, i, i, time.Now().UTC().Format(time.RFC3339Nano), seq))
		if reason != event.OK {
			t.Fatal(reason)
		}
		if err := l.Produce(ctx, r); err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
	if err := l.Finish(ctx); err != nil {
		t.Fatal(err)
	}
}

// Burn rates that Freshet says and those that Prometheus makes of its counters by the generated rules are the same, as long as nothing is
// amended: over a window that holds everything exactly, over one that moves as far as both look at it at different instants.
func TestBurnRatesAreThoseOfPrometheus(t *testing.T) {
	program(t, "prometheus")
	ctx := within(t, 3*time.Minute)
	contract := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(contract, []byte(burning), 0o600); err != nil {
		t.Fatal(err)
	}
	e := harness.New(t, harness.Options{Contract: contract, Partitions: 2, HTTP: true})
	e.Start(ctx)
	var versions [][]byte
	for seq := 1; seq <= 2; seq++ {
		versions = append(versions, fmt.Appendf(nil, `{"specversion":"1.0","id":"v%d","source":"/test","type":"source.updated","subject":"policy/refund","time":%q,`+
			`"data":{"kind":"policy","key":"refund","version":"v%[1]d","seq":%[1]d}}`, seq, time.Now().Add(time.Duration(seq-10)*time.Second).UTC().Format(time.RFC3339Nano)))
	}
	e.Load(ctx, versions)
	e.AwaitNow(ctx)
	s := startPrometheus(ctx, t, e.App.HTTPAddr(), generated(t, []byte(burning)), "exemplar-storage")
	wait.Until(ctx, t, func() string {
		if zero, err := s.instant(`freshet_slo_events_total{slo="refunds"} == 0`, time.Now()); err != nil || len(zero) != 3 {
			return fmt.Sprintf("%d counters of the objective are 0: %v", len(zero), err)
		}
		return ""
	})
	began := time.Now()
	acts(ctx, t, e)

	const bad = `freshet:slo_bad:ratio_rate%s{slo="refunds"}`
	wait.Until(ctx, t, func() string {
		now := time.Now()
		counted, err := s.instant(`sum(freshet_slo_events_total{slo="refunds"})`, now)
		if err != nil || len(counted) == 0 || counted[0].values[0] != burnUses {
			return fmt.Sprintf("%v of %d uses are counted: %v", counted, burnUses, err)
		}
		ours, err := s.instant(`freshet_slo_burn_rate{slo="refunds",window="1m"}`, now)
		theirs, err2 := s.instant(fmt.Sprintf(bad, "1m"), now)
		if err != nil || err2 != nil || len(ours) != 1 || len(theirs) != 1 {
			return fmt.Sprintf("burn rates %v, %v: %v, %v", ours, theirs, err, err2)
		}
		if a, b := ours[0].values[0], theirs[0].values[0]/budget; math.Abs(a-b) > 1e-6 {
			return fmt.Sprintf("over a minute, which holds everything, Freshet says %v, Prometheus %v", a, b)
		}
		t.Logf("over a minute both say %v", ours[0].values[0])
		return ""
	})
	if n := e.Counted("freshet_verdict_amendments_total", nil); n != 0 {
		t.Errorf("%v verdicts were amended: then both differ as they must", n)
	}
	moving(t, s, began, time.Now(), fmt.Sprintf(bad, "10s"))
}

// moving compares the burn rates over the window that moves.
func moving(t *testing.T, s *server, from, to time.Time, bad string) {
	t.Helper()
	ours, err := s.span(`freshet_slo_burn_rate{slo="refunds",window="10s"}`, from, to, scrapeEvery)
	if err != nil || len(ours) != 1 {
		t.Fatal(ours, err)
	}
	theirs, err := s.span(bad, from, to, scrapeEvery)
	if err != nil || len(theirs) != 1 {
		t.Fatal(theirs, err)
	}
	compared, least, most, apart := 0, math.Inf(1), math.Inf(-1), 0.0
	for i, at := range theirs[0].at {
		low, high, before, after := math.Inf(1), math.Inf(-1), false, false
		for k, x := range ours[0].at {
			if math.Abs(x-at) <= burnShift.Seconds() {
				low, high = min(low, ours[0].values[k]), max(high, ours[0].values[k])
				before, after = before || x < at, after || x > at
			}
		}
		if burn := theirs[0].values[i] / budget; before && after && at > float64(from.Unix())+2*burnShift.Seconds() {
			compared++
			least, most = min(least, burn), max(most, burn)
			apart = max(apart, low-burn, burn-high)
			if burn < low-burnStep || burn > high+burnStep {
				t.Errorf("%.0f s after the beginning Prometheus says %.2f; Freshet said between %.2f and %.2f within %v of it", at-float64(from.Unix()), burn, low, high, burnShift)
			}
		}
	}
	t.Logf("over ten seconds that move: %d instants compared, burn rates from %.2f to %.2f, at most %.2f beyond what was said within %v", compared, least, most, max(0, apart), burnShift)
	if compared < 10 || most-least < 3 {
		t.Errorf("%d instants compared, burn rates from %.2f to %.2f: nothing moved", compared, least, most)
	}
}
