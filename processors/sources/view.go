package sources

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/await"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/state"
	"github.com/freshet-io/freshet/topology"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/grafana/dskit/backoff"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
)

// View is what this instance knows of all sources: the whole sources table, decoded, in memory. Readers see items as immutable values.
// It implements freshness.Sources.
type View struct {
	table      string
	partitions int32
	pace       time.Duration // of the patrol
	interner   *freshness.Interner
	internMu   sync.Mutex
	logger     log.Logger

	shards [64]shard
	clocks []clockCell

	mu      sync.Mutex
	kinds   map[string]*kindLife
	applied event.Time // least applied_through of all partitions, as far as known
	seen    seen

	listeners listeners[Change]
	clocked   listeners[reading]
}

type shard struct {
	mu    sync.RWMutex
	items map[itemKey]*entry
}

type itemKey struct{ kind, key string }

type entry struct {
	item      atomic.Pointer[freshness.Item]
	partition atomic.Int32
	offset    atomic.Int64 // of its last record in its partition
}

// at notes where the item's last record lies.
func (e *entry) at(partition int32, offset int64) {
	e.partition.Store(partition)
	e.offset.Store(offset)
}

// clockCell is what is known of a partition of the table.
type clockCell struct {
	applied  atomic.Int64
	complete atomic.Int64
	live     atomic.Bool
	offset   atomic.Int64 // of the last record read, -1: none
}

const (
	beginning = event.Time(-1 << 62)
	never     = event.Time(1<<63 - 1) // no use is that late
)

// NewView returns an empty view of a sources table with so many partitions.
func NewView(table string, partitions int32, logger log.Logger) *View {
	v := &View{table: table, partitions: partitions, pace: patrolPace, interner: freshness.NewInterner(1 << 16), logger: logger, clocks: make([]clockCell, partitions), kinds: map[string]*kindLife{}, applied: beginning}
	for i := range v.shards {
		v.shards[i].items = map[itemKey]*entry{}
	}
	for i := range v.clocks {
		v.clocks[i].offset.Store(-1)
		v.clocks[i].applied.Store(int64(beginning))
		v.clocks[i].complete.Store(int64(beginning))
	}
	return v
}

// Partitions returns the number of source partitions.
func (v *View) Partitions() int32 { return v.partitions }

// intern returns one copy of a name; partitions are read side by side.
func (v *View) intern(s string) string {
	v.internMu.Lock()
	defer v.internMu.Unlock()
	return v.interner.Intern(s)
}

func (v *View) shard(kind, key string) *shard {
	h := uint32(2166136261)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	return &v.shards[(h^uint32(len(kind)))%uint32(len(v.shards))]
}

func (v *View) lookup(kind, key string) *entry {
	s := v.shard(kind, key)
	s.mu.RLock()
	e := s.items[itemKey{kind, key}]
	s.mu.RUnlock()
	return e
}

// Item returns what is known of an item, nil if nothing is.
func (v *View) Item(kind, key string) *freshness.Item {
	if e := v.lookup(kind, key); e != nil {
		return e.item.Load()
	}
	return nil
}

// Clock returns through when a source partition is applied (valid if live) and complete.
func (v *View) Clock(partition int32) (applied, complete event.Time, live bool) {
	c := &v.clocks[partition]
	return event.Time(c.applied.Load()), event.Time(c.complete.Load()), c.live.Load()
}

// Complete returns the least complete_through of all source partitions.
func (v *View) Complete() event.Time {
	least := event.Time(1<<63 - 1)
	for i := range v.clocks {
		least = min(least, event.Time(v.clocks[i].complete.Load()))
	}
	return least
}

// Offsets returns the offset of the last record read of each partition of the table.
func (v *View) Offsets() []int64 {
	o := make([]int64, len(v.clocks))
	for i := range v.clocks {
		o[i] = v.clocks[i].offset.Load()
	}
	return o
}

