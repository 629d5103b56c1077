package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/internal/await"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Broker is a Kafka broker in this process. It is a service: it has an address from when it runs, and keeps its records by stopping.
type Broker struct {
	services.Service

	cfg     Config
	logger  log.Logger
	dir     *directory
	journal *journal
	cluster *kfake.Cluster
	addr    string
	unclean bool
	failed  atomic.Bool // the broker has logged an error since the last look
}

// New returns a broker that starts with its service.
func New(cfg Config, logger log.Logger) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b := &Broker{cfg: cfg, logger: log.With(logger, "component", "embedded broker")}
	b.Service = services.NewBasicService(b.start, b.run, b.stop)
	return b, nil
}

// Addr is the host and port that clients connect to. It is empty before the broker runs.
func (b *Broker) Addr() string { return b.addr }

// Unclean says whether the broker that ran on this directory before did not stop in order. It is false before the broker runs.
func (b *Broker) Unclean() bool { return b.unclean }

func (b *Broker) start(context.Context) (err error) {
	var listener *gated
	defer func() {
		if err == nil {
			return
		}
		err = errors.Join(err, b.release())
		if listener != nil {
			err = errors.Join(err, listener.Close())
		}
	}()
	if b.cfg.Dir != "" { // first of all: a second broker is told of the directory, not of the port
		if b.dir, err = openDirectory(b.cfg.Dir); err != nil {
			return err
		}
	}
	if listener, err = b.listen(); err != nil {
		return err
	}
	if b.dir != nil {
		if err := b.prepare(); err != nil {
			return err
		}
	}
	await.Point(await.EmbeddedStart)
	if b.cluster, err = kfake.NewCluster(b.options(listener)...); err != nil {
		return fmt.Errorf("start the embedded broker: %w", err)
	}
	if b.journal != nil {
		b.cluster.ControlKey(int16(kmsg.EndTxn), b.beforeEndTxn)
	}
	b.addr = listener.Addr().String()
	await.Point(await.EmbeddedStart)
	listener.open()
	level.Info(b.logger).Log("msg", "embedded broker listens", "address", b.addr, "dir", b.cfg.Dir)
	return nil
}

func (b *Broker) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (b *Broker) stop(error) error {
	b.failed.Store(false)
	b.cluster.Close()
	if b.dir == nil {
		return nil
	}
	if b.failed.Load() {
		return errors.Join(fmt.Errorf("the embedded broker could not save everything in %s (see the log): the next start repairs it", b.cfg.Dir), b.release())
	}
	return errors.Join(b.dir.setCleanMark(), b.release())
}

// release gives back what start has taken.
func (b *Broker) release() error {
	var errs []error
	if b.journal != nil {
		errs = append(errs, b.journal.close())
	}
	if b.dir != nil {
		errs = append(errs, b.dir.close())
	}
	return errors.Join(errs...)
}

// beforeEndTxn notes a commit before the broker begins it.
func (b *Broker) beforeEndTxn(req kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the signature is kfake's
	end, ok := req.(*kmsg.EndTxnRequest)
	if !ok || !end.Commit {
		return nil, nil, false
	}
	if err := b.journal.begin(end); err != nil {
		level.Error(b.logger).Log("msg", "commit refused", "transactional_id", end.TransactionalID, "err", err)
		b.cluster.KeepControl()
		return nil, err, true // the connection is closed, and the client tries again
	}
	return nil, nil, false
}

// prepare does what has to be done before the broker reads the directory.
func (b *Broker) prepare() error {
	dir := b.dir
	back, err := dir.putBack()
	if err != nil {
		return err
	}
	if back {
		level.Warn(b.logger).Log("msg", "the last start was interrupted at its upkeep: the log was put back as it was before", "dir", b.cfg.Dir)
	}
	clean, err := dir.takeCleanMark()
	if err != nil {
		return err
	}
	exists, err := dir.exists()
	if err != nil {
		return fmt.Errorf("look into the embedded broker's directory: %w", err)
	}
	if exists {
		b.unclean = !clean
		if err := b.keep(time.Now()); err != nil {
			return fmt.Errorf("upkeep of %s: %w", b.cfg.Dir, err)
		}
	}
	b.journal, err = openJournal(dir, b.cfg.SyncWrites)
	return err
}

