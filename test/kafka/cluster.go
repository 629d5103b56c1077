//go:build unix

package kafka

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options say what cluster is wanted.
type Options struct {
	Brokers    int               // 1 (also where 0) or 3; each is a controller, too
	Dir        string            // of data and logs; required
	Port       int               // of the first broker, the others follow; 0 takes free ones
	Heap       string            // of each broker, such as 512m (also where empty)
	Properties map[string]string // server properties, over the defaults
	SASL       *SASL             // nil: clients are not asked who they are; one broker
	Warm       bool              // fast once warm, for measurements, rather than soon there
	Outlive    bool              // the brokers go on when this process ends
}

// Cluster is a Kafka cluster whose brokers are processes of this machine.
type Cluster struct {
	opts    Options
	brokers []*broker
	id      string
	ca      *authority // of a cluster with SASL
}

// sizes of a cluster.
const few, many = 1, 3

// Launch starts a cluster and returns when all its brokers answer. What is missing to run one is an ErrMissing.
func Launch(ctx context.Context, o Options) (*Cluster, error) {
	if o.Brokers == 0 {
		o.Brokers = few
	}
	if o.Brokers != few && o.Brokers != many {
		return nil, fmt.Errorf("a cluster of %d brokers: must be %d or %d", o.Brokers, few, many)
	}
	exe, libs, err := Installed(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("directory of the cluster: %w", err)
	}
	o.Dir = dir
	c := &Cluster{opts: o, id: clusterID()}
	if err := c.lay(exe, libs); err != nil {
		return nil, err
	}
	if err := c.boot(ctx); err != nil {
		return nil, errors.Join(err, c.Kill())
	}
	return c, nil
}

// lay writes the brokers' directories.
func (c *Cluster) lay(exe, libs string) error {
	clients, err := pick(c.opts.Port, c.opts.Brokers)
	if err != nil {
		return err
	}
	controllers, err := pick(0, c.opts.Brokers)
	if err != nil {
		return err
	}
	var voters []string
	for i, port := range controllers {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, port))
	}
	for i := range c.opts.Brokers {
		b := &broker{
			node: i + 1, dir: filepath.Join(c.opts.Dir, "broker-"+strconv.Itoa(i+1)), addr: "127.0.0.1:" + strconv.Itoa(clients[i]),
			java: exe, libs: libs, heap: c.opts.Heap, warm: c.opts.Warm, outlive: c.opts.Outlive, audit: c.opts.SASL != nil,
		}
		if b.heap == "" {
			b.heap = "512m"
		}
		if err := os.MkdirAll(b.dir, 0o755); err != nil {
			return fmt.Errorf("directory of broker %d: %w", b.node, err)
		}
		if err := os.WriteFile(filepath.Join(b.dir, "log4j2.yaml"), log4j, 0o644); err != nil {
			return fmt.Errorf("logging of broker %d: %w", b.node, err)
		}
		if c.opts.SASL != nil {
			if err := c.secure(b); err != nil {
				return err
			}
		}
		if err := os.WriteFile(b.properties(), c.properties(b, strings.Join(voters, ","), controllers[i]), 0o644); err != nil {
			return fmt.Errorf("properties of broker %d: %w", b.node, err)
		}
		c.brokers = append(c.brokers, b)
	}
	return nil
}

