package gateway

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/state"
	"github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// counter counts the records of each key and puts out every count: lost input leaves a gap, input applied twice a repetition.
type counter struct{ outputs string }

type count struct {
	key string
	n   uint64
}

func (c *count) Records(put func(string, func([]byte) []byte)) {
	put(c.key, func(b []byte) []byte { return binary.BigEndian.AppendUint64(b, c.n) })
}
func (c *count) Index(w *state.IndexWriter) { w.Set([]byte(c.key), nil) }
func (c *count) Pinned() bool               { return false }
func (c *count) Done() bool                 { return false }

type countSchema struct{}

func (countSchema) Load(p *state.Partition, key string) (state.Row, error) {
	b, err := p.Read(key)
	if err != nil || b == nil {
		return nil, err
	}
	return &count{key, binary.BigEndian.Uint64(b)}, nil
}
func (countSchema) Recovered(w *state.IndexWriter, key string, _, _ []byte) error {
	w.Set([]byte(key), nil)
	return nil
}

func (c *counter) Assign(context.Context, *Partition) error       { return nil }
func (c *counter) Claimed(*Partition, int, int64)                 {}
func (c *counter) Seal(*Partition)                                {}
func (c *counter) Committed(_ *Partition, _ uint64, _, _ []int64) {}
func (c *counter) Revoke(*Partition)                              {}
func (c *counter) Unit(p *Partition, u *Unit) {
	row, err := p.Rows.Row(u.Key)
	if err != nil {
		panic(err)
	}
	r, _ := row.(*count)
	if r == nil {
		r = &count{key: u.Key}
	}
	for range u.Records {
		r.n++
		p.Emit(&kgo.Record{Topic: c.outputs, Partition: p.ID, Key: []byte(u.Key), Value: binary.BigEndian.AppendUint64(nil, r.n)})
	}
	p.Rows.Put(u.Key, r)
}

const (
	partitions = 4
	inputA     = "in-a"
	inputB     = "in-b"
	output     = "out"
	table      = "counters-table"
)

func startBroker(t *testing.T) string {
	t.Helper()
	cfg := embedded.Config{}
	cfg.RegisterFlags(flag.NewFlagSet("broker", flag.PanicOnError))
	cfg.Listen = "127.0.0.1:0"
	b, err := embedded.New(cfg, testLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := services.StartAndAwaitRunning(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = services.StopAndAwaitTerminated(context.Background(), b) })
	createTopics(t, b.Addr())
	return b.Addr()
}

func createTopics(t *testing.T, addr string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	compact := "compact"
	for topic, configs := range map[string]map[string]*string{inputA: nil, inputB: nil, output: nil, table: {"cleanup.policy": &compact}} {
		if _, err := adm.CreateTopic(t.Context(), partitions, 1, configs, topic); err != nil {
			t.Fatal(err)
		}
	}
}

func testLogger() log.Logger {
	if os.Getenv("FRESHET_TEST_LOG") != "" {
		return log.NewLogfmtLogger(log.NewSyncWriter(os.Stderr))
	}
	return log.NewNopLogger()
}

// instance runs the counter until the returned function is called.
func instance(t *testing.T, addr, name string, db *state.DB) (stop func()) {
	t.Helper()
	_, stop = run(t, addr, name, db, &counter{output}, nil)
	return stop
}

// run runs a group until the returned function is called; change alters its gateway before that.
func run(t *testing.T, addr, name string, db *state.DB, group Group, change func(*Gateway)) (g *Gateway, stop func()) {
	t.Helper()
	g, logs := newGateway(t, addr, name, db, group)
	if change != nil {
		change(g)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil && !g.off.oneShot {
			t.Errorf("instance %s: %v", name, err)
		}
		logs.Close()
	}
	t.Cleanup(stop)
	return g, stop
}

