package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/topology"
)

// Pulse writes decisions at a steady rate, to one partition after the other, and reads their verdicts as a third party does, committed ones only.
type Pulse struct {
	w        *Writer
	verdicts *kgo.Client
	name     string
	age      time.Duration
	parts    int32
	now      func() time.Time

	mu      sync.Mutex
	answers []Answer
	failed  error
}

// Answer is a decision and when its verdict was read.
type Answer struct {
	Partition int32
	Sent      time.Time
	Seen      time.Time // zero: not yet
}

// NewPulse connects. Decisions are said to have been made so long before they are written: one that is older than the lateness of the contract is
// judged at once, one of now waits for the clocks.
func NewPulse(cluster access.Cluster, g *topology.Graph, age time.Duration, now func() time.Time) (*Pulse, error) {
	w, err := NewWriter(cluster, g)
	if err != nil {
		return nil, err
	}
	p := &Pulse{w: w, name: "pulse-" + strconv.FormatInt(now().UnixNano(), 36), age: age, parts: w.topics[event.Decision].Partitions, now: now}
	p.verdicts, err = kgo.NewClient(cluster.Kgo(kgo.ConsumeTopics(g.Name(topology.VerdictsTopic)), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("connect to %s: %w", cluster, err)
	}
	return p, nil
}

// Close disconnects.
func (p *Pulse) Close() {
	p.verdicts.Close()
	p.w.Close()
}

// Run writes and reads until ctx ends.
func (p *Pulse) Run(ctx context.Context, rate int) error {
	var reading sync.WaitGroup
	reading.Go(func() { p.read(ctx) })
	t := time.NewTicker(time.Second / time.Duration(rate))
	defer t.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		select {
		case <-ctx.Done():
		case <-t.C:
			p.send(ctx, n)
		}
	}
	reading.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// send writes the next decision, for the partition whose turn it is.
func (p *Pulse) send(ctx context.Context, n int) {
	part := int32(n) % p.parts
	id := ""
	for i := 0; id == "" || p.w.graph.Partitioner.PartitionString(id, p.parts) != part; i++ {
		id = fmt.Sprintf("%s/%d/%d", p.name, n, i)
	}
	now := p.now()
	p.mu.Lock()
	p.answers = append(p.answers, Answer{Partition: part, Sent: now})
	p.mu.Unlock()
	data := `{"decision_id":"d","based_on":[{"kind":"policy","key":"p0","seq":1}]}`
	p.w.client.Produce(ctx, p.w.record(event.Decision, "action.executed", id, now.Add(-p.age), now, data), func(_ *kgo.Record, err error) {
		if err != nil && ctx.Err() == nil {
			p.fail(fmt.Errorf("write a decision: %w", err))
		}
	})
}

func (p *Pulse) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = err
	}
}

func (p *Pulse) read(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := p.verdicts.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 && ctx.Err() == nil {
			p.fail(fmt.Errorf("read partition %d of %s: %w", errs[0].Partition, errs[0].Topic, errs[0].Err))
			return
		}
		now := p.now()
		p.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			rest, own := strings.CutPrefix(string(r.Key), p.name+"/")
			if !own {
				return
			}
			text, _, _ := strings.Cut(rest, "/")
			if n, err := strconv.Atoi(text); err == nil && n < len(p.answers) && p.answers[n].Seen.IsZero() {
				p.answers[n].Seen = now
			}
		})
		p.mu.Unlock()
	}
}

// Sent returns the decisions that were written between two instants.
func (p *Pulse) Sent(from, to time.Time) []Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	var sent []Answer
	for _, a := range p.answers {
		if !a.Sent.Before(from) && a.Sent.Before(to) {
			sent = append(sent, a)
		}
	}
	return sent
}

// Delays returns how long the verdicts of decisions took, sorted; how many have none yet is said beside it.
func Delays(sent []Answer) (delays []time.Duration, missing int) {
	for _, a := range sent {
		if a.Seen.IsZero() {
			missing++
			continue
		}
		delays = append(delays, a.Seen.Sub(a.Sent))
	}
	slices.Sort(delays)
	return delays, missing
}

// Share returns the value that so large a share of sorted durations is not above, 0 of none.
func Share(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

// Gap is the longest time in which no verdict of a partition was read.
type Gap struct {
	Long time.Duration
	End  time.Time
}

// Gaps returns the longest gap of each partition between two instants.
func (p *Pulse) Gaps(from, to time.Time) []Gap {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := make([][]time.Time, p.parts)
	for _, a := range p.answers {
		if a.Seen.After(from) && a.Seen.Before(to) {
			seen[a.Partition] = append(seen[a.Partition], a.Seen)
		}
	}
	gaps := make([]Gap, p.parts)
	for part, times := range seen {
		slices.SortFunc(times, time.Time.Compare)
		last := from
		for _, t := range append(times, to) {
			if long := t.Sub(last); long > gaps[part].Long {
				gaps[part] = Gap{Long: long, End: t}
			}
			last = t
		}
	}
	return gaps
}

// Echo writes records to a topic at a steady rate, reads them back until ctx ends, and returns how long each took, sorted: what an answer by way
// of these brokers cannot be below.
func Echo(ctx context.Context, cluster access.Cluster, topic string, rate int, now func() time.Time) ([]time.Duration, error) {
	client, err := kgo.NewClient(cluster.Kgo(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cluster, err)
	}
	defer client.Close()
	var (
		reading sync.WaitGroup
		delays  []time.Duration
		failed  error
	)
	reading.Go(func() {
		for ctx.Err() == nil {
			fetches := client.PollFetches(ctx)
			if errs := fetches.Errors(); len(errs) > 0 && ctx.Err() == nil {
				failed = fmt.Errorf("read %s: %w", topic, errs[0].Err)
				return
			}
			at := now().UnixNano()
			fetches.EachRecord(func(r *kgo.Record) {
				if sent, err := strconv.ParseInt(string(r.Value), 10, 64); err == nil {
					delays = append(delays, time.Duration(at-sent))
				}
			})
		}
	})
	t := time.NewTicker(time.Second / time.Duration(rate))
	defer t.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-t.C:
			client.Produce(ctx, kgo.KeySliceRecord(nil, strconv.AppendInt(nil, now().UnixNano(), 10)), nil)
		}
	}
	reading.Wait()
	slices.Sort(delays)
	return delays, failed
}
