package gateway

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/internal/await"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/grafana/dskit/backoff"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Group is what runs on the gateway: its callbacks. Unit, Seal and Assign of one partition never run at the same time.
type Group interface {
	// Assign is called once a partition's rows are restored, before its first unit.
	Assign(ctx context.Context, p *Partition) error
	// Unit processes the records of one key, or a virtual message. What it emits and the rows it touches are committed together with the
	// unit's offsets, or not at all; then it may be called again with the same records.
	Unit(p *Partition, u *Unit)
	// Seal is called inside the barrier, before the partition's rows are encoded.
	Seal(p *Partition)
	// Claimed says from which offset an input is read (negative: from the oldest record).
	Claimed(p *Partition, input int, initial int64)
	// Committed is called after a transaction: everything up to the given barrier is committed, and the positions (-1: nothing read yet)
	// and greatest record times of the inputs with it. A barrier that found nothing to commit calls it too.
	Committed(p *Partition, barrier uint64, next, newest []int64)
	// Revoke is called when the session has ended.
	Revoke(p *Partition)
}

// Spec says what group to run.
type Spec struct {
	Name     string   // consumer group, with prefix
	Inputs   []string // topics that exist; the partitions of all of them are assigned together
	Virtual  []string // topics that do not
	Table    string   // changelog topic, "" for a group without a table
	TableID  state.Table
	Schema   func() state.Schema // one for each partition
	Outputs  []string
	Instance string
	TxnID    string // transactional.id
	Fence    string // prefix of the transactional ids of the group's instances
	Peer     string // address that the instance announces to the others of the group, "" for none
	Begin    func() // called when a session begins, before anything is restored; nil for none

	BatchBytes int32 // largest batch that is written, 0: what fits a table
}

// Gateway runs one group of this instance.
type Gateway struct {
	cfg     Config
	spec    Spec
	cluster access.Cluster
	db      *state.DB
	logs    *tail.Logs
	group   Group
	off     rules
	m       *metrics.Metrics
	logger  log.Logger

	run     context.Context // of Run: over once the instance is to stop
	client  atomic.Pointer[kgo.Client]
	failed  atomic.Bool // the client must be replaced before the next session
	current atomic.Pointer[session]
	life    life
	ids     map[string][16]byte
	counts  map[string]int32 // partitions of the inputs
}

// New returns a gateway; Run runs it.
func New(cfg Config, spec Spec, cluster access.Cluster, db *state.DB, logs *tail.Logs, group Group, m *metrics.Metrics, logger log.Logger) *Gateway {
	if spec.BatchBytes == 0 {
		spec.BatchBytes = topology.RowBytes - 4096
	}
	return &Gateway{
		cfg: cfg, spec: spec, cluster: cluster, db: db, logs: logs, group: group, m: m, logger: log.With(logger, "group", spec.Name), run: context.Background(),
	}
}

const groupEnded = "group ended, starting it again"

// Run keeps a goka processor running until ctx ends: goka's are one-shot, so after one has failed a new one is built.
func (g *Gateway) Run(ctx context.Context) error {
	defer g.closeClient()
	g.run = ctx
	g.m.StartGroup(g.spec.Name)
	retry := backoff.New(ctx, backoff.Config{MinBackoff: 100 * time.Millisecond, MaxBackoff: 10 * time.Second})
	for ctx.Err() == nil {
		started := time.Now()
		err := g.runOnce(ctx)
		if ctx.Err() != nil {
			g.leave()
			return nil
		}
		g.life.ended(err)
		_ = level.Warn(g.logger).Log("msg", groupEnded, "err", err)
		if g.off.oneShot {
			return err
		}
		if time.Since(started) > time.Minute {
			retry.Reset()
		}
		retry.Wait()
	}
	return nil
}

func (g *Gateway) runOnce(ctx context.Context) error {
	processor, err := goka.NewProcessor(g.cluster.Addrs, g.graph(),
		goka.WithClientID(g.spec.Instance),
		goka.WithLogger(gokaLogger{g.logger}),
		goka.WithNilHandling(goka.NilProcess),
		goka.WithPartitionChannelSize(512),
		goka.WithStorageBuilder(g.storage),
		goka.WithTopicManagerBuilder(g.topicManager),
		goka.WithConsumerGroupBuilder(g.consumerGroup),
		goka.WithConsumerSaramaBuilder(g.logs.ConsumerBuilder()),
		goka.WithProducerBuilder(func([]string, string, func() hash.Hash32) (goka.Producer, error) { return producer{}, nil }),
	)
	if err != nil {
		return fmt.Errorf("build group %s: %w", g.spec.Name, err)
	}
	return processor.Run(ctx)
}