// Items returns the number of items known.
func (v *View) Items() int {
	n := 0
	for i := range v.shards {
		v.shards[i].mu.RLock()
		n += len(v.shards[i].items)
		v.shards[i].mu.RUnlock()
	}
	return n
}

// EachOf calls f for the key of every item of a kind, until it returns false.
func (v *View) EachOf(kind string, f func(key string) bool) {
	for i := range v.shards {
		s := &v.shards[i]
		s.mu.RLock()
		var keys []string
		for k := range s.items {
			if k.kind == kind {
				keys = append(keys, k.key)
			}
		}
		s.mu.RUnlock()
		for _, key := range keys {
			if !f(key) {
				return
			}
		}
	}
}

// ChangedSince calls f for every item whose last record lies behind the given offset of its partition.
func (v *View) ChangedSince(offsets []int64, place func(kind, key string) int32, f func(kind, key string)) {
	for i := range v.shards {
		s := &v.shards[i]
		s.mu.RLock()
		for k, e := range s.items {
			q := place(k.kind, k.key)
			if int(q) >= len(offsets) || e.offset.Load() > offsets[q] {
				f(k.kind, k.key)
			}
		}
		s.mu.RUnlock()
	}
}

// ---- reading the table

// Run reads the table until ctx ends. A goka View ends when a partition cannot be read on, for its log was cut below it: then it is built again. Brokers
// that are gone do not end it.
func (v *View) Run(ctx context.Context, brokers []string, cfg *sarama.Config, logs *tail.Logs) error {
	retry := backoff.New(ctx, backoff.Config{MinBackoff: 100 * time.Millisecond, MaxBackoff: 2 * time.Second}) // whoever owns workflows waits for the view
	for ctx.Err() == nil {
		err := v.read(ctx, brokers, cfg, logs)
		if ctx.Err() != nil {
			return nil
		}
		_ = level.Warn(v.logger).Log("msg", "view of the sources ended, reading on", "err", err)
		retry.Wait()
	}
	return nil
}

func (v *View) read(ctx context.Context, brokers []string, cfg *sarama.Config, logs *tail.Logs) error {
	view, err := goka.NewView(brokers, goka.Table(v.table), tableCodec{},
		goka.WithViewLogger(quiet{v.logger}),
		goka.WithViewConsumerSaramaBuilder(logs.ConsumerBuilder()),
		goka.WithViewTopicManagerBuilder(func(brokers []string) (goka.TopicManager, error) {
			inner, err := goka.NewTopicManager(brokers, cfg, goka.NewTopicManagerConfig())
			if err != nil {
				return nil, fmt.Errorf("topic manager of the view: %w", err)
			}
			return logs.TopicManager(inner, nil), nil
		}),
		goka.WithViewStorageBuilder(func(_ string, p int32) (storage.Storage, error) { return position{v, p}, nil }),
		goka.WithViewCallback(func(u goka.UpdateContext, _ storage.Storage, key string, value []byte) error {
			v.apply(u.Partition(), u.Offset(), key, value)
			return nil
		}))
	if err != nil {
		return fmt.Errorf("view of %s: %w", v.table, err)
	}
	lost, err := v.lost(ctx, logs)
	if err != nil {
		return err
	}
	reading, stop := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stop(nil)
	// Not view.Recovered: that reads what goka's view forgets as it ends.
	recovered := func() bool { return view.CurrentState() == goka.ViewStateRunning }
	beside.Go(func() { v.patrol(reading, logs, recovered, stop) })
	beside.Go(func() { v.sweepWhen(reading, logs, lost) })
	if err := view.Run(reading); err != nil {
		return err
	}
	return context.Cause(reading)
}

// apply takes one record of the table. A record that cannot be read is said aloud and skipped: it must not stop the instance, and the
// item it was about is then as unknown as what was never published.
func (v *View) apply(partition int32, offset int64, key string, value []byte) {
	changes, err := v.update(partition, offset, key, value)
	if err != nil {
		_ = level.Error(v.logger).Log("msg", "row of the sources table cannot be read", "partition", partition, "offset", offset, "err", err)
	}
	// Who knows how far the view has read has heard of all that it has read there.
	for _, c := range changes {
		v.listeners.tell(c)
	}
	v.clocks[partition].offset.Store(offset)
	await.Point(await.View)
}

