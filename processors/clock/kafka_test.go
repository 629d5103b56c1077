package clock

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/programs"
	"github.com/freshet-io/freshet/processors/tail"
)

const (
	// realBrokers names the environment variable with the brokers (host:port, comma separated) of a real Kafka to run these tests against.
	realBrokers = "FRESHET_TEST_BROKERS"
	patience    = 2 * time.Minute // how long a test waits for what must happen
	interval    = 20 * time.Millisecond
)

var names atomic.Int64

// cluster is Kafka with a topic, and a poller that runs on it.
type cluster struct {
	t      *testing.T
	seeds  []string
	cl     *kgo.Client
	topic  string
	mono   Monotonic
	poller *Poller
	ticked chan struct{}
}

func onKafka(t *testing.T, f func(*cluster)) {
	t.Helper()
	t.Run("fake", func(t *testing.T) {
		fake, err := kfake.NewCluster(kfake.NumBrokers(2))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(fake.Close)
		f(newCluster(t, fake.ListenAddrs()))
	})
	t.Run("kafka", func(t *testing.T) {
		seeds := os.Getenv(realBrokers)
		if seeds == "" {
			t.Skipf("NOT RUN AGAINST A REAL KAFKA: %s is not set (host:port,…)", realBrokers)
		}
		f(newCluster(t, strings.Split(seeds, ",")))
	})
}

func newCluster(t *testing.T, seeds []string) *cluster {
	t.Helper()
	c := &cluster{t: t, seeds: seeds, mono: System(), ticked: make(chan struct{}, 1)}
	c.topic = fmt.Sprintf("clock-%d-%d", time.Now().UnixNano(), names.Add(1))
	c.cl = c.client()
	adm := kadm.NewClient(c.cl)
	if resp, err := adm.CreateTopic(t.Context(), 2, 1, nil, c.topic); err != nil || resp.Err != nil {
		t.Fatal(err, resp.Err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, _ = adm.DeleteTopics(ctx, c.topic)
	})
	logs, err := tail.New(seeds, log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(logs.Close)
	c.poller = NewPoller(logs, c.mono.Now, interval, func(context.Context) {
		select {
		case c.ticked <- struct{}{}:
		default:
		}
	}, log.NewNopLogger())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.poller.Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return c
}

func (c *cluster) client(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.seeds...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0)}, opts...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

func (c *cluster) put(cl *kgo.Client, n int) {
	c.t.Helper()
	for range n {
		if err := cl.ProduceSync(c.t.Context(), &kgo.Record{Topic: c.topic, Value: []byte("v")}).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
	}
}

// register registers an input of the topic's first partition.
func (c *cluster) register() *Input {
	in := new(Input)
	c.poller.Register(tail.TopicPartition{Topic: c.topic}, in)
	return in
}

// until waits, from round to round, until a condition holds.
func (c *cluster) until(what string, holds func() bool) {
	c.t.Helper()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-c.ticked:
		case <-deadline:
			c.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// passes waits until the clock has passed the present instant.
func (c *cluster) passes(what string, in *Input) event.Time {
	c.t.Helper()
	now := c.mono.Now()
	c.until(what, func() bool {
		at, known := in.Applied()
		return known && at > now
	})
	return now
}

// stands waits until the reason is given, then for further rounds, in which the clock must not move.
func (c *cluster) stands(in *Input, why Reason) {
	c.t.Helper()
	c.until("it says "+why.String(), func() bool { return in.Why() == why })
	was, knew := in.Applied()
	looks := 0 // one now, and one after each round
	c.until("further rounds", func() bool { looks++; return looks > 3 })
	if is, known := in.Applied(); is != was || known != knew {
		c.t.Errorf("the clock moved from %d to %d, though %s", was, is, why)
	}
}

func TestIdleInputFollowsWallTime(t *testing.T) {
	onKafka(t, func(c *cluster) {
		in := c.register()
		c.passes("an empty partition is caught up", in)
		c.passes("it goes on", in)
		c.put(c.cl, 2)
		c.stands(in, Behind)
		if n := in.Behind(); n != 2 {
			c.t.Errorf("Behind = %d; want 2", n)
		}
		in.Committed(1)
		c.stands(in, Behind)
		in.Committed(2)
		c.passes("all is applied", in)
	})
}

func TestTrailingMarkers(t *testing.T) {
	onKafka(t, func(c *cluster) {
		in := c.register()
		w := c.client(kgo.TransactionalID(c.topic))
		write := func(n int, how kgo.TransactionEndTry) {
			c.t.Helper()
			if err := w.BeginTransaction(); err != nil {
				c.t.Fatal(err)
			}
			c.put(w, n)
			if err := w.EndTransaction(c.t.Context(), how); err != nil {
				c.t.Fatal(err)
			}
		}
		write(3, kgo.TryAbort)
		c.passes("only aborted records", in)
		write(2, kgo.TryCommit)
		c.stands(in, Behind)
		in.Committed(6) // offsets 0 to 3 are the aborted transaction's, 4 and 5 the records, 6 their marker
		c.passes("behind the marker", in)
		for range 20 {
			write(1, kgo.TryAbort)
		}
		c.passes("behind many markers", in)
	})
}

func TestOpenTransactionHoldsTheClock(t *testing.T) {
	onKafka(t, func(c *cluster) {
		in := c.register()
		c.passes("an empty partition", in)
		w := c.client(kgo.TransactionalID(c.topic), kgo.TransactionTimeout(time.Minute))
		if err := w.BeginTransaction(); err != nil {
			c.t.Fatal(err)
		}
		c.put(w, 1)
		began := c.mono.Now()
		c.put(c.cl, 1) // acknowledged, but nobody can read it yet
		c.stands(in, OpenTransaction)
		if err := w.EndTransaction(c.t.Context(), kgo.TryCommit); err != nil {
			c.t.Fatal(err)
		}
		c.stands(in, Behind)
		if at, _ := in.Applied(); at > began {
			c.t.Errorf("the clock shows %d, though the transaction was open from %d on", at, began)
		}
		in.Committed(2)
		c.passes("applied", in)
	})
}

func TestBrokersGoneAndBack(t *testing.T) {
	dir := t.TempDir()
	port, err := programs.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	start := func() *kfake.Cluster {
		fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir))
		if err != nil {
			t.Fatal(err)
		}
		return fake
	}
	fake := start()
	c := newCluster(t, fake.ListenAddrs())
	in := c.register()
	c.put(c.cl, 1)
	in.Committed(1)
	c.passes("caught up", in)
	fake.Close()
	c.stands(in, Unreachable)
	gone, _ := in.Applied()
	fake = start()
	defer fake.Close()
	c.passes("the brokers are back", in)
	if at, _ := in.Applied(); at <= gone {
		t.Errorf("Applied = %d; want more than %d", at, gone)
	}
	c.put(c.cl, 1)
	c.stands(in, Behind)
}