// keep repairs, compacts and trims the log, as far as there is need.
func (b *Broker) keep(now time.Time) error {
	u := &upkeep{log: b.dir.at(logDir), now: now}
	if err := u.keepOffsets(); err != nil {
		return err
	}
	left, err := openAtStop(u.log)
	if err != nil {
		return err
	}
	compact, expire, topics, err := u.due()
	if err != nil {
		return err
	}
	repair := b.unclean || left
	if !repair && len(compact) == 0 && len(expire) == 0 {
		return nil
	}
	await.Point(await.EmbeddedStart)
	if err := b.dir.saveBefore(); err != nil {
		return err
	}
	await.Point(await.EmbeddedStart)
	if repair {
		if err := b.repair(u); err != nil {
			return err
		}
		await.Point(await.EmbeddedStart)
		if compact, expire, topics, err = u.due(); err != nil {
			return err
		}
	}
	for i := range compact {
		p := &compact[i]
		if err := u.compact(p, tombstonesOf(topics[p.topic])); err != nil {
			return fmt.Errorf("compact partition %d of %s: %w", p.number, p.topic, err)
		}
	}
	for i := range expire {
		p := &expire[i]
		if retention, ok := retentionOf(topics[p.topic]); ok {
			if err := u.expire(p, retention); err != nil {
				return fmt.Errorf("drop old segments of partition %d of %s: %w", p.number, p.topic, err)
			}
		}
	}
	await.Point(await.EmbeddedStart)
	if err := u.saveSizes(); err != nil {
		return err
	}
	await.Point(await.EmbeddedStart)
	if err := b.dir.discardBefore(); err != nil {
		return err
	}
	d := u.did
	level.Info(b.logger).Log("msg", "upkeep of the log done", "unclean", b.unclean, "torn", d.torn, "commits_undone", d.undone, "transactions_aborted", d.aborted,
		"partitions_compacted", d.compacted, "segments_expired", d.expired, "bytes_freed", d.freed, "took", time.Since(now))
	return nil
}

func (b *Broker) repair(u *upkeep) error {
	intent, found, err := cutShort(b.dir)
	if err != nil {
		return err
	}
	if found && b.unclean {
		u.undo = intent.wrote
		if err := intent.undoOffsets(u.log); err != nil {
			return err
		}
	}
	return u.repair()
}

// openAtStop says whether transactions were open when the broker stopped in order, and removes what it has kept of sessions. The
// members of groups are processes that are gone, as a rule this one: a group that remembers them waits for them.
func openAtStop(log string) (bool, error) {
	path := filepath.Join(log, "session_state.json")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var state struct {
		Open []json.RawMessage `json:"inProgressTxns"`
	}
	if err := json.Unmarshal(raw, &state); err != nil {
		return true, removeIfThere(path)
	}
	return len(state.Open) > 0, removeIfThere(path)
}

func tombstonesOf(t topicFile) time.Duration {
	if ms, err := strconv.ParseInt(t.Configs["delete.retention.ms"], 10, 64); err == nil && ms >= 0 && ms <= int64(maxRetention/time.Millisecond) {
		return time.Duration(ms) * time.Millisecond
	}
	return 24 * time.Hour
}

func (b *Broker) options(l *gated) []kfake.Opt {
	const never = "3153600000000" // a hundred years in milliseconds
	o := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("freshet-embedded"),
		kfake.WithLogger(&brokerLog{b}),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return l, nil }),
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.BrokerConfigs(map[string]string{
			"log.cleaner.backoff.ms":    never, // compacting stops the world and is not safe against a kill: done at start, see upkeep
			"log.retention.ms":          "-1",  // kfake applies the retention of the broker to compacted topics too
			"log.segment.bytes":         strconv.Itoa(segmentBytes),
			"offsets.retention.minutes": "52560000", // a group that has been away for a week finds its place again
			"message.max.bytes":         strconv.Itoa(b.cfg.MaxMessageBytes),
		}),
	}
	if b.dir != nil {
		o = append(o, kfake.DataDir(b.dir.at(logDir)))
	}
	if b.cfg.SyncWrites {
		o = append(o, kfake.SyncWrites())
	}
	return o
}

func (b *Broker) listen() (*gated, error) {
	l, err := net.Listen("tcp", b.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("-embedded.listen %s: %w", b.cfg.Listen, err)
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("-embedded.listen %s: %w", b.cfg.Listen, err), l.Close())
	}
	return &gated{Listener: l, addr: address(net.JoinHostPort(b.cfg.advertised(host), port)), gate: make(chan struct{}), closed: make(chan struct{})}, nil
}

// gated is a listener that hands out connections from when it is opened, and whose address is the one to advertise: kfake tells its
// clients the address of its listener.
type gated struct {
	net.Listener
	addr         address
	gate, closed chan struct{}
	done         atomic.Bool
}

func (g *gated) open() { close(g.gate) }

func (g *gated) Accept() (net.Conn, error) {
	select {
	case <-g.gate:
		return g.Listener.Accept()
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

func (g *gated) Close() error {
	if g.done.Swap(true) {
		return nil
	}
	close(g.closed)
	return g.Listener.Close()
}

func (g *gated) Addr() net.Addr { return g.addr }

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

// brokerLog passes on what kfake logs, from warnings up.
type brokerLog struct{ b *Broker }

func (l *brokerLog) Logf(at kfake.LogLevel, format string, args ...any) {
	if at == kfake.LogLevelError {
		l.b.failed.Store(true)
		level.Error(l.b.logger).Log("msg", "embedded broker", "detail", fmt.Sprintf(strings.TrimSpace(format), args...))
	} else if at == kfake.LogLevelWarn {
		level.Warn(l.b.logger).Log("msg", "embedded broker", "detail", fmt.Sprintf(strings.TrimSpace(format), args...))
	}
}
