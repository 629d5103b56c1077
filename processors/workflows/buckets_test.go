package workflows

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/slo/budget"
	"github.com/freshet-io/freshet/state"
	"github.com/go-kit/log"
)

var seed = flag.Uint64("workflows.seed", 0, "seed of the random tests; 0 takes one from the clock and prints it")

func TestCountedSurvivesTheRow(t *testing.T) {
	for _, c := range []counted{
		{},
		{gone: true},
		{at: 1_700_000_000_123, verdict: freshness.IsFresh, objectives: []string{"a"}},
		{at: -5, verdict: freshness.IsUnknown, objectives: []string{"a b", "ü"}},
		{at: 7, verdict: freshness.IsStale, objectives: []string{"a", "b"}, shares: []budget.Share{{Cause: "source_late", Owner: "risk", Parts: 999_999}, {Cause: "no_version", Parts: 1}}},
	} {
		got, ok := parseCounted(string(c.append(nil)))
		if !ok || !reflect.DeepEqual(got, c) {
			t.Errorf("%+v is read as %+v, %v from %q", c, got, ok, c.append(nil))
		}
	}
	for _, text := range []string{"x", "\x00", "1\x001\x00", "1\x001\x000", "1\x001\x002\x00a", "1\x001\x001\x00a\x001\x00b", "1\x001\x001\x00a\x00c\x00b\x00!", "1\x0012\x001\x00a", "1\x001\x00-1\x00a"} {
		if c, ok := parseCounted(text); ok {
			t.Errorf("%q is read as %+v", text, c)
		}
	}
}

// inForce are contracts of which there is one.
type inForce struct{ *slo.File }

func (f inForce) At(event.Time) *freshness.Contract   { return f.Contract() }
func (f inForce) Listen(func(event.Time)) func()      { return func() {} }
func (f inForce) After(event.Time) (event.Time, bool) { return 0, false }
func (f inForce) Objectives(_ event.Time, workflow string) []*slo.SLO {
	return f.File.Objectives(workflow)
}

// ledger is a partition's book over a store, with a clock that the test moves.
type ledger struct {
	t   testing.TB
	db  *state.DB
	pt  *partition
	now time.Time
}

