package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/freshet-io/freshet/internal/programs"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/state"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestRules tries every rule twice: with it the promise is kept, without it the same test sees it broken.
func TestRules(t *testing.T) {
	for _, r := range []struct {
		name string
		try  func(t *testing.T, without bool) (broken string)
	}{
		{"a barrier splits no unit", splitUnits},
		{"offsets are committed with member and generation", zombie},
		{"every transaction with records commits an offset", zombieOfTimers},
		{"open transactions of the dead are ended", deadOwner},
		{"a table ends with its last record", markersAtTheEnd},
		{"only committed records are read", abortedInput},
		{"a claim is always read", slowNeighbour},
		{"goka does not hear of a session's end", sessionsInARow},
		{"a group that has ended is started again", startedBeforeTheBroker},
		{"input waits for room", stalledCommits},
		{"offsets name their topic", topicMadeAnew},
		{"a refused record holds its partition alone", refusedAlone},
	} {
		t.Run(r.name, func(t *testing.T) {
			if broken := r.try(t, false); broken != "" {
				t.Error(broken)
			}
		})
		t.Run("not: "+r.name, func(t *testing.T) {
			broken := r.try(t, true)
			if broken == "" {
				t.Error("the test does not see that the rule is switched off")
			}
			t.Log(broken)
		})
	}
}

// inTime is how long what has to happen may take.
const inTime = time.Minute

// hopeless is how long is waited for what must not happen. It can be too short to see it, but not to make a test fail that should pass.
const hopeless = 4 * time.Second

// until asks every 10 ms whether a condition holds, for as long as said.
func until(t *testing.T, d time.Duration, condition func() bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

func startCluster(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, string) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	addr := c.ListenAddrs()[0]
	createTopics(t, addr)
	return c, addr
}

func memory(t *testing.T) *state.DB {
	t.Helper()
	db := openDB(t, "")
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// tell sends records of one key to a partition of an input.
func tell(t *testing.T, addr, topic string, partition int32, n int) {
	t.Helper()
	c := client(t, addr)
	for range n {
		c.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Key: []byte("k"), Value: []byte("x")}, nil)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// committed returns how many records of a topic's partition a reader of committed records gets.
func committed(t *testing.T, addr, topic string, partition int32) int {
	t.Helper()
	n := 0
	for _, r := range logOf(t, addr, topic, partition, kgo.ReadCommitted()) {
		if !r.Attrs.IsControl() {
			n++
		}
	}
	return n
}

// logOf reads a partition up to the end that it has now for that kind of reader, markers included.
func logOf(t *testing.T, addr, topic string, partition int32, level kgo.IsolationLevel) []*kgo.Record {
	t.Helper()
	ends, err := kadm.NewClient(client(t, addr)).ListCommittedOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, partition)
	c := client(t, addr, kgo.FetchIsolationLevel(level), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	ctx, cancel := context.WithTimeout(t.Context(), inTime)
	defer cancel()
	var all []*kgo.Record
	for at := int64(0); at < end.Offset; {
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			all, at = append(all, r), r.Offset+1
		})
		if ctx.Err() != nil {
			t.Fatalf("%s/%d was read to %d, not to %d", topic, partition, at, end.Offset)
		}
	}
	return all
}

// callback is a group that is one function.
type callback struct {
	counter
	unit func(p *Partition, u *Unit)
}

func (c *callback) Unit(p *Partition, u *Unit) { c.unit(p, u) }

// ---- units and barriers

