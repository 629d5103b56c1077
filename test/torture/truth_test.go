//go:build unix

package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/loader"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/test/kafka"
	"github.com/freshet-io/freshet/topology"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// acknowledged is a record whose producer knows since an instant that it is there.
type acknowledged struct {
	item      string // the key of the policy that it is of, or that it loads
	load      bool
	seq       int64
	topic     string
	partition int32
	offset    int64
	at        event.Time
}

// answered is what an instance said of the one workflow that holds an item.
type answered struct {
	instance, item string
	through        event.Time
	current, used  int64 // -1: it knows of none
	lag            float64
	body           string
}

// shown is a partition's clock as an instance has exported it, and what the group had committed after that.
type shown struct {
	instance, group string
	partition       int32
	through         event.Time
	committed       map[string]int64 // by topic, in that partition
}

// truth is a producer with its own log, and witnesses of what the engine says meanwhile.
type truth struct {
	w      *world
	items  []string
	maker  *loader.Loader // of records
	seq    int64
	client *kgo.Client // transactional
	plain  *kgo.Client

	mu      sync.Mutex
	log     []acknowledged
	answers []answered
	shows   []shown
}

const truthContract = `
version: 1
owners: {payments: {}, risk: {}}
contexts: {policy: {owner: risk}}
workflows: {refund: {owner: payments, bounds: {policy: {max_versions_behind: 0}}}}
`

// unreal is added to the seq of what is written in transactions that are aborted: nobody may ever see it.
const unreal = 1_000_000_000

// The clocks are held against the truth: a producer notes what was acknowledged to it, and when. Whatever an instance says, in answers and
// in metrics, it has applied everything that was acknowledged before the instant it names, also in partitions that nothing is written to,
// behind markers of transactions, while transactions are open, while brokers and instances go and come, and of topics that are empty.
func TestClocksAgainstTruth(t *testing.T) {
	notShort(t)
	onBoth(t, func(t *testing.T, at where) {
		var c *kafka.Cluster
		if at == cluster {
			c = kafka.Start(t, kafka.Options{})
		}
		ctx, r := within(t), random(t)
		contract := filepath.Join(t.TempDir(), "contracts.yaml")
		if err := os.WriteFile(contract, []byte(truthContract), 0o644); err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, setup{at: at, cluster: c, contract: contract, partitions: 8})
		for k := range map[where]int{embedded: 1, cluster: 3}[at] {
			w.instance(fmt.Sprintf("i%d", k))
		}
		w.instances[0].start("")
		w.instances[0].awaitReady(ctx)
		h := newTruth(ctx, w)
		span, did := 90*time.Second, tally{}
		if short() {
			span = 20 * time.Second
		}
		watching, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		part := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		all.Go(func() { h.produce(watching, part) })
		for _, i := range w.instances {
			all.Go(func() { h.watch(watching, i) })
		}
		for begin := time.Now(); time.Since(begin) < span; {
			w.trouble(ctx, r, did)
			pause(t, between(r, 0, 3*time.Second))
		}
		stop()
		all.Wait()
		for _, i := range w.instances {
			if !i.runs() {
				i.start("")
			}
		}
		for _, i := range w.instances {
			i.awaitReady(ctx)
		}
		w.quiet(ctx)
		h.atRest(ctx)
		h.judge()
		t.Logf("trouble:\n%s", did)
	})
}

// trouble is what happens to instances and brokers here.
func (w *world) trouble(ctx context.Context, r *rand.Rand, did tally) {
	w.t.Helper()
	switch i := w.instances[0]; {
	case w.at == cluster && r.IntN(4) == 0:
		w.fail(ctx, r, did)
	case w.at == cluster:
		w.move(r, 3, did)
	case r.IntN(2) == 0:
		i.kill()
		i.start("")
		did["killed, started again, and its broker"]++
	default:
		i.freeze()
		pause(w.t, between(r, 0, 2*w.sessionTimeout))
		i.wake()
		did["frozen, and its broker"]++
	}
}

func newTruth(ctx context.Context, w *world) *truth {
	w.t.Helper()
	maker, err := loader.Open(ctx, access.Open(w.brokers...), w.graph)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(maker.Close)
	h := &truth{w: w, maker: maker, plain: w.client()}
	for k := range 5 { // of 8 partitions: some are never written to
		h.items = append(h.items, fmt.Sprintf("p%d", k))
	}
	return h
}