func newLedger(t testing.TB, contract string) *ledger {
	t.Helper()
	file, err := slo.Parse([]byte(contract), "contracts.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	db, err := state.Open(state.Config{}, "test", log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l := &ledger{t: t, db: db, now: time.UnixMilli(1_700_000_000_000)}
	l.pt = &partition{g: New(Deps{Contracts: inForce{file}, Metrics: metrics.New(nil), Buckets: "buckets", Now: func() time.Time { return l.now }})}
	l.restart()
	return l
}

// restart takes the partition over anew: what has not been committed is lost.
func (l *ledger) restart() {
	rows := l.db.NewPartition(state.Workflows, 3, Schema(), 8)
	if err := rows.MarkRecovered(); err != nil {
		l.t.Fatal(err)
	}
	l.pt.p = &gateway.Partition{ID: 3, Rows: rows}
	l.pt.book = newBook(l.pt)
}

func (l *ledger) commit() {
	rows := l.pt.p.Rows
	l.pt.book.seal(event.Of(l.now))
	if _, err := rows.Seal(); err != nil {
		l.t.Fatal(err)
	}
	rows.Evict()
	if err := rows.Commit(-1); err != nil {
		l.t.Fatal(err)
	}
}

// age runs ticks until there is nothing more to do, with commits between.
func (l *ledger) age() {
	for {
		more, err := l.pt.book.age()
		if err != nil {
			l.t.Fatal(err)
		}
		l.commit()
		if !more {
			return
		}
	}
}

// rows returns the committed buckets.
func (l *ledger) rows() (all []*bucketRow) {
	it, err := l.pt.p.Rows.Iterator()
	if err != nil {
		l.t.Fatal(err)
	}
	defer it.Release()
	for it.Next() {
		v, err := it.Value()
		if err != nil {
			l.t.Fatal(err)
		}
		r, err := decodeBucket(string(it.Key()), v)
		if err != nil {
			l.t.Fatal(err)
		}
		if bucketKey(r.name, 3) != r.key {
			l.t.Errorf("row %q holds %+v", r.key, r.name)
		}
		all = append(all, r)
	}
	return all
}

func (l *ledger) sums() (sum map[string]budget.Counts, parts int64, sizes map[freshness.Duration]int) {
	sum, sizes = map[string]budget.Counts{}, map[freshness.Duration]int{}
	for _, r := range l.rows() {
		sum[r.name.objective] = sum[r.name.objective].Plus(r.bucket.Counts)
		sizes[r.name.size]++
		for _, s := range r.bucket.Shares {
			parts += s.Parts
		}
		for _, e := range r.bucket.Evidence {
			if e.Time < r.name.start || e.Time >= r.bucket.End() {
				l.t.Errorf("evidence of %s in the bucket of %s", e.Time, r.name.start)
			}
		}
	}
	return sum, parts, sizes
}

// say judges a use anew.
func (l *ledger) say(w *freshness.Workflow, u *freshness.Use, kind freshness.VerdictKind, class string) {
	v := &freshness.Verdict{Kind: kind, Reasons: freshness.NoVersion, WorkflowType: "refund", Class: class, HasClass: class != ""}
	if kind == freshness.IsStale {
		v.Cause, v.Owner = freshness.HoldOther, "pay"
		v.Items = []freshness.ItemVerdict{
			{Kind: "a", Verdict: freshness.IsStale, Causes: []freshness.Share{{Cause: freshness.SourceLate, For: 1, Owner: "risk"}}},
			{Kind: "b", Verdict: freshness.IsStale, Causes: []freshness.Share{{Cause: freshness.HoldOther, For: 2, Owner: "pay"}, {Cause: freshness.HoldTool, For: 1, Owner: "pay"}}},
		}
	}
	adds, err := l.pt.book.account(w, u, v)
	if err != nil {
		l.t.Fatal(err)
	}
	u.Said = freshness.Said{Revision: u.Said.Revision + 1, Verdict: kind, Counted: adds}
}

const twoObjectives = `
version: 1
owners: {pay: {}}
workflows: {refund: {owner: pay}}
slos:
  - {name: all, workflow: refund, use: action.executed, objective: 0.99, window: 30d}
  - {name: large, workflow: refund, class: large, use: action.executed, objective: 0.99, window: 7d}
`

// Whatever is amended, however old, with buckets growing coarser and the process dying in between: the sums are those of the last verdicts.
func TestBucketsSumUpToTheLastVerdicts(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./processors/workflows -run '^%s$' -workflows.seed=%d", t.Name(), *seed)
	rng := rand.New(rand.NewPCG(*seed, 0))
	l := newLedger(t, twoObjectives)
	type one struct {
		w     *freshness.Workflow
		u     freshness.Use
		class string
	}
	var uses, durable []*one
	clone := func(from []*one) (to []*one) {
		for _, o := range from {
			c := *o
			to = append(to, &c)
		}
		return to
	}
	verdict := func(o *one) {
		o.class = []string{"", "large", "small"}[rng.IntN(3)]
		l.say(o.w, &o.u, freshness.VerdictKind(rng.IntN(3)), o.class)
	}
	for step := range 400 {
		l.now = l.now.Add(time.Duration(rng.IntN(400)) * time.Second)
		for range rng.IntN(8) {
			o := &one{w: freshness.NewWorkflow(fmt.Sprint("w", len(uses)))}
			o.u = freshness.Use{Kind: freshness.Executed, DecisionID: "d", Time: event.Of(l.now.Add(-time.Duration(rng.IntN(7200)) * time.Second))}
			verdict(o)
			uses = append(uses, o)
		}
		for range rng.IntN(8) {
			if len(uses) > 0 {
				o := uses[rng.IntN(len(uses))]
				if rng.IntN(4) == 0 { // another decision event holds: the use was at another time
					o.u.Time -= event.Time(rng.IntN(3_600_000))
				}
				verdict(o)
			}
		}
		switch rng.IntN(4) {
		case 0:
			l.age()
			durable = clone(uses)
		case 1:
			l.commit()
			durable = clone(uses)
		case 2:
			if rng.IntN(4) == 0 {
				l.restart()
				uses = clone(durable)
			}
		}
		if step%20 != 0 {
			continue
		}
		l.commit()
		durable = clone(uses)
		want, wantParts := map[string]budget.Counts{}, int64(0)
		for _, o := range uses {
			of := budget.Of(o.u.Said.Verdict)
			want["all"] = want["all"].Plus(of)
			wantParts += (of.Bad + of.Unknown) * budget.Whole
			if o.class == "large" {
				want["large"] = want["large"].Plus(of)
				wantParts += (of.Bad + of.Unknown) * budget.Whole
			}
		}
		if got, shared, sizes := l.sums(); got["all"] != want["all"] || got["large"] != want["large"] || shared != wantParts {
			t.Fatalf("step %d: buckets %+v, %d parts in %v, verdicts %+v, %d parts", step, got, shared, sizes, want, wantParts)
		}
	}
}

func TestBucketsGrowCoarserAndGo(t *testing.T) {
	l := newLedger(t, twoObjectives)
	w := freshness.NewWorkflow("w")
	u := freshness.Use{Kind: freshness.Executed, DecisionID: "d", Time: event.Of(l.now)}
	other := freshness.Use{Kind: freshness.Executed, DecisionID: "e", Time: event.Of(l.now)}
	l.say(w, &u, freshness.IsStale, "large")
	l.say(w, &other, freshness.IsUnknown, "")
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{time.Minute, "map[10s:2]"}, {32 * time.Minute, "map[1m:2]"}, {4 * time.Hour, "map[6m:2]"}, {32 * time.Hour, "map[1h:2]"},
		{7*24*time.Hour + 20*time.Hour, "map[6h:2]"}, {9 * 24 * time.Hour, "map[6h:1]"}, // the objective of 7d is past it, with the time for amendments
		{32 * 24 * time.Hour, "map[]"},
	} {
		l.now = u.Time.Go().Add(c.after)
		l.commit()
		l.age()
		got := map[string]int{}
		for _, r := range l.rows() {
			got[slo.FormatDuration(r.name.size)]++
			if r.name.objective == "all" && (r.bucket.Counts != budget.Counts{Bad: 1, Unknown: 1} || len(r.bucket.Evidence) != 2) {
				t.Errorf("after %v: %+v", c.after, r.bucket)
			}
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("after %v: %v, want %v", c.after, got, c.want)
		}
	}
	// An amendment that comes too late for its bucket does not bring it back.
	for range 2 {
		l.say(w, &u, freshness.IsFresh, "large")
		l.say(w, &u, freshness.IsStale, "large")
		l.commit()
		if rows := l.rows(); len(rows) != 0 || u.Said.Counted != goneText {
			t.Errorf("amended after its buckets had gone: %d rows, %q", len(rows), u.Said.Counted)
		}
	}
}