func (g *Gateway) graph() *goka.GroupGraph {
	var edges []goka.Edge
	for _, t := range append(append([]string(nil), g.spec.Inputs...), g.spec.Virtual...) {
		edges = append(edges, goka.Input(goka.Stream(t), tokenCodec{}, g.callback))
	}
	for _, t := range g.spec.Outputs {
		edges = append(edges, goka.Output(goka.Stream(t), tokenCodec{}))
	}
	if g.spec.Table != "" {
		edges = append(edges, goka.Persist(tokenCodec{}))
	}
	return goka.DefineGroup(goka.Group(g.spec.Name), edges...)
}

// callback is every input's: it takes the unit that the token stands for.
func (g *Gateway) callback(ctx goka.Context, _ any) {
	p := g.current.Load().parts[ctx.Partition()]
	u := <-p.units
	u.Key = ctx.Key()
	if !p.begin(u) {
		return
	}
	g.group.Unit(p, u)
	await.Point(await.Callback)
}

// tokenCodec never fails: what goka carries is a token.
type tokenCodec struct{}

func (tokenCodec) Encode(any) ([]byte, error) { return token, nil }
func (tokenCodec) Decode([]byte) (any, error) { return nil, nil }

// producer is goka's: nothing goes through it, outputs and rows are the partition's.
type producer struct{}

var errProducer = errors.New("outputs and rows go through the unit's partition, not through goka's context")

func (producer) Emit(string, string, []byte) *goka.Promise {
	promise, finish := goka.NewPromiseWithFinisher()
	finish(nil, errProducer)
	return promise
}
func (p producer) EmitWithHeaders(topic, key string, value []byte, _ goka.Headers) *goka.Promise {
	return p.Emit(topic, key, value)
}
func (producer) Close() error { return nil }

func (g *Gateway) storage(_ string, partition int32) (storage.Storage, error) {
	p := g.current.Load().parts[partition]
	rows := g.db.NewPartition(g.spec.TableID, partition, g.spec.Schema(), g.cfg.CachedRows/max(1, len(g.current.Load().parts)))
	p.Rows = rows
	rows.OnDerived(func(n int) { p.left.Add(-int64(n)) })
	return &restoring{Partition: rows, remaining: g.m.RestoreRemaining.WithLabelValues(metrics.Partition(g.spec.Name, partition)), end: &p.end, left: &p.left}, nil
}

// restoring is a partition's storage as goka sees it: it says how much of the changelog is still to be read.
type restoring struct {
	*state.Partition
	remaining prometheus.Gauge
	end       *atomic.Int64 // offset after the last record to be read
	left      *atomic.Int64 // records still to be read, about
	read      int

	mu     sync.Mutex // goka marks a restore that is given up from another goroutine, while it closes the storage
	closed bool
}

// SetOffset is called after each record of a restore.
func (r *restoring) SetOffset(offset int64) error {
	await.Point(await.Restore)
	if r.read++; r.read%1000 == 1 {
		left := max(0, r.end.Load()-1-offset)
		r.left.Store(left)
		r.remaining.Set(float64(left))
	}
	return r.Partition.SetOffset(offset)
}

// MarkRecovered ends the restore.
func (r *restoring) MarkRecovered() error {
	r.left.Store(0)
	r.remaining.Set(0)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errGivenUp
	}
	return r.Partition.MarkRecovered()
}

var errGivenUp = errors.New("the restore was given up")

// Close waits for the end of a restore that is being written.
func (r *restoring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.Partition.Close()
}

// ends notes how far each partition of the table has to be restored.
type ends struct {
	goka.TopicManager
	inner   goka.TopicManager
	virtual map[string]int32
	g       *Gateway
}

// GetOffset is asked for the end of a changelog before it is read.
func (e ends) GetOffset(topic string, partition int32, at int64) (int64, error) {
	if e.g.off.highWater {
		return e.inner.GetOffset(topic, partition, at)
	}
	s := e.g.current.Load()
	manager := e.TopicManager
	if s != nil { // who waits for a transaction to end waits no longer than the session does
		manager = e.g.fencing().Until(s.Context()).TopicManager(e.inner, e.virtual)
	}
	offset, err := manager.GetOffset(topic, partition, at)
	if err == nil && at == sarama.OffsetNewest && topic == e.g.spec.Table && s != nil && s.parts[partition] != nil {
		s.parts[partition].end.Store(offset)
	}
	return offset, err
}

func (g *Gateway) topicManager(brokers []string) (goka.TopicManager, error) {
	cfg, err := g.cfg.Sarama(g.cluster, "")
	if err != nil {
		return nil, err
	}
	tmc := goka.NewTopicManagerConfig()
	tmc.MismatchBehavior = goka.TMConfigMismatchBehaviorIgnore // package topology has compared every topic with the graph
	inner, err := goka.NewTopicManager(brokers, cfg, tmc)
	if err != nil {
		return nil, fmt.Errorf("topic manager: %w", err)
	}
	parts, err := inner.Partitions(g.spec.Inputs[0])
	if err != nil {
		return nil, errors.Join(fmt.Errorf("partitions of %s: %w", g.spec.Inputs[0], err), inner.Close())
	}
	virtual := map[string]int32{}
	for _, t := range g.spec.Virtual {
		virtual[t] = int32(len(parts))
	}
	return ends{g.fencing().TopicManager(inner, virtual), inner, virtual, g}, nil
}