// properties are a broker's, sorted.
func (c *Cluster) properties(b *broker, voters string, controller int) []byte {
	replicas, inSync := 1, 1
	if c.opts.Brokers == many {
		replicas, inSync = 3, 2
	}
	p := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(b.node),
		"controller.quorum.voters":       voters,
		"controller.listener.names":      "CONTROLLER",
		"listener.security.protocol.map": "CLIENT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"inter.broker.listener.name":     "CLIENT",
		"listeners":                      fmt.Sprintf("CLIENT://%s,CONTROLLER://127.0.0.1:%d", b.addr, controller),
		"advertised.listeners":           "CLIENT://" + b.addr,
		"log.dirs":                       filepath.Join(b.dir, "logs"),
		"num.partitions":                 "8",
		"auto.create.topics.enable":      "false",
		"default.replication.factor":     strconv.Itoa(replicas),
		"min.insync.replicas":            strconv.Itoa(inSync),
		"offsets.topic.num.partitions":   "4",
		"num.network.threads":            "2",
		"num.io.threads":                 "2",
		"log.retention.ms":               "-1",
		"log.segment.bytes":              "268435456",
		// A broker that is killed loses what it leads after three seconds, not nine.
		"broker.session.timeout.ms":    "3000",
		"broker.heartbeat.interval.ms": "500",
		"replica.lag.time.max.ms":      "5000",
		// Members may ask for short sessions.
		"group.min.session.timeout.ms": "1000",
		// The default waits three seconds at every first join.
		"group.initial.rebalance.delay.ms":         "0",
		"offsets.topic.replication.factor":         strconv.Itoa(replicas),
		"transaction.state.log.num.partitions":     "4",
		"transaction.state.log.replication.factor": strconv.Itoa(replicas),
		// With more than there are brokers transactions hang.
		"transaction.state.log.min.isr":                    strconv.Itoa(inSync),
		"share.coordinator.state.topic.min.isr":            strconv.Itoa(inSync),
		"share.coordinator.state.topic.replication.factor": strconv.Itoa(replicas),
	}
	if s := c.opts.SASL; s != nil {
		s.properties(p, b)
	}
	maps.Copy(p, c.opts.Properties)
	var text strings.Builder
	for _, k := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&text, "%s=%s\n", k, p[k])
	}
	return []byte(text.String())
}

// boot formats what is new, starts all brokers and waits for them.
func (c *Cluster) boot(ctx context.Context) error {
	for _, b := range c.brokers {
		if err := b.format(ctx, c.id, c.opts.SASL); err != nil {
			return err
		}
	}
	for _, b := range c.brokers {
		if err := b.start(); err != nil {
			return err
		}
	}
	return c.Await(ctx)
}

// startPatience is how long brokers may take to answer. Machines that test are slow.
const startPatience = 5 * time.Minute

// Await waits until every broker that has been started answers.
func (c *Cluster) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	running := 0
	for _, b := range c.brokers {
		if b.running() {
			running++
			if err := b.await(ctx); err != nil {
				return err
			}
		}
	}
	if c.opts.SASL != nil {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...))
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer client.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		seen, err := kadm.NewClient(client).ListBrokers(ctx)
		if err == nil && len(seen) >= running {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d brokers were started, the cluster knows %d: %w", running, len(seen), errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
}

// Addrs are where the brokers listen, those that do not run included.
func (c *Cluster) Addrs() []string {
	all := make([]string, len(c.brokers))
	for i, b := range c.brokers {
		all[i] = b.addr
	}
	return all
}

// Brokers are the addresses as -kafka.brokers takes them.
func (c *Cluster) Brokers() string { return strings.Join(c.Addrs(), ",") }

// Size returns how many brokers there are.
func (c *Cluster) Size() int { return len(c.brokers) }

// Stop ends the brokers as an operator would, all at once. The data stay.
func (c *Cluster) Stop() error {
	errs := make(chan error)
	for _, b := range c.brokers {
		go func() { errs <- b.stop() }()
	}
	var all error
	for range c.brokers {
		all = errors.Join(all, <-errs)
	}
	return all
}

// Kill ends the brokers at once, without a chance to write anything.
func (c *Cluster) Kill() error {
	var all error
	for _, b := range c.brokers {
		all = errors.Join(all, b.kill())
	}
	return all
}

// StopBroker ends broker n (from 0) as an operator would.
func (c *Cluster) StopBroker(n int) error { return c.brokers[n].stop() }

// KillBroker ends broker n with SIGKILL.
func (c *Cluster) KillBroker(n int) error { return c.brokers[n].kill() }

// PauseBroker freezes broker n: its connections stay, and nobody answers.
func (c *Cluster) PauseBroker(n int) error { return c.brokers[n].pause() }

// ResumeBroker wakes a frozen broker.
func (c *Cluster) ResumeBroker(n int) error { return c.brokers[n].resume() }

// StartBroker starts broker n again, at the same address and with the same data, and waits until it answers.
func (c *Cluster) StartBroker(ctx context.Context, n int) error {
	if err := c.brokers[n].start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	return c.brokers[n].await(ctx)
}

// RestartBroker stops broker n and starts it again.
func (c *Cluster) RestartBroker(ctx context.Context, n int) error {
	if err := c.StopBroker(n); err != nil {
		return err
	}
	return c.StartBroker(ctx, n)
}

// clusterID is a random one, in the form that Kafka wants.
func clusterID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[0] &= 0x7f // a leading - is taken for an option
	return base64.RawURLEncoding.EncodeToString(b[:])
}