func TestOnlyLiveTrafficOfKnownWorkflowsCounts(t *testing.T) {
	l := newLedger(t, twoObjectives)
	w := freshness.NewWorkflow("w")
	for _, u := range []freshness.Use{
		{Kind: freshness.Executed, Traffic: event.Backfill}, {Kind: freshness.Executed, Traffic: event.Eval}, {Kind: freshness.Executed, Traffic: event.Replay},
		{Kind: freshness.Proposed},
	} {
		u.Time = event.Of(l.now)
		l.say(w, &u, freshness.IsStale, "large")
		if u.Said.Counted != "" {
			t.Errorf("%s, %v: counted %q", u.Kind, u.Traffic, u.Said.Counted)
		}
	}
	u := freshness.Use{Kind: freshness.Executed, Time: event.Of(l.now)}
	if adds, err := l.pt.book.account(w, &u, &freshness.Verdict{Kind: freshness.IsUnknown}); adds != "" || err != nil {
		t.Errorf("of no workflow type: %q, %v", adds, err)
	}
	if u.Said.Counted = "!"; true {
		if _, err := l.pt.book.account(w, &u, &freshness.Verdict{}); err == nil {
			t.Error("a row that cannot be read is taken for one that has counted nothing")
		}
	}
	if l.commit(); len(l.rows()) != 0 {
		t.Errorf("rows: %+v", l.rows())
	}
}

// BenchmarkAccount counts a first verdict for one objective of many.
func BenchmarkAccount(b *testing.B) {
	for _, kind := range []freshness.VerdictKind{freshness.IsFresh, freshness.IsStale} {
		b.Run(kind.String(), func(b *testing.B) {
			l := newLedger(b, twoObjectives)
			w := freshness.NewWorkflow("w")
			v := &freshness.Verdict{Kind: kind, WorkflowType: "refund", Reasons: freshness.Staleness}
			if kind == freshness.IsStale {
				v.Items = []freshness.ItemVerdict{{Kind: "a", Verdict: kind, Causes: []freshness.Share{{Cause: freshness.SourceLate, For: 1, Owner: "risk"}}}}
			}
			u := freshness.Use{Kind: freshness.Executed, DecisionID: "d", Time: event.Of(l.now)}
			b.ReportAllocs()
			for b.Loop() {
				u.Time++
				if _, err := l.pt.book.account(w, &u, v); err != nil {
					b.Fatal(err)
				}
				if u.Time%1000 == 0 {
					l.commit()
				}
			}
		})
	}
}