// counters is the group of the counter on an instance.
func counters(instance string) Spec {
	return Spec{Name: "counters", Inputs: []string{inputA, inputB}, Virtual: []string{"~clock"}, Table: table, TableID: state.Workflows,
		Schema: func() state.Schema { return countSchema{} }, Outputs: []string{output}, Instance: instance, Fence: "counters/", TxnID: "counters/" + instance}
}

func newGateway(t *testing.T, addr, name string, db *state.DB, group Group) (*Gateway, *tail.Logs) {
	t.Helper()
	var cfg Config
	cfg.RegisterFlags(flag.NewFlagSet("gateway", flag.PanicOnError))
	logs, err := tail.New([]string{addr}, testLogger())
	if err != nil {
		t.Fatal(err)
	}
	return New(cfg, counters(name), access.Open(addr), db, logs, group, metrics.New(nil), log.With(testLogger(), "instance", name)), logs
}

func openDB(t *testing.T, dir string) *state.DB {
	t.Helper()
	db, err := state.Open(state.Config{Dir: dir, MemTableSize: 4 << 20, CacheSize: 4 << 20}, "test", testLogger())
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// produce sends n records of each of the keys, alternating between the inputs.
func produce(t *testing.T, addr string, keys, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range n {
		for k := range keys {
			topic := inputA
			if (i+k)%2 == 1 {
				topic = inputB
			}
			client.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: int32(k % partitions), Key: fmt.Appendf(nil, "k%d", k), Value: []byte("x")}, nil)
		}
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// awaitCounts reads the outputs until every key has reached n, and fails on a gap or a repetition.
func awaitCounts(t *testing.T, addr string, keys int, n uint64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(output), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	last := map[string]uint64{}
	for reached := 0; reached < keys; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d keys have been counted to %d", reached, keys, n)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			key, got := string(r.Key), binary.BigEndian.Uint64(r.Value)
			if got != last[key]+1 {
				t.Fatalf("%s: %d after %d", key, got, last[key])
			}
			last[key] = got
			if got == n {
				reached++
			}
		})
	}
}

func TestCountsAreExactOverStopsAndStarts(t *testing.T) {
	addr, dir := startBroker(t), t.TempDir()
	db := openDB(t, dir)
	stop := instance(t, addr, "a", db)
	for round := range 4 {
		produce(t, addr, 40, 50)
		if round%2 == 0 {
			awaitCounts(t, addr, 40, uint64(round+1)*50)
		}
		stop() // in odd rounds in the middle of the work
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if round == 2 {
			dir = t.TempDir() // the rows come back from the changelog
		}
		db = openDB(t, dir)
		stop = instance(t, addr, "a", db)
	}
	awaitCounts(t, addr, 40, 200)
	stop()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestARestoreThatIsGivenUp: goka may mark it as done after it has closed the storage, even after the store is gone.
func TestARestoreThatIsGivenUp(t *testing.T) {
	db := openDB(t, "")
	rows := db.NewPartition(state.Workflows, 0, countSchema{}, 10)
	var end, left atomic.Int64
	r := &restoring{Partition: rows, remaining: metrics.New(nil).RestoreRemaining.WithLabelValues("counters/0"), end: &end, left: &left}
	if err := r.Set("k", make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	if err := r.SetOffset(1); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.MarkRecovered(); err == nil {
		t.Error("it was marked as done")
	}
}

func TestCountsAreExactWhenInstancesJoinAndLeave(t *testing.T) {
	addr := startBroker(t)
	a, b := openDB(t, t.TempDir()), openDB(t, t.TempDir())
	stopA := instance(t, addr, "a", a)
	produce(t, addr, 40, 50)
	stopB := instance(t, addr, "b", b)
	produce(t, addr, 40, 50)
	awaitCounts(t, addr, 40, 100)
	stopA()
	produce(t, addr, 40, 50)
	awaitCounts(t, addr, 40, 150)
	stopB()
	for _, db := range []*state.DB{a, b} {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