// produce writes versions and loads, one after the other, alone or in transactions, until ctx ends.
func (h *truth) produce(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		var records []acknowledged
		for range 1 + r.IntN(3) {
			h.seq++
			records = append(records, acknowledged{item: h.items[r.IntN(len(h.items))], load: r.IntN(3) == 0, seq: h.seq})
		}
		switch n := r.IntN(4); {
		case n < 2:
			if h.send(ctx, h.plain, records) == nil {
				h.note(records)
			}
		default:
			h.transact(ctx, r, n == 3, records)
		}
		select {
		case <-ctx.Done():
		case <-time.After(between(r, 0, 40*time.Millisecond)):
		}
	}
}

// note keeps that records have been acknowledged.
func (h *truth) note(records []acknowledged) {
	at := event.Of(time.Now())
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range records {
		a.at = at
		h.log = append(h.log, a)
	}
}

// send writes records and fills in where they lie.
func (h *truth) send(ctx context.Context, to *kgo.Client, records []acknowledged) error {
	now := event.Of(time.Now())
	var sent []*kgo.Record
	for _, a := range records {
		kind, subject, data := "source.updated", "policy/"+a.item, fmt.Sprintf(`{"kind":"policy","key":%q,"seq":%d}`, a.item, a.seq)
		if a.load {
			kind, subject, data = "context.loaded", "w-"+a.item, fmt.Sprintf(`{"refs":[{"kind":"policy","key":%q,"seq":%d}]}`, a.item, a.seq)
		}
		line := fmt.Appendf(nil, `{"specversion":"1.0","id":"%s/%d","source":"/truth","type":%q,"subject":%q,"time":%q,"workflowtype":"refund","datacontenttype":"application/json","data":%s}`,
			kind, a.seq, kind, subject, now, data)
		record, reason := h.maker.Record(line)
		if reason != event.OK {
			return fmt.Errorf("%s: %s", reason, line)
		}
		record.Timestamp = time.Now()
		sent = append(sent, record)
	}
	err := to.ProduceSync(ctx, sent...).FirstErr()
	for k := range sent {
		records[k].topic, records[k].partition, records[k].offset = sent[k].Topic, sent[k].Partition, sent[k].Offset
	}
	return err
}

