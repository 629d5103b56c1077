package slos

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/slo/budget"
	"github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const contract = `
version: 1
owners: {pay: {}}
workflows: {refund: {owner: pay}}
slos: [{name: refunds, workflow: refund, use: action.executed, objective: 0.9, window: 30d}]
`

const (
	now    = event.Time(1_700_006_400_000)
	minute = freshness.Duration(60_000)
)

func parsed(t *testing.T) *slo.File {
	t.Helper()
	f, err := slo.Parse([]byte(contract), "contracts.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// said is the record of a bucket that began some minutes ago.
func said(partition int32, ago int, counts budget.Counts) change {
	b := budget.Bucket{Start: now - event.Time(ago)*event.Time(minute), Size: minute, Counts: counts}
	return change{budget.Key("refunds", partition, b.Start, b.Size), budget.AppendRecord(nil, "refunds", partition, &b, now)}
}

func TestTheBookIsWhatWasSaidLast(t *testing.T) {
	f, b := parsed(t), NewBook()
	check := func(want budget.Counts) {
		t.Helper()
		if got := b.States(f, now)[0].Window(f.SLOs[0].Window).Counts; got != want {
			t.Errorf("the book says %+v, want %+v", got, want)
		}
	}
	check(budget.Counts{})
	one, two := said(0, 2, budget.Counts{Good: 3, Bad: 1}), said(1, 2, budget.Counts{Good: 1, Unknown: 1})
	for range 2 { // read again from the start
		if _, bad := b.apply([]change{one, two}); bad != nil {
			t.Error(bad)
		}
		check(budget.Counts{Good: 4, Bad: 1, Unknown: 1})
	}
	b.apply([]change{said(0, 2, budget.Counts{Good: 4})})
	check(budget.Counts{Good: 5, Unknown: 1})
	b.apply([]change{{key: two.key}, {key: said(7, 9, budget.Counts{}).key}, {key: budget.Key("gone", 1, now, minute)}})
	check(budget.Counts{Good: 4})
	for _, broken := range []change{{key: "?"}, {one.key, []byte("{")}, {said(0, 3, budget.Counts{}).key, one.value}} {
		if _, bad := b.apply([]change{broken, two}); len(bad) != 1 {
			t.Errorf("%q is taken: %v", broken.key, bad)
		}
	}
	check(budget.Counts{Good: 5, Unknown: 1})
}

// A bucket that is moved to a coarser one, in one transaction, is never seen twice or not at all.
func TestTransactionsAreReadWhole(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	brokers := broker(ctx, t)
	logs, err := tail.New(brokers, log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(logs.Close)
	if _, err := kadm.NewClient(logs.Client()).CreateTopic(ctx, 2, 1, nil, "buckets"); err != nil {
		t.Fatal(err)
	}
	writer, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID("writer"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(writer.Close)
	write := func(end kgo.TransactionEndTry, changes ...change) {
		t.Helper()
		if err := writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if err := writer.ProduceSync(ctx, &kgo.Record{Topic: "buckets", Partition: 1, Key: []byte(c.key), Value: c.value}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := writer.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	write(kgo.TryCommit, said(1, 5, budget.Counts{Good: 7}))

	reg := prometheus.NewRegistry()
	f, m := parsed(t), metrics.New(reg)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	r := New("buckets", 2, func() *slo.File { return f }, m, func() event.Time { return now }, log.NewNopLogger())
	if err := r.Start(ctx, logs, access.Open(brokers...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	if _, ok := r.States(now); ok {
		t.Error("it stands before anything has been read")
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- r.Run(run) }()
	until := func(want int64) {
		t.Helper()
		for ctx.Err() == nil {
			if states, ok := r.States(now); ok {
				if got := states[0].Window(f.SLOs[0].Window).Good; got == want {
					return
				} else if got != 7 {
					t.Fatalf("half of a transaction was seen: %d", got)
				}
			}
			<-tick.C
		}
		t.Fatalf("never %d", want)
	}
	until(7)
	write(kgo.TryAbort, said(1, 5, budget.Counts{Good: 100}))
	moved := said(1, 6, budget.Counts{Good: 9})
	write(kgo.TryCommit, said(1, 4, budget.Counts{Good: 90}), change{key: said(1, 5, budget.Counts{}).key}, change{key: said(1, 4, budget.Counts{}).key}, moved)
	until(9)
	for ctx.Err() == nil && gauge(t, reg, "freshet_slo_objective_ratio") != 0.9 {
		<-tick.C
	}
	if got := gauge(t, reg, "freshet_slo_budget_remaining_ratio"); got != 1 {
		t.Errorf("the gauge says %v", got)
	}
	if burns, known := r.Burns(now); !known || len(burns) == 0 || burns[0].SLO != "refunds" || burns[0].Holds || burns[0].Long.Good != 9 {
		t.Errorf("burns: %+v, %v", burns, known)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func broker(ctx context.Context, t *testing.T) []string {
	t.Helper()
	cfg := embedded.Config{}
	cfg.RegisterFlags(flag.NewFlagSet("broker", flag.PanicOnError))
	cfg.Listen, cfg.Dir = "127.0.0.1:0", ""
	b, err := embedded.New(cfg, log.NewNopLogger())
	if err == nil {
		err = services.StartAndAwaitRunning(context.WithoutCancel(ctx), b)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = services.StopAndAwaitTerminated(context.Background(), b) })
	return []string{fmt.Sprint(b.Addr())}
}

// gauge returns the value of the first series of a name, -1 if there is none.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

func TestWhatAlertsAreToldOfABurn(t *testing.T) {
	f := parsed(t)
	f.SLOs[0].MinEvents = 10
	book := func(bad int64) *Book {
		b := NewBook()
		k := budget.Bucket{Start: now - event.Time(minute), Size: minute, Counts: budget.Counts{Good: 1, Bad: bad, Unknown: 1},
			Shares:   []budget.Share{{Cause: "no_version", Parts: budget.Whole}, {Cause: "source_late", Owner: "risk", Parts: bad * budget.Whole}},
			Evidence: []budget.Evidence{{Time: now - 1, Verdict: freshness.IsStale, Topic: "workflow.decision", Partition: 3, Offset: 9, Workflow: "w", DecisionID: "d", Trace: "t"}}}
		b.apply([]change{{budget.Key("refunds", 3, k.Start, k.Size), budget.AppendRecord(nil, "refunds", 3, &k, now)}})
		return b
	}
	burn := func(bad int64) alerts.Burn {
		s := book(bad).States(f, now)
		return burnOf(&s[0], &s[0].Rules[0])
	}
	b := burn(20)
	if !b.Holds || b.Few || b.Short.Bad != 21 || b.Short.Good != 1 || b.Short.Unknown != 1 || b.Short.Burn < 9 {
		t.Errorf("a burn: %+v", b)
	}
	if len(b.Causes) != 2 || b.Causes[0] != (alerts.Share{Cause: "source_late", Owner: "risk", Parts: 20 * budget.Whole}) || b.Causes[1].Cause != "no_version" {
		t.Errorf("causes: %+v", b.Causes)
	}
	if len(b.Evidence) != 1 || b.Evidence[0] != (alerts.Evidence{Topic: "workflow.decision", Partition: 3, Offset: 9, Workflow: "w", DecisionID: "d", TraceID: "t"}) {
		t.Errorf("evidence: %+v", b.Evidence)
	}
	if b := burn(5); b.Holds || !b.Few {
		t.Errorf("of too few uses: %+v", b)
	}
	s := NewBook().States(f, now)
	if b := burnOf(&s[0], &s[0].Rules[0]); b.Holds || b.Few || b.Long.Burn != 0 {
		t.Errorf("of nothing: %+v", b)
	}
}

// What makes an objective worse is told at once, and only that.
func TestWhatIsWorseIsTold(t *testing.T) {
	f := parsed(t)
	r := New("buckets", 2, func() *slo.File { return f }, metrics.New(nil), func() event.Time { return now }, log.NewNopLogger())
	told := 0
	r.OnWorse(func() { told++ })
	offset := int64(0)
	read := func(what string, want int, c change) {
		t.Helper()
		before := told
		r.take(&kgo.Record{Partition: 1, Offset: offset, Key: []byte(c.key), Value: c.value})
		if offset++; told-before != want {
			t.Errorf("%s: told %d times, want %d", what, told-before, want)
		}
	}
	read("a bad use of before the start", 0, said(1, 5, budget.Counts{Bad: 1}))
	r.caught.Store(true)
	read("a good use", 0, said(1, 5, budget.Counts{Good: 1, Bad: 1}))
	read("a bad use", 1, said(1, 5, budget.Counts{Good: 1, Bad: 2}))
	read("the same again", 0, said(1, 5, budget.Counts{Good: 1, Bad: 2}))
	read("an unknown one", 1, said(1, 5, budget.Counts{Good: 1, Bad: 2, Unknown: 1}))
	read("one that is not bad after all", 0, said(1, 5, budget.Counts{Good: 2, Bad: 1, Unknown: 1}))
	read("another bucket", 1, said(1, 3, budget.Counts{Bad: 1}))
	read("the end of a bucket", 0, change{key: said(1, 3, budget.Counts{}).key})
}
