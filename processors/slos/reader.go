package slos

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/slo/budget"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Reader follows the topic of buckets into a Book and shows in the metrics how the objectives stand.
type Reader struct {
	book       *Book
	topic      string
	partitions int32
	contract   func() *slo.File // in force, nil before there is one
	m          *metrics.Metrics
	now        func() event.Time
	logger     log.Logger

	client  *kgo.Client
	pending map[int32][]change // of the transaction that is being read
	next    []int64            // per partition: what has been read, markers included
	ends    []int64            // what there was at the start
	caught  atomic.Bool
	worse   atomic.Pointer[func()]
	shown   map[series]bool
}

// series is one objective, or one of its windows, in the metrics; with a severity it is the threshold of that window.
type series struct{ objective, window, severity string }

// New returns a reader of a topic.
func New(topic string, partitions int32, contract func() *slo.File, m *metrics.Metrics, now func() event.Time, logger log.Logger) *Reader {
	return &Reader{
		book: NewBook(), topic: topic, partitions: partitions, contract: contract, m: m, now: now, logger: logger,
		pending: map[int32][]change{}, next: make([]int64, partitions), shown: map[series]bool{},
	}
}

// largestFetch is so large that a transaction comes in one piece, as a rule. Correctness does not rest on it.
const largestFetch = 16 << 20

// Start connects and finds out how far the topic reaches now.
func (r *Reader) Start(ctx context.Context, logs *tail.Logs, cluster access.Cluster) error {
	from := map[int32]kgo.Offset{}
	for p := range r.partitions {
		end, err := logs.Usable(ctx, r.topic, p)
		if err != nil {
			return fmt.Errorf("end of %s/%d: %w", r.topic, p, err)
		}
		r.ends = append(r.ends, end)
		from[p] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(cluster.Kgo(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(250*time.Millisecond), kgo.FetchMaxPartitionBytes(largestFetch))...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", r.topic, err)
	}
	r.client = client
	return nil
}

// Stop disconnects.
func (r *Reader) Stop() {
	if r.client != nil {
		r.client.Close()
	}
}

// Run reads and shows until ctx ends.
func (r *Reader) Run(ctx context.Context) error {
	shown := time.NewTicker(time.Second)
	defer shown.Stop()
	go r.follow(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-shown.C:
			if r.caught.Load() {
				r.show()
			}
		}
	}
}