// splitUnits looks whether the two outputs of each unit are in one transaction. Without the rule a unit lets a barrier in between them.
func splitUnits(t *testing.T, without bool) string {
	_, addr := startCluster(t)
	emit := func(p *Partition, half string) {
		p.Emit(&kgo.Record{Topic: output, Partition: p.ID, Key: []byte("k"), Value: []byte(half)})
	}
	var units atomic.Int64
	group := &callback{unit: func(p *Partition, u *Unit) {
		emit(p, "first")
		if before := p.barriers; without && p.ID == 0 && units.Load() == 0 {
			p.mu.Unlock()
			until(t, inTime, func() bool {
				p.s.kicked()
				p.mu.Lock()
				defer p.mu.Unlock()
				return p.barriers > before
			})
			p.mu.Lock()
		}
		emit(p, "second")
		units.Add(1)
	}}
	g, _ := run(t, addr, "a", memory(t), group, nil)
	if !until(t, inTime, g.Running) {
		t.Fatal("the group does not run")
	}
	for i := range 20 {
		tell(t, addr, inputA, 0, 1)
		if !until(t, inTime, func() bool { return units.Load() > int64(i) }) {
			t.Fatal("a unit was not run")
		}
	}
	var log []*kgo.Record
	if !until(t, inTime, func() bool {
		log = logOf(t, addr, output, 0, kgo.ReadUncommitted())
		return len(log) > 0 && log[len(log)-1].Attrs.IsControl()
	}) {
		t.Fatal("nothing was committed")
	}
	open := false // a first half was read, its second was not
	for _, r := range log {
		switch {
		case r.Attrs.IsControl() && open:
			return fmt.Sprintf("a transaction ends at %d between the outputs of one unit", r.Offset)
		case !r.Attrs.IsControl():
			open = string(r.Value) == "first"
		}
	}
	return ""
}

// ---- zombies

// membership is a session of a group as sarama would give it.
type membership struct {
	sarama.ConsumerGroupSession
	member     string
	generation int32
}

func (m membership) MemberID() string         { return m.member }
func (m membership) GenerationID() int32      { return m.generation }
func (m membership) Context() context.Context { return context.Background() }

// member joins the counters' group and returns its membership, until it leaves.
func member(t *testing.T, addr string) (m membership, leave func()) {
	t.Helper()
	c := client(t, addr, kgo.ConsumerGroup("counters"), kgo.ConsumeTopics(inputA), kgo.Balancers(kgo.RangeBalancer()))
	if !until(t, inTime, func() bool {
		c.PollFetches(contextOf(t, 50*time.Millisecond))
		m.member, m.generation = c.GroupMetadata()
		return m.member != "" && m.generation > 0
	}) {
		t.Fatal("the group cannot be joined")
	}
	return m, c.Close
}

func contextOf(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// commitAs commits one record under a membership, and a position of the input if there is one.
func commitAs(t *testing.T, addr string, m membership, next int64, off rules) error {
	t.Helper()
	g, logs := newGateway(t, addr, "zombie", memory(t), &counter{output})
	g.spec.Instance = "" // the members of these tests are not static
	t.Cleanup(logs.Close)
	g.off = off
	if err := g.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.closeClient)
	s := &session{ConsumerGroupSession: m, g: g}
	all := []taken{{p: &Partition{s: s}, next: []int64{next, -1}, newest: make([]int64, 2), marked: []bool{next >= 0, false},
		recs: []*kgo.Record{{Topic: output, Value: []byte("from the grave")}}}}
	_, err := s.transaction(contextOf(t, inTime), g.client.Load(), all, 0)
	return err
}

// zombie commits as a member whose generation is over.
func zombie(t *testing.T, without bool) string {
	_, addr := startCluster(t)
	m, _ := member(t, addr)
	m.generation--
	return committedBy(t, addr, commitAs(t, addr, m, 7, rules{anonymous: without}))
}

// zombieOfTimers commits as a member that is none any more, and has nothing but records that no input led to.
func zombieOfTimers(t *testing.T, without bool) string {
	_, addr := startCluster(t)
	m, _ := member(t, addr)
	m.member += "-gone"
	return committedBy(t, addr, commitAs(t, addr, m, -1, rules{unfenced: without}))
}

func committedBy(t *testing.T, addr string, err error) string {
	t.Helper()
	switch n := committed(t, addr, output, 0); {
	case n > 0:
		return fmt.Sprintf("a zombie has committed %d records", n)
	case !errors.Is(err, errFenced):
		return fmt.Sprintf("a zombie's transaction ended with %v, not fenced", err)
	}
	return ""
}

// TestAMemberWithoutANameCommitsNothing: without a member id the broker would check nothing.
func TestAMemberWithoutANameCommitsNothing(t *testing.T) {
	_, addr := startCluster(t)
	m, _ := member(t, addr)
	nobody := m
	nobody.member = ""
	if broken := committedBy(t, addr, commitAs(t, addr, nobody, 7, rules{})); broken != "" {
		t.Error(broken)
	}
	if err := commitAs(t, addr, m, 7, rules{}); err != nil || committed(t, addr, output, 0) != 1 {
		t.Errorf("a member in good standing: %v", err)
	}
}

