package backtest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/slo/budget"
)

var (
	rewrite = flag.Bool("rewrite", false, "draw docs/backtest.svg anew")
	seed    = flag.Uint64("backtest.seed", 0, "seed of the random tests; 0 takes one from the clock and prints it")
)

const (
	second = freshness.Duration(1000)
	minute = 60 * second
	hour   = 60 * minute
)

func objective(t *testing.T, text string) *slo.SLO {
	t.Helper()
	f, err := slo.Parse([]byte("version: 1\nowners: {pay: {}, risk: {}}\nworkflows: {w: {owner: pay}}\nslos:\n  - {name: s, workflow: w, use: action.executed, "+text+"}\n"), "contracts.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &f.SLOs[0]
}

// An outage of ten minutes in a day of one use a second: it pages after 52 s, and until five minutes after it is over.
func TestAnOutage(t *testing.T) {
	const begin, end = event.Time(12 * 60 * 60 * 1000), event.Time(12*60*60*1000 + 600_000)
	var uses []use
	for at := event.Time(0); at < 24*60*60*1000; at += 1000 {
		u := use{at: at, verdict: freshness.IsFresh}
		if at >= begin && at < end {
			u = use{at, freshness.IsStale, []budget.Share{{Cause: "source_late", Owner: "risk", Parts: budget.Whole}}}
		}
		uses = append(uses, u)
	}
	s := objective(t, "objective: 0.999, window: 30d, alerting: {page: [{burn: 14.4, long: 1h, short: 5m}]}")
	rep := run(s, uses, 0, uses[len(uses)-1].at, second)
	if len(rep.Alerts) != 1 {
		t.Fatalf("alerts: %+v", rep.Alerts)
	}
	a := rep.Alerts[0]
	if a.Severity != slo.Page || a.From != begin+52_000 || a.To < end+290_000 || a.To > end+301_000 || a.Decisions != 52 || rep.Whose(&a) != "risk" {
		t.Errorf("the alert is %+v, from %v s after it began to %v s after it was over", a, (a.From-begin)/1000, (a.To-end)/1000)
	}
	if rep.Counts != (budget.Counts{Good: 85_800, Bad: 600}) || rep.Least != rep.Left && rep.Least > rep.Left {
		t.Errorf("counted %+v, least %v, left %v", rep.Counts, rep.Least, rep.Left)
	}
	pages := 0
	for _, c := range rep.Columns {
		if c.Page {
			pages++
		}
	}
	if pages < 2 || pages > 4 {
		t.Errorf("%d columns of the time line page", pages)
	}
	if line := rep.TimeLine(); !strings.Contains(line, "P") || strings.Count(line, "█") < 30 {
		t.Errorf("time line:\n%s", line)
	}
}

// Windows are those of the uses themselves.
func TestWindows(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./cmd/freshet/backtest -run '^TestWindows$' -backtest.seed=%d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 0))
	var uses []use
	for range 300 {
		uses = append(uses, use{at: event.Time(rng.Int64N(1000)), verdict: freshness.VerdictKind(rng.IntN(3))})
	}
	rec := newRecord(uses)
	for range 1000 {
		now, length := event.Time(rng.Int64N(1200)), freshness.Duration(rng.Int64N(500))
		var want budget.Counts
		for _, u := range uses {
			if u.at >= now-event.Time(length) && u.at < now {
				want = want.Plus(budget.Of(u.verdict))
			}
		}
		if got := rec.window(now, length); got != want {
			t.Fatalf("[%d, %d): %+v, want %+v", int64(now)-int64(length), now, got, want)
		}
	}
}

func TestNothing(t *testing.T) {
	s := objective(t, "objective: 0.9, window: 30d")
	rep := run(s, nil, 0, 0, minute)
	if len(rep.Alerts) != 0 || rep.Least != 1 || rep.Counts.All() != 0 {
		t.Errorf("%+v", rep)
	}
	var b bytes.Buffer
	if err := Page(&b, "sha256:x", 0, "1m", []Report{rep}); err != nil || !strings.Contains(b.String(), "none") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// sessions runs the example over the recorded coding sessions.
func sessions(t *testing.T) []Report {
	t.Helper()
	text, err := os.ReadFile("../../../examples/backtest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := slo.Parse(text, "backtest.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	b := freshness.NewBatch(f.Contract(), freshness.DefaultLimits())
	d, e := event.NewDecoder(event.Config{}), event.Event{}
	for i, line := range testfile.Lines(t, "../../../testdata/golden/coding-sessions.events.ndjson.gz") {
		n := int64(i + 1)
		if reason := d.DecodeStructured(line, 0, &e); reason != event.OK {
			t.Fatalf("line %d: %s", n, reason)
		}
		b.Add(&e, freshness.Position{Topic: "events", Offset: n})
	}
	reports, err := Run(f, b, minute)
	if err != nil {
		t.Fatal(err)
	}
	return reports
}

// The picture in the documentation is what the command draws.
func TestPicture(t *testing.T) {
	const path = "../../../docs/backtest.svg"
	reports := sessions(t)
	var b bytes.Buffer
	if err := SVG(&b, reports); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the drawing is no XML: %v", err)
		}
	}
	if *rewrite {
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is not what is drawn now (%v): go test ./cmd/freshet/backtest -rewrite", path, err)
	}
	uses := int64(0)
	for i := range reports {
		uses += reports[i].Counts.All()
	}
	if len(reports) != 3 || uses < 4600 {
		t.Errorf("%d reports of %d uses", len(reports), uses)
	}
	if err := Page(&b, "sha256:x", 1, "1m", reports); err != nil {
		t.Error(err)
	}
}