func (v *View) update(partition int32, offset int64, key string, value []byte) ([]Change, error) {
	if kind, item, chunk, ok := parseChunkKey(key); ok {
		return v.updateChunk(partition, offset, kind, item, chunk, value)
	}
	if name, of, ok := topology.ControlPartition(key); ok {
		if name != clockRow || value == nil {
			return nil, nil
		}
		c, err := decodeClock(key, value)
		if err != nil {
			return nil, err
		}
		changes := v.tick(of, c)
		v.clocked.tell(reading{of, c.complete})
		return changes, nil
	}
	kind, item, _ := strings.Cut(key, "/")
	switch {
	case item == "" && value == nil:
		return nil, nil
	case item == "":
		life, err := decodeKind(value)
		if err != nil {
			return nil, fmt.Errorf("kind %q: %w", kind, err)
		}
		v.seen.note(kind, beginning, life)
		return v.kindBeat(kind, life), nil
	case value == nil:
		return v.forget(kind, item, offset), nil
	}
	head, err := state.DecodeHead(value)
	if err != nil {
		return nil, fmt.Errorf("item %q: %w", key, err)
	}
	e := v.entry(kind, item)
	old := e.item.Load()
	v.seen.noteHead(kind, &head)
	next := old.WithHead(head)
	e.item.Store(next)
	e.at(partition, offset)
	from, changed := headChange(old.Head(), head)
	cut := cutOf(old, head)
	if changed || cut != nil {
		return []Change{{Kind: kind, Key: item, From: from, Cut: cut}}, nil
	}
	return nil, nil
}

func (v *View) entry(kind, key string) *entry {
	if e := v.lookup(kind, key); e != nil {
		return e
	}
	s := v.shard(kind, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	k := itemKey{v.intern(kind), strings.Clone(key)}
	if e := s.items[k]; e != nil {
		return e
	}
	e := &entry{}
	e.item.Store(freshness.NewItem(k.kind, k.key))
	s.items[k] = e
	return e
}

func (v *View) updateChunk(partition int32, offset int64, kind, key string, chunk uint32, value []byte) ([]Change, error) {
	if value == nil {
		return nil, nil // its versions went with a head that says so
	}
	versions, err := state.DecodeChunk(value, chunk, v.intern)
	if err != nil {
		return nil, fmt.Errorf("item %q: %w", kind+"/"+key, err)
	}
	e := v.entry(kind, key)
	item := e.item.Load()
	from, changed := event.Time(1<<63-1), false
	for _, n := range versions {
		n.Data = "" // the last tie-break is the group's business
		old := item.Version(n.Seq)
		if old != nil && old.Effective == n.Effective && old.Published == n.Published && old.Time == n.Time && old.Name == n.Name && old.Change == n.Change && old.ID == n.ID && old.Source == n.Source {
			continue
		}
		changed = true
		n.ID, n.Digest = strings.Clone(n.ID), strings.Clone(n.Digest) // or a version of a few bytes would keep the whole fetch that it came with
		v.seen.note(kind, n.Time, beginning)
		from = min(from, reach(n))
		if old != nil {
			from = min(from, reach(old))
		}
		item = item.Put(n)
	}
	e.item.Store(item)
	e.at(partition, offset)
	if !changed {
		return nil, nil
	}
	return []Change{{Kind: kind, Key: key, From: from, Versions: true}}, nil
}

// reach is the first instant from which a version can change the judgement of a use.
func reach(n *freshness.Version) event.Time { return min(n.Effective, n.Published, n.Time) }

func (v *View) forget(kind, key string, offset int64) []Change {
	e := v.lookup(kind, key)
	if e == nil {
		return nil
	}
	e.item.Store(freshness.NewItem(kind, key))
	e.offset.Store(offset)
	return []Change{{Kind: kind, Key: key, From: beginning, Versions: true}}
}

// tick takes a clock row. Clocks never go back.
func (v *View) tick(partition int32, c *clockOf) []Change {
	if partition >= v.partitions {
		return nil
	}
	cell := &v.clocks[partition]
	cell.complete.Store(max(cell.complete.Load(), int64(c.complete)))
	if c.live {
		cell.applied.Store(max(cell.applied.Load(), int64(c.applied)))
		cell.live.Store(true)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	least := event.Time(1<<63 - 1)
	for i := range v.clocks {
		least = min(least, event.Time(v.clocks[i].applied.Load()))
	}
	v.applied = max(v.applied, least)
	var changes []Change
	for kind, k := range v.kinds {
		changes = append(changes, v.settle(kind, k)...)
	}
	return changes
}

// reading is what the clock of a source partition shows.
type reading struct {
	partition int32
	complete  event.Time
}

// ListenClocks calls f whenever the clock of a partition has been read, on the goroutine that read it, with through when that is complete, until
// the returned function is called. F must not block.
func (v *View) ListenClocks(f func(partition int32, complete event.Time)) (stop func()) {
	return v.clocked.add(func(r reading) { f(r.partition, r.complete) })
}

// WaitThrough waits until the view has read every partition of the table up to the given ends (offsets after the last record).
func (v *View) WaitThrough(ctx context.Context, ends []int64) error {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		behind := -1
		for q, end := range ends {
			if v.clocks[q].offset.Load() < end-1 {
				behind = q
				break
			}
		}
		if behind < 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the view of %s/%d to reach %d: %w", v.table, behind, ends[behind], ctx.Err())
		case <-poll.C:
		}
	}
}