// transact writes records in a transaction that is open for a moment. If it is aborted, or goes wrong, nothing was acknowledged.
func (h *truth) transact(ctx context.Context, r *rand.Rand, abort bool, records []acknowledged) {
	how := kgo.TryCommit
	if abort {
		how = kgo.TryAbort
		for k := range records {
			records[k].seq += unreal
		}
	}
	within, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if h.client == nil {
		h.client, _ = kgo.NewClient(kgo.SeedBrokers(h.w.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.TransactionalID(h.w.prefix+"truth"), kgo.TransactionTimeout(10*time.Second))
	}
	err := h.client.BeginTransaction()
	if err == nil {
		err = h.send(within, h.client, records)
	}
	if err == nil {
		select {
		case <-within.Done():
		case <-time.After(between(r, 0, 600*time.Millisecond)):
		}
		err = h.client.EndTransaction(within, how)
	}
	switch {
	case err != nil: // committed or not, nobody has been told
		h.client.Close()
		h.client = nil
	case !abort:
		h.note(records)
	}
}

// watch asks an instance again and again, whether it runs or not.
func (h *truth) watch(ctx context.Context, i *instance) {
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	admin := h.w.admin()
	for round := 0; ctx.Err() == nil; round++ {
		if a, ok := i.says(ctx, h.items[round%len(h.items)]); ok {
			h.mu.Lock()
			h.answers = append(h.answers, a)
			h.mu.Unlock()
		}
		if round%10 == 0 {
			h.look(ctx, i, admin)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// says asks an instance for the workflow that holds an item; false if it does not answer, or names no instant.
func (i *instance) says(ctx context.Context, item string) (answered, bool) {
	status, body, err := i.ask(ctx, http.MethodPost, "/v1/check", fmt.Sprintf(`{"workflow":"w-%s","max_engine_lag_s":3600}`, item))
	type version struct{ Seq *int64 }
	var said struct {
		Reasons []string
		Through *string `json:"applied_through"`
		Lag     float64 `json:"engine_lag_s"`
		Items   []struct{ Current, Used *version }
	}
	if err != nil || status != http.StatusOK || json.Unmarshal([]byte(body), &said) != nil || said.Through == nil || slices.Contains(said.Reasons, "recovering") {
		return answered{}, false
	}
	a := answered{instance: i.id, item: item, current: -1, used: -1, lag: said.Lag, body: body}
	a.through, _ = event.ParseTime(*said.Through)
	for _, it := range said.Items {
		if it.Current != nil && it.Current.Seq != nil {
			a.current = *it.Current.Seq
		}
		if it.Used != nil && it.Used.Seq != nil {
			a.used = *it.Used.Seq
		}
	}
	return a, true
}

// look takes what an instance's metrics say of its partitions, and then what their groups have committed.
func (h *truth) look(ctx context.Context, i *instance, admin *kadm.Client) {
	clocks := i.clocks(ctx)
	within, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, g := range []topology.Group{h.w.graph.Workflows, h.w.graph.Sources} {
		if len(clocks) == 0 {
			return
		}
		offsets, err := admin.FetchOffsets(within, g.Name)
		if err != nil || offsets.Error() != nil {
			continue
		}
		for p := range int32(h.w.partitions) {
			through, known := clocks[fmt.Sprintf("{partition=%q}", metrics.Partition(g.Name, p))]
			if !known {
				continue
			}
			s := shown{instance: i.id, group: g.Name, partition: p, through: event.Time(math.Round(through * 1000)), committed: map[string]int64{}}
			for _, topic := range g.Inputs {
				s.committed[topic] = -1
				if o, ok := offsets.Lookup(topic, p); ok {
					s.committed[topic] = o.At
				}
			}
			h.mu.Lock()
			h.shows = append(h.shows, s)
			h.mu.Unlock()
		}
	}
}

// judge holds what was said against what had been acknowledged.
func (h *truth) judge() {
	t, faults, instances := h.w.t, 0, map[string]int{}
	t.Helper()
	fault := func(format string, args ...any) {
		if faults++; faults <= mostFaults {
			t.Errorf(format, args...)
		}
	}
	for _, a := range h.answers {
		instances[a.instance]++
		source, load := int64(-1), int64(-1)
		for _, r := range h.log {
			switch {
			case r.at >= a.through || r.item != a.item:
			case r.load:
				load = max(load, r.seq)
			default:
				source = max(source, r.seq)
			}
		}
		if a.used < load || a.current < source && a.used >= 0 {
			fault("%s: applied through %v, when version %d and the load of %d had been acknowledged: %s", a.instance, a.through, source, load, a.body)
		}
		if a.used >= unreal || a.current >= unreal {
			fault("%s has seen what was never committed: %s", a.instance, a.body)
		}
	}
	for _, s := range h.shows {
		for _, r := range h.log {
			if next, input := s.committed[r.topic]; r.at < s.through && r.partition == s.partition && input && r.offset >= next {
				fault("%s: %s/%d applied through %v, committed to %d; %s/%d/%d had been acknowledged at %v", s.instance, s.group, s.partition, s.through, next, r.topic, r.partition, r.offset, r.at)
			}
		}
	}
	if faults > mostFaults {
		t.Errorf("%d faults in all", faults)
	}
	if len(h.log) < 20 || len(h.answers) < 50 || len(h.shows) < 50 {
		t.Errorf("too little to hold against each other: %d records, %d answers, %d clocks", len(h.log), len(h.answers), len(h.shows))
	}
	t.Logf("%d records acknowledged, %d answers %v, %d clocks of partitions: %d faults", len(h.log), len(h.answers), instances, len(h.shows), faults)
}

// atRest says how old the clocks are while nothing happens.
func (h *truth) atRest(ctx context.Context) {
	h.w.t.Helper()
	var lags []float64
	for n := range 200 {
		for _, i := range h.w.instances {
			if a, ok := i.says(ctx, h.items[n%len(h.items)]); ok {
				lags = append(lags, a.lag)
			}
		}
		pause(h.w.t, 20*time.Millisecond)
	}
	if len(lags) == 0 {
		h.w.t.Fatal("nobody answers: ", h.w.states())
	}
	slices.Sort(lags)
	h.w.t.Logf("at rest, %d answers: applied_through is %.3f s old in the middle, %.3f s at p99, %.3f s at most", len(lags), lags[len(lags)/2], lags[len(lags)*99/100], lags[len(lags)-1])
}
