package budget

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
)

var seed = flag.Uint64("budget.seed", 0, "seed of the random tests; 0 takes one from the clock and prints it")

func random(t *testing.T) *rand.Rand {
	t.Helper()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./slo/budget -run '^%s$' -budget.seed=%d", t.Name(), *seed)
	return rand.New(rand.NewPCG(*seed, 0))
}

const day = 24 * hour

// objective parses an SLO as a contract file has it.
func objective(t testing.TB, text string) *slo.SLO {
	t.Helper()
	file := "version: 1\nowners: {a: {}}\nworkflows: {w: {owner: a}}\nslos:\n  - {name: s, workflow: w, use: action.executed, " + text + "}\n"
	f, err := slo.Parse([]byte(file), "contracts.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &f.SLOs[0]
}

func TestFinestBuckets(t *testing.T) {
	for text, want := range map[string]freshness.Duration{
		"objective: 0.999, window: 30d": 10 * second,
		"objective: 0.999, window: 30d, alerting: {page: [{burn: 2, long: 1h, short: 30m}]}": minute,
		"objective: 0.999, window: 30d, alerting: {page: [{burn: 2, long: 1m, short: 5s}]}":  second,
		"objective: 0.5, window: 30d, alerting: {page: []}":                                  6 * hour,
		"objective: 0.5, window: 20s, alerting: {page: []}":                                  second,
	} {
		if got := Finest(objective(t, text)); got != want {
			t.Errorf("%s: the finest buckets have %s, want %s", text, slo.FormatDuration(got), slo.FormatDuration(want))
		}
	}
}

// A window's far end lies in a bucket of at most a thirtieth of it, whatever its length.
func TestBucketsAreFineEnough(t *testing.T) {
	for _, finest := range Sizes() {
		for w := finest * exactness; w < 90*day; w += max(second, w/50) {
			if size := SizeAt(finest, w); size*exactness > w {
				t.Fatalf("buckets of %s at an age of %s", slo.FormatDuration(size), slo.FormatDuration(w))
			}
		}
	}
}

// use is one counted use.
type use struct {
	at        event.Time
	verdict   freshness.VerdictKind
	partition int32
}

// The ledger against sums over the uses themselves, while buckets are set again and again, grow coarser and go.
func TestSumsAreThoseOfTheUses(t *testing.T) {
	rng := random(t)
	for range 200 {
		var (
			l       Ledger
			uses    []use
			buckets = map[int32]map[[2]int64]*Bucket{}
			now     = event.Time(1_700_000_000_000 + rng.Int64N(int64(day)))
			finest  = Sizes()[rng.IntN(3)]
		)
		bucket := func(u use) *Bucket {
			size := SizeAt(finest, freshness.Duration(now-u.at))
			start := Start(u.at, size)
			of := buckets[u.partition]
			if of == nil {
				of = map[[2]int64]*Bucket{}
				buckets[u.partition] = of
			}
			k := [2]int64{int64(size), int64(start)}
			if of[k] == nil {
				of[k] = &Bucket{Start: start, Size: size}
			}
			return of[k]
		}
		for range rng.IntN(300) {
			age := freshness.Duration(math.Exp(rng.Float64() * math.Log(float64(40*day))))
			u := use{now - event.Time(age), freshness.VerdictKind(rng.IntN(3)), int32(rng.IntN(3))}
			b := bucket(u)
			b.Counts = b.Plus(Of(u.verdict))
			l.Set(u.partition, *b)
			uses = append(uses, u)
		}
		for range len(uses) / 4 { // amendments: out of the old verdict, into the new one
			u := &uses[rng.IntN(len(uses))]
			b := bucket(*u)
			b.Counts = b.Minus(Of(u.verdict))
			u.verdict = freshness.VerdictKind(rng.IntN(3))
			b.Counts = b.Plus(Of(u.verdict))
			l.Set(u.partition, *b)
		}
		check := func(what string) {
			t.Helper()
			lengths := []freshness.Duration{5 * minute, 30 * minute, hour, 6 * hour, day, 3 * day, 30 * day}
			got := make([]Counts, len(lengths))
			l.Sums(now, lengths, got)
			for i, w := range lengths {
				var want Counts
				for _, u := range uses {
					size := SizeAt(finest, freshness.Duration(now-u.at))
					if Start(u.at, size)+event.Time(size) > now-event.Time(w) && u.at < now {
						want = want.Plus(Of(u.verdict))
					}
				}
				if got[i] != want {
					t.Fatalf("%s, %s of %d uses: %+v, want %+v", what, slo.FormatDuration(w), len(uses), got[i], want)
				}
			}
		}
		check("as counted")
		for p, of := range buckets { // a partition moves, and its new owner says the same again
			for _, b := range of {
				l.Set(p, *b)
			}
		}
		check("said twice")
		for p, of := range buckets {
			for _, b := range of {
				if p == 1 {
					l.Drop(p, b.Start, b.Size)
					l.Drop(p, b.Start, b.Size)
				}
			}
		}
		uses = slices.DeleteFunc(uses, func(u use) bool { return u.partition == 1 })
		check("without a partition")
	}
}

// Growing coarser moves uses and loses none.
func TestAbsorbing(t *testing.T) {
	rng := random(t)
	var fine []Bucket
	coarse := Bucket{Start: 0, Size: minute}
	var want Counts
	var uses int64
	for i := range 6 {
		b := Bucket{Start: event.Time(i) * event.Time(10*second), Size: 10 * second, Counts: Counts{rng.Int64N(5), rng.Int64N(5), rng.Int64N(5)}}
		for n := range b.Bad {
			b.Shares = AddShares(b.Shares, SharesOf([]freshness.Share{{Cause: freshness.SourceLate, For: 1 + freshness.Duration(n), Owner: "a"}, {Cause: freshness.HoldOther, For: 2, Owner: "b"}}), 1)
			b.Evidence = AddEvidence(b.Evidence, Evidence{Time: b.Start + event.Time(n), Workflow: fmt.Sprint(i), Verdict: freshness.IsStale})
		}
		want, uses = want.Plus(b.Counts), uses+b.Bad*Whole
		fine = append(fine, b)
	}
	rng.Shuffle(len(fine), func(i, j int) { fine[i], fine[j] = fine[j], fine[i] })
	for i := range fine {
		coarse.Absorb(&fine[i])
	}
	if coarse.Counts != want {
		t.Errorf("absorbed %+v, want %+v", coarse.Counts, want)
	}
	for _, s := range coarse.Shares {
		uses -= s.Parts
	}
	if uses != 0 || len(coarse.Evidence) > EvidenceLimit {
		t.Errorf("shares %+v, evidence %+v", coarse.Shares, coarse.Evidence)
	}
	for i := 1; i < len(coarse.Evidence); i++ {
		if coarse.Evidence[i].Time > coarse.Evidence[i-1].Time {
			t.Errorf("the latest does not come first: %+v", coarse.Evidence)
		}
	}
}

func TestShares(t *testing.T) {
	thirds := SharesOf([]freshness.Share{{Cause: freshness.SourceLate, For: 1, Owner: "risk"}, {Cause: freshness.HoldApproval, For: 1, Owner: "pay"}, {Cause: freshness.HoldOther, For: 1, Owner: "pay"}})
	if want := []Share{{"hold_approval", "pay", 333_333}, {"hold_other", "pay", 333_333}, {"source_late", "risk", 333_334}}; !slices.Equal(thirds, want) {
		t.Errorf("thirds: %+v", thirds)
	}
	list := AddShares(nil, thirds, 1)
	list = AddShares(list, []Share{{"hold_other", "a", Whole}}, 1)
	if list = AddShares(list, thirds, -1); !slices.Equal(list, []Share{{"hold_other", "a", Whole}}) {
		t.Errorf("taken out again: %+v", list)
	}
	century := freshness.Duration(100 * 365 * day)
	if got := SharesOf([]freshness.Share{{Cause: freshness.HoldOther, For: century, Owner: "a"}, {Cause: freshness.SourceLate, For: century, Owner: "b"}}); got[0].Parts != Whole/2 || got[1].Parts != Whole/2 {
		t.Errorf("centuries: %+v", got)
	}
	if SharesOf(nil) != nil || SharesOf([]freshness.Share{{}}) != nil {
		t.Error("nothing has shares")
	}
	for s, want := range map[Share]bool{{"source_silent", "", 1}: true, {"source_silent", "risk", 1}: false, {"retracted", "", 1}: false, {"no_context", "", 1}: true} {
		if ofUnknown(s) != want {
			t.Errorf("%+v is of unknown uses: %v", s, !want)
		}
	}
}

func TestEvidence(t *testing.T) {
	var list []Evidence
	for _, at := range []event.Time{5, 1, 9, 7, 7, 3} {
		list = AddEvidence(list, Evidence{Time: at, Workflow: "w", DecisionID: "d"})
	}
	times := func() (out []event.Time) {
		for _, e := range list {
			out = append(out, e.Time)
		}
		return out
	}
	if !slices.Equal(times(), []event.Time{9, 7, 5}) {
		t.Errorf("the latest: %v", times())
	}
	if list = DropEvidence(list, Evidence{Time: 7, Workflow: "w", DecisionID: "d"}); !slices.Equal(times(), []event.Time{9, 5}) {
		t.Errorf("amended: %v", times())
	}
}

// steady fills a ledger with uses of which a share is bad, one a second, from an age to another.
func steady(l *Ledger, now event.Time, from, to freshness.Duration, share float64) {
	counts := map[event.Time]*Bucket{}
	bad, n := 0.0, 0
	for age := from; age > to; age -= second {
		t := now - event.Time(age)
		size := SizeAt(10*second, age)
		start := Start(t, size)
		b := counts[start]
		if b == nil || b.Size != size {
			b = &Bucket{Start: start, Size: size}
			counts[start] = b
		}
		n++
		if bad+1 <= share*float64(n) {
			bad++
			b.Bad++
		} else {
			b.Good++
		}
		l.Set(0, *b)
	}
}

// The SRE Workbook's table of chapter 5: with an objective of 99.9 % over 30 days, burn rates of 14.4, 6 and 1 spend 2 %, 5 % and 10 %
// of the budget in 1 h, 6 h and 3 d; and a total outage is seen by the first rule after 14.4 × 0.001 × 1 h, that is 52 s.
func TestWorkbook(t *testing.T) {
	s := objective(t, "objective: 0.999, window: 30d")
	for _, c := range []struct {
		burn  float64
		over  freshness.Duration
		spent float64
	}{{14.4, hour, 0.02}, {6, 6 * hour, 0.05}, {1, 3 * day, 0.10}} {
		if got := c.burn * c.over.Seconds() / s.Window.Seconds(); math.Abs(got-c.spent) > 1e-12 {
			t.Errorf("%v over %s spends %v of the budget, want %v", c.burn, slo.FormatDuration(c.over), got, c.spent)
		}
		if !slices.ContainsFunc(s.Rules, func(r slo.BurnRule) bool { return r.Burn == c.burn && r.Long == c.over }) {
			t.Errorf("no rule of %v over %s: %+v", c.burn, slo.FormatDuration(c.over), s.Rules)
		}
	}
	const midnight = event.Time(1_700_006_400_000)
	outage := func(of freshness.Duration) Outcome {
		var l Ledger
		steady(&l, midnight, hour, of, 0)
		steady(&l, midnight, of, 0, 1)
		return Evaluate(s, &l, midnight).Rules[0].Outcome
	}
	if got := outage(51 * second); got != LongBelow {
		t.Errorf("after 51 s of an outage: %s", got)
	}
	if got := outage(52 * second); got != Holds {
		t.Errorf("after 52 s of an outage: %s", got)
	}
	// When it is over the short window ends the alert within five minutes, though the long one still holds.
	var l Ledger
	steady(&l, midnight, hour, 10*minute, 1)
	steady(&l, midnight, 10*minute, 0, 0)
	if got := Evaluate(s, &l, midnight).Rules[0].Outcome; got != ShortBelow {
		t.Errorf("ten minutes after an outage: %s", got)
	}
}

func TestOutcomes(t *testing.T) {
	const now = event.Time(1_700_006_400_000)
	rules := "window: 30d, alerting: {page: [{burn: 10, long: 1h, short: 5m}], min_events: 20}"
	put := func(young, old Counts) *Ledger {
		var l Ledger
		l.Set(0, Bucket{Start: now - event.Time(minute), Size: 10 * second, Counts: young})
		l.Set(1, Bucket{Start: now - event.Time(40*minute), Size: minute, Counts: old})
		return &l
	}
	for _, c := range []struct {
		name, text string
		young, old Counts
		want       Outcome
		burn       float64
	}{
		{"nothing", "objective: 0.9, ", Counts{}, Counts{}, NoEvents, math.NaN()},
		{"nothing in the short window", "objective: 0.9, ", Counts{}, Counts{Bad: 50}, NoEvents, 10},
		{"too few", "objective: 0.9, ", Counts{Bad: 19}, Counts{}, FewEvents, 10},
		{"just enough, and the greatest burn rate there can be", "objective: 0.9, ", Counts{Bad: 20}, Counts{}, Holds, 10},
		{"one good use is too many for that", "objective: 0.9, ", Counts{Bad: 20}, Counts{Good: 1}, LongBelow, 20.0 / 21 * 10},
		{"exactly the burn rate", "objective: 0.99, ", Counts{Bad: 10, Good: 10}, Counts{Good: 80}, Holds, 10},
		{"over in the short window", "objective: 0.99, ", Counts{Good: 20}, Counts{Bad: 80}, ShortBelow, 80},
		{"unknown is bad", "objective: 0.9, ", Counts{Unknown: 20}, Counts{}, Holds, 10},
		{"unknown is nothing", "objective: 0.9, on_unknown: exclude, ", Counts{Unknown: 2000, Bad: 10, Good: 9}, Counts{}, LongBelow, 10.0 / 19 * 10},
		{"only unknown", "objective: 0.9, on_unknown: exclude, ", Counts{Unknown: 2000}, Counts{}, NoEvents, math.NaN()},
	} {
		s := objective(t, c.text+rules)
		st := Evaluate(s, put(c.young, c.old), now)
		r := st.Rules[0]
		if r.Outcome != c.want || math.Abs(r.Long.Burn-c.burn) > 1e-9 || math.IsNaN(r.Long.Burn) != math.IsNaN(c.burn) {
			t.Errorf("%s: %s at a burn rate of %v, want %s at %v", c.name, r.Outcome, r.Long.Burn, c.want, c.burn)
		}
		if b, err := json.Marshal(st); err != nil || !strings.Contains(string(b), fmt.Sprintf(`"outcome":%q`, c.want)) {
			t.Errorf("%s: %s, %v", c.name, b, err)
		}
	}
}

func TestBudgetAndCoverage(t *testing.T) {
	const now = event.Time(1_700_006_400_000)
	for _, c := range []struct {
		text                string
		counts              Counts
		remaining, coverage float64
	}{
		{"objective: 0.9, window: 30d", Counts{}, 1, math.NaN()},
		{"objective: 0.9, window: 30d", Counts{Good: 95, Bad: 5}, 0.5, 1},
		{"objective: 0.9, window: 30d", Counts{Good: 95, Unknown: 5}, 0.5, 0.95},
		{"objective: 0.9, window: 30d, on_unknown: exclude", Counts{Good: 95, Unknown: 5}, 1, 0.95},
		{"objective: 0.9, window: 30d", Counts{Good: 70, Bad: 30}, -2, 1},
		{"objective: 0.9, window: 30d", Counts{Unknown: 10}, -9, 0},
	} {
		var l Ledger
		l.Set(0, Bucket{Start: now - event.Time(20*day), Size: 6 * hour, Counts: c.counts})
		st := Evaluate(objective(t, c.text), &l, now)
		if math.Abs(st.Remaining-c.remaining) > 1e-9 || math.Abs(st.Coverage-c.coverage) > 1e-9 || math.IsNaN(st.Coverage) != math.IsNaN(c.coverage) {
			t.Errorf("%s, %+v: budget %v, coverage %v; want %v, %v", c.text, c.counts, st.Remaining, st.Coverage, c.remaining, c.coverage)
		}
	}
}

func TestWhoseBurnItIs(t *testing.T) {
	const now = event.Time(1_700_006_400_000)
	s := objective(t, "objective: 0.9, window: 30d, alerting: {page: [{burn: 5, long: 1h, short: 5m}], min_events: 1}")
	var l Ledger
	late := []Share{{"source_late", "risk", 2 * Whole}}
	held := []Share{{"hold_approval", "payments", Whole}}
	young, old := now-event.Time(minute), now-event.Time(40*minute)
	l.Set(0, Bucket{Start: young, Size: 10 * second, Counts: Counts{Bad: 2}, Shares: late,
		Evidence: []Evidence{{Time: young + 2, Workflow: "a"}, {Time: young + 1, Workflow: "b"}}})
	l.Set(1, Bucket{Start: young, Size: 10 * second, Counts: Counts{Bad: 1}, Shares: held, Evidence: []Evidence{{Time: young + 3, Workflow: "c"}}})
	l.Set(2, Bucket{Start: old, Size: minute, Counts: Counts{Bad: 9}, Shares: []Share{{"hold_other", "payments", 9 * Whole}}, Evidence: []Evidence{{Time: old, Workflow: "d"}}})
	r := Evaluate(s, &l, now).Rules[0]
	if want := append(late[:1:1], held...); r.Outcome != Holds || !slices.Equal(r.Shares, want) {
		t.Errorf("%s: %+v", r.Outcome, r.Shares)
	}
	if len(r.Evidence) != 3 || r.Evidence[0].Workflow != "c" || r.Evidence[2].Workflow != "b" {
		t.Errorf("evidence: %+v", r.Evidence)
	}
}

func TestOutcomeNames(t *testing.T) {
	for o, want := range map[Outcome]string{NotEvaluated: "not_evaluated", NoEvents: "no_events", FewEvents: "few_events", LongBelow: "long_below", ShortBelow: "short_below", Holds: "holds", 99: "unknown"} {
		if o.String() != want {
			t.Errorf("outcome %d is called %s", o, o)
		}
	}
}

// full is a ledger with every bucket of every one of 8 partitions, filled.
func full(now event.Time, window freshness.Duration, fill func(partition int32, b *Bucket)) *Ledger {
	l := &Ledger{}
	for t := Start(now-event.Time(window), 6*hour); t < now; {
		size := SizeAt(10*second, freshness.Duration(now-t))
		start := Start(t, size)
		for p := range int32(8) {
			b := Bucket{Start: start, Size: size}
			fill(p, &b)
			l.Set(p, b)
		}
		t = start + event.Time(size)
	}
	return l
}

// BenchmarkEvaluate is 500 objectives with eight windows each, the busiest there can be: the budget is 50 ms a tick.
func BenchmarkEvaluate(b *testing.B) {
	const now = event.Time(1_700_000_000_000)
	s := objective(b, "objective: 0.99, window: 30d")
	var all [500]*Ledger
	for i := range all {
		all[i] = full(now, s.Window, func(_ int32, b *Bucket) {
			b.Good, b.Bad, b.Shares = 100, 1, []Share{{"hold_other", "a", Whole}}
		})
	}
	together, apart := all[0].Buckets()
	b.ReportMetric(float64(together), "buckets/slo")
	b.ReportMetric(float64(apart), "cells/slo")
	b.ReportMetric(float64(len(Lengths(s))), "windows/slo")
	for b.Loop() {
		for _, l := range all {
			Evaluate(s, l, now)
		}
	}
}