// ---- listeners

type listeners[T any] struct {
	mu  sync.RWMutex
	all map[int]func(T)
	id  int
}

func (l *listeners[T]) tell(c T) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, f := range l.all {
		f(c)
	}
}

// Listen calls f for every change, on the goroutine that read it, until the returned function is called. F must not block.
func (v *View) Listen(f func(Change)) (stop func()) { return v.listeners.add(f) }

func (l *listeners[T]) add(f func(T)) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[int]func(T){}
	}
	l.id++
	id := l.id
	l.all[id] = f
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.all, id)
	}
}

// ---- what goka needs

// tableCodec is never asked for a value: rows are decoded as they are read.
type tableCodec struct{}

var errNoValues = errors.New("values of the sources table are read from the view's items")

func (tableCodec) Encode(any) ([]byte, error) { return nil, errNoValues }
func (tableCodec) Decode([]byte) (any, error) { return nil, errNoValues }

// position is goka's storage of one partition of the view: it knows where the view stands, and keeps no bytes.
type position struct {
	v *View
	p int32
}

func (s position) Open() error                         { return nil }
func (s position) Close() error                        { return nil }
func (s position) Has(string) (bool, error)            { return false, errNoValues }
func (s position) Get(string) ([]byte, error)          { return nil, errNoValues }
func (s position) Set(string, []byte) error            { return errNoValues }
func (s position) Delete(string) error                 { return errNoValues }
func (s position) SetOffset(int64) error               { return nil }
func (s position) MarkRecovered() error                { return nil }
func (s position) Iterator() (storage.Iterator, error) { return nil, errNoValues }
func (s position) IteratorWithRange(_, _ []byte) (storage.Iterator, error) {
	return nil, errNoValues
}
func (s position) GetOffset(def int64) (int64, error) {
	if o := s.v.clocks[s.p].offset.Load(); o >= 0 {
		return o, nil
	}
	return def, nil
}

type quiet struct{ log.Logger }

func (l quiet) Print(args ...any)   { _ = level.Debug(l).Log("msg", fmt.Sprint(args...)) }
func (l quiet) Println(args ...any) { l.Print(args...) }
func (l quiet) Printf(format string, args ...any) {
	_ = level.Debug(l).Log("msg", fmt.Sprintf(format, args...))
}