// fencing reads the ends of logs and ends what dead members have left open there.
func (g *Gateway) fencing() *tail.Logs {
	return g.logs.Fencing(tail.Fence{May: g.dead, Grace: 2 * time.Second})
}

// dead says whether a transactional id belongs to an instance of the group that has left it: what it has left open on a changelog must
// not hold up the restore.
func (g *Gateway) dead(id string) bool {
	if !strings.HasPrefix(id, g.spec.Fence) || g.off.unreaped {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	members, err := g.members(ctx)
	return err == nil && !g.alive(id, members)
}

// Partition returns an assigned partition of the session that runs, nil if this instance does not have it.
func (g *Gateway) Partition(id int32) *Partition {
	if s := g.current.Load(); s != nil && s.up.Load() {
		return s.parts[id]
	}
	return nil
}

// Partitions returns the ids of the partitions this instance runs now.
func (g *Gateway) Partitions() []int32 {
	s := g.current.Load()
	if s == nil || !s.up.Load() {
		return nil
	}
	ids := make([]int32, 0, len(s.parts))
	for id := range s.parts {
		ids = append(ids, id)
	}
	return ids
}

// Running says whether a session has been set up: its partitions are restored and being processed.
func (g *Gateway) Running() bool {
	s := g.current.Load()
	return s != nil && s.up.Load()
}

// ---- sarama.ConsumerGroup

func (g *Gateway) consumerGroup(brokers []string, name, client string) (sarama.ConsumerGroup, error) {
	cfg, err := g.cfg.Sarama(g.cluster, g.spec.Instance)
	if err != nil {
		return nil, err
	}
	cfg.ClientID = client
	cfg.Consumer.Group.Member.UserData = []byte(g.spec.Peer)
	if g.off.consumer != nil {
		g.off.consumer(cfg)
	}
	cg, err := sarama.NewConsumerGroup(brokers, name, cfg)
	if err != nil {
		return nil, fmt.Errorf("join group %s: %w", name, err)
	}
	return &consumerGroup{ConsumerGroup: cg, g: g}, nil
}

type consumerGroup struct {
	sarama.ConsumerGroup
	g *Gateway
}

// Consume does not return to goka while ctx lives, for goka then sleeps for five seconds: a rebalance, an abort or a fence is a new
// session, at whose start goka restores its partitions.
func (c *consumerGroup) Consume(ctx context.Context, _ []string, h sarama.ConsumerGroupHandler) error {
	retry := backoff.New(ctx, backoff.Config{MinBackoff: 50 * time.Millisecond, MaxBackoff: 5 * time.Second})
	for ctx.Err() == nil {
		began := time.Now()
		err := c.session(ctx, h)
		if errors.Is(err, sarama.ErrClosedConsumerGroup) {
			return err
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			c.g.life.ended(err)
			_ = level.Warn(c.g.logger).Log("msg", "session ended", "err", err)
		}
		if c.g.off.leaving {
			return err
		}
		if err == nil || time.Since(began) > 30*time.Second {
			retry.Reset()
		}
		if err != nil {
			retry.Wait()
		}
	}
	return nil
}

func (c *consumerGroup) session(ctx context.Context, h sarama.ConsumerGroupHandler) error {
	g := c.g
	if err := g.ready(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hd := &handler{g: g, inner: h, cg: c.ConsumerGroup, end: cancel, awaited: make(chan struct{})}
	var reaper sync.WaitGroup
	reaper.Go(func() { g.reap(ctx, hd.awaited) })
	err := c.ConsumerGroup.Consume(ctx, g.spec.Inputs, hd)
	cause := context.Cause(ctx)
	cancel(nil)
	reaper.Wait()
	if err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// reap ends open transactions of members that have left the group, while a session is awaited: sarama fetches offsets before Setup, and
// they are not stable as long as such a transaction is open.
func (g *Gateway) reap(ctx context.Context, awaited <-chan struct{}) {
	if g.off.unreaped {
		return
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		members, err := g.members(ctx)
		if err == nil {
			var fenced int
			fenced, err = g.logs.Reap(ctx, g.spec.Fence, func(id string) bool { return g.alive(id, members) }, 2*time.Second)
			g.m.Fences.WithLabelValues(g.spec.Name).Add(float64(fenced))
		}
		if err != nil && ctx.Err() == nil {
			_ = level.Warn(g.logger).Log("msg", "looking for transactions of instances that have left", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-awaited:
			return
		case <-tick.C:
		}
	}
}

type gokaLogger struct{ log.Logger }

func (l gokaLogger) Print(args ...any)   { _ = level.Debug(l).Log("msg", fmt.Sprint(args...)) }
func (l gokaLogger) Println(args ...any) { l.Print(args...) }
func (l gokaLogger) Printf(format string, args ...any) {
	_ = level.Debug(l).Log("msg", fmt.Sprintf(format, args...))
}