func (r *Reader) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.poll(ctx); err != nil && ctx.Err() == nil {
			_ = level.Warn(r.logger).Log("msg", "buckets of objectives cannot be read", "topic", r.topic, "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// quiet is after how long without any record nothing more is expected of a transaction: a marker may have been compacted away.
const quiet = time.Second

func (r *Reader) poll(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	fetches := r.client.PollFetches(wait)
	if ctx.Err() != nil {
		return nil
	}
	if wait.Err() != nil && fetches.Empty() {
		for p := range r.pending {
			r.apply(p)
		}
		r.checkCaught() // a topic in which there is nothing has been read, too
		return nil
	}
	fetches.EachRecord(r.take)
	r.checkCaught()
	for _, e := range fetches.Errors() {
		return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
	}
	return nil
}

// take holds a record back until its transaction's marker: one partition has one writer, so what lies before a marker is what it commits.
func (r *Reader) take(rec *kgo.Record) {
	r.next[rec.Partition] = rec.Offset + 1
	if !rec.Attrs.IsControl() {
		r.pending[rec.Partition] = append(r.pending[rec.Partition], change{string(rec.Key), rec.Value})
		if rec.Attrs.IsTransactional() {
			return
		}
	}
	r.apply(rec.Partition)
}

// apply shows what has been read of a partition.
func (r *Reader) apply(partition int32) {
	worse, bad := r.book.apply(r.pending[partition])
	for _, err := range bad {
		_ = level.Error(r.logger).Log("msg", "bucket cannot be read and is left out", "partition", partition, "err", err)
	}
	r.pending[partition] = r.pending[partition][:0]
	if f := r.worse.Load(); worse && f != nil && r.caught.Load() {
		(*f)()
	}
}

// OnWorse has f called whenever an objective has been read to be worse than before, if what there was at the start has been. F must not block.
func (r *Reader) OnWorse(f func()) { r.worse.Store(&f) }

// checkCaught says aloud, once, that what there was at the start has been read.
func (r *Reader) checkCaught() {
	if r.caught.Load() {
		return
	}
	for p, end := range r.ends {
		if r.next[p] < end {
			return
		}
	}
	r.caught.Store(true)
	together, apart := r.book.Buckets()
	_ = level.Info(r.logger).Log("msg", "buckets of objectives have been read", "buckets", together, "of_partitions", apart)
}

// Book returns the book that the reader keeps.
func (r *Reader) Book() *Book { return r.book }

// States says how the objectives of the contract in force stand at an instant; ok is false while the buckets are still being read.
func (r *Reader) States(now event.Time) (states []budget.State, ok bool) {
	f := r.contract()
	if f == nil || !r.caught.Load() {
		return nil, false
	}
	return r.book.States(f, now), true
}

// begin lets the counters of an objective start at 0, where Prometheus can see them: else their first increase would be lost to rate().
func (r *Reader) begin(objective string) {
	for _, result := range []string{metrics.GoodUse, metrics.BadUse, metrics.UnknownUse} {
		r.m.SLOEvents.WithLabelValues(objective, result).Add(0)
	}
}

// thresholds shows from which burn rates on the rules of an objective hold.
func (r *Reader) thresholds(s *slo.SLO, shown map[series]bool) {
	least := map[series]float64{}
	for _, rule := range s.Rules {
		for _, window := range []freshness.Duration{rule.Long, rule.Short} {
			k := series{s.Name, slo.FormatDuration(window), rule.Severity.String()}
			if burn, ok := least[k]; !ok || rule.Burn < burn {
				least[k] = rule.Burn
			}
		}
	}
	for k, burn := range least {
		shown[k] = true
		r.m.SLOBurnThreshold.WithLabelValues(k.objective, k.severity, k.window).Set(burn)
	}
}

// show sets the gauges. Series of objectives and windows that are no longer in the contract go.
func (r *Reader) show() {
	states, ok := r.States(r.now())
	if !ok {
		return
	}
	shown := map[series]bool{}
	for i := range states {
		s := &states[i]
		name := s.SLO.Name
		whole := series{objective: name}
		if shown[whole] = true; !r.shown[whole] {
			r.begin(name)
		}
		r.thresholds(s.SLO, shown)
		r.m.SLOObjective.WithLabelValues(name).Set(s.SLO.Objective)
		r.m.SLOBudget.WithLabelValues(name).Set(s.Remaining)
		r.m.SLOCoverage.WithLabelValues(name).Set(s.Coverage)
		for _, w := range s.Windows {
			window := slo.FormatDuration(w.Length)
			shown[series{objective: name, window: window}] = true
			r.m.SLOGoodRatio.WithLabelValues(name, window).Set(w.GoodRatio)
			r.m.SLOBurnRate.WithLabelValues(name, window).Set(w.Burn)
		}
	}
	for old := range r.shown {
		switch {
		case shown[old]:
		case old.severity != "":
			r.m.SLOBurnThreshold.DeleteLabelValues(old.objective, old.severity, old.window)
		case old.window == "":
			r.m.SLOObjective.DeleteLabelValues(old.objective)
			r.m.SLOBudget.DeleteLabelValues(old.objective)
			r.m.SLOCoverage.DeleteLabelValues(old.objective)
		default:
			r.m.SLOGoodRatio.DeleteLabelValues(old.objective, old.window)
			r.m.SLOBurnRate.DeleteLabelValues(old.objective, old.window)
		}
	}
	r.shown = shown
}