// deadOwner leaves a transaction open over the table and the group's offsets, for longer than the test takes.
func deadOwner(t *testing.T, without bool) string {
	_, addr := startCluster(t)
	tell(t, addr, inputA, 0, 3)
	m, leave := member(t, addr)
	dead := client(t, addr, kgo.TransactionalID("counters/dead"), kgo.TransactionTimeout(10*time.Minute))
	if err := dead.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := dead.ProduceSync(t.Context(), &kgo.Record{Topic: table, Key: []byte("k"), Value: make([]byte, 8)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	g, logs := newGateway(t, addr, "x", memory(t), &counter{output})
	defer logs.Close()
	if err := g.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.closeClient()
	g.spec.TxnID, g.spec.Instance = "counters/dead", ""
	id, epoch, err := dead.ProducerID(t.Context())
	if err == nil {
		err = (&session{ConsumerGroupSession: m, g: g}).sendTxnOffsets(t.Context(), dead, id, epoch, map[string]map[int32]tail.Committed{inputA: {0: {Next: 3}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	leave()
	a, stop := run(t, addr, "a", memory(t), &counter{output}, func(g *Gateway) { g.off.unreaped = without })
	defer stop()
	wait := inTime
	if without {
		wait = hopeless
	}
	if !until(t, wait, a.Running) {
		dead.Close()
		return "the group waits for a transaction of an instance that is gone"
	}
	return ""
}

// ---- reading

// markersAtTheEnd restores a table whose last record is the marker of a transaction.
func markersAtTheEnd(t *testing.T, without bool) string {
	_, addr := startCluster(t)
	stop := instance(t, addr, "a", memory(t))
	produce(t, addr, 8, 3)
	awaitCounts(t, addr, 8, 3)
	stop()
	g, _ := run(t, addr, "a", memory(t), &counter{output}, func(g *Gateway) { g.off.highWater = without })
	wait := inTime
	if without {
		wait = hopeless
	}
	if !until(t, wait, g.Running) {
		return "the table's restore does not end"
	}
	return ""
}

// abortedInput is a producer's that changes its mind.
func abortedInput(t *testing.T, without bool) string {
	_, addr := startCluster(t)
	c := client(t, addr, kgo.TransactionalID("somebody"))
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: inputA, Key: []byte("k"), Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := c.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	var read atomic.Int64
	var last atomic.Int64
	group := &callback{unit: func(_ *Partition, u *Unit) {
		for _, in := range u.Records {
			read.Add(1)
			last.Store(in.Msg.Offset)
		}
	}}
	run(t, addr, "a", memory(t), group, func(g *Gateway) {
		if without {
			g.off.consumer = func(s *sarama.Config) { s.Consumer.IsolationLevel = sarama.ReadUncommitted }
		}
	})
	if !until(t, inTime, func() bool { return last.Load() >= 2 }) {
		t.Fatal("the committed record was not read")
	}
	if n := read.Load(); n != 1 {
		return fmt.Sprintf("%d records were read, one of them was aborted", n)
	}
	return ""
}

// slowNeighbour has one partition that stands still with a long queue, and another one that has work to do.
func slowNeighbour(t *testing.T, without bool) string {
	_, addr := startCluster(t)
	gate := make(chan struct{})
	var reached atomic.Int64
	group := &callback{unit: func(p *Partition, u *Unit) {
		switch p.ID {
		case 0:
			<-gate
		case 1:
			reached.Add(int64(len(u.Records)))
		}
	}}
	g, stop := run(t, addr, "a", memory(t), group, func(g *Gateway) {
		g.cfg.Queue, g.cfg.Batch = 256, 8
		g.off.undrained = without
		g.off.consumer = func(s *sarama.Config) { s.ChannelBufferSize = 16 }
	})
	defer stop()
	defer close(gate)
	if !until(t, inTime, g.Running) {
		t.Fatal("the group does not run")
	}
	tell(t, addr, inputA, 0, 20000) // more than all queues and channels hold, in many fetches
	wait := inTime
	if without {
		wait = hopeless
	}
	slow := g.current.Load().parts[0].queue
	if !until(t, inTime, func() bool { return slow.waits(0) }) {
		t.Fatal("the queue of the partition that stands is short")
	}
	tell(t, addr, inputA, 1, 100)
	if !until(t, wait, func() bool { return reached.Load() == 100 }) {
		return fmt.Sprintf("%d of 100 records were read beside a partition that stands", reached.Load())
	}
	return ""
}

// ---- life

// failures is a logger that counts how often a group has ended.
type failures struct{ n atomic.Int64 }

func (f *failures) Log(pairs ...any) error {
	if slices.Contains(pairs, any(groupEnded)) {
		f.n.Add(1)
	}
	return nil
}

// sessions is a consumer group whose sessions end at once.
type sessions struct {
	sarama.ConsumerGroup
	n      int
	cancel context.CancelFunc
}

func (s *sessions) Consume(_ context.Context, _ []string, h sarama.ConsumerGroupHandler) error {
	close(h.(*handler).awaited)
	if s.n++; s.n == 5 {
		s.cancel()
	}
	return nil
}

// sessionsInARow counts the sessions that goka sees as one: it would sleep for five seconds after each.
func sessionsInARow(t *testing.T, without bool) string {
	_, addr := startCluster(t)
	g, logs := newGateway(t, addr, "a", nil, &counter{output})
	defer logs.Close()
	defer g.closeClient()
	g.off.leaving = without
	ctx, cancel := context.WithTimeout(t.Context(), inTime)
	defer cancel()
	inner := &sessions{cancel: cancel}
	if err := (&consumerGroup{ConsumerGroup: inner, g: g}).Consume(ctx, nil, nil); err != nil {
		t.Fatal(err)
	}
	if inner.n != 5 {
		return fmt.Sprintf("goka was told of the end of session %d", inner.n)
	}
	return ""
}

// startedBeforeTheBroker starts a group where no broker listens yet.
func startedBeforeTheBroker(t *testing.T, without bool) string {
	port, err := programs.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	var ends failures
	g, _ := run(t, fmt.Sprint("127.0.0.1:", port), "a", memory(t), &counter{output}, func(g *Gateway) {
		g.off.oneShot = without
		g.logger = &ends
	})
	if !until(t, inTime, func() bool { return ends.n.Load() > 0 }) {
		t.Fatal("the group does not fail without a broker")
	}
	startCluster(t, kfake.Ports(port))
	wait := inTime
	if without {
		wait = hopeless
	}
	if !until(t, wait, g.Running) {
		return "the group does not run although the broker does"
	}
	return ""
}

// stalledCommits lets commits hang while callbacks put out more and more.
func stalledCommits(t *testing.T, without bool) string {
	c, addr := startCluster(t)
	const value, most = 64 << 10, 1 << 20
	group := &callback{unit: func(p *Partition, u *Unit) {
		for range u.Records {
			p.Emit(&kgo.Record{Topic: output, Partition: p.ID, Value: make([]byte, value)})
		}
	}}
	g, stop := run(t, addr, "a", memory(t), group, func(g *Gateway) {
		g.cfg.MaxBytes, g.cfg.Batch, g.cfg.TxnTimeout = most, 4, 5*time.Minute
		g.off.unpressed = without
	})
	defer stop()
	if !until(t, inTime, g.Running) {
		t.Fatal("the group does not run")
	}
	open := stallCommit(t, c, addr)
	defer open()
	for p := range int32(partitions) {
		tell(t, addr, inputA, p, 100)
	}
	bound := int64(4*most + partitions*4*value) // each partition may be in a unit when the bound is reached
	s := g.current.Load()
	over := func() bool { return s.bytes.Load() > bound }
	full := func() bool { return s.bytes.Load() >= 4*most }
	if !until(t, inTime, full) {
		t.Fatal("the work does not suffice")
	}
	wait := hopeless / 2
	if without {
		wait = inTime
	}
	exceeded := until(t, wait, over)
	open()
	if exceeded {
		return fmt.Sprintf("%d bytes wait, at most %d may", s.bytes.Load(), bound)
	}
	return ""
}

// stallCommit lets the group commit something, and the broker not answer, until the returned function is called.
func stallCommit(t *testing.T, c *kfake.Cluster, addr string) (open func()) {
	t.Helper()
	gate := make(chan struct{})
	var stalled atomic.Bool
	c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the signature is kfake's
		stalled.Store(true)
		c.SleepControl(func() { <-gate })
		return nil, nil, false
	})
	tell(t, addr, inputA, 0, 1)
	if !until(t, inTime, stalled.Load) {
		t.Fatal("nothing was committed")
	}
	return sync.OnceFunc(func() { close(gate) })
}
