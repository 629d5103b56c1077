//go:build unix

package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const patience = 5 * time.Minute

// client writes to and reads topic t, which it creates with replicas on all brokers.
func client(t *testing.T, c *Cluster, opts ...kgo.Opt) (context.Context, *kgo.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.Addrs()...), kgo.DefaultProduceTopic("t"), kgo.ConsumeTopics("t")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, int16(c.Size()), nil, "t"); err != nil {
		t.Fatal(err)
	}
	return ctx, cl
}

// count reads until n records have come.
func count(ctx context.Context, t *testing.T, cl *kgo.Client, n int) {
	t.Helper()
	for got := 0; got < n; {
		got += cl.PollFetches(ctx).NumRecords()
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records were read", got, n)
		}
	}
}

func put(ctx context.Context, t *testing.T, cl *kgo.Client, n int) {
	t.Helper()
	for i := range n {
		if err := cl.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// One broker keeps what was acknowledged when it is killed, restarted or frozen for a while.
func TestOneBroker(t *testing.T) {
	c := Start(t, Options{})
	ctx, cl := client(t, c)
	put(ctx, t, cl, 10)
	if err := c.KillBroker(0); err != nil {
		t.Fatal(err)
	}
	if err := c.StartBroker(ctx, 0); err != nil {
		t.Fatal(err)
	}
	put(ctx, t, cl, 10)
	if err := c.RestartBroker(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := c.PauseBroker(0); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := kadm.NewClient(cl).ListEndOffsets(short, "t"); err == nil {
		t.Error("a frozen broker has answered")
	}
	if err := c.ResumeBroker(0); err != nil {
		t.Fatal(err)
	}
	count(ctx, t, cl, 20)
}

// Of three brokers one may be lost.
func TestThreeBrokers(t *testing.T) {
	c := Start(t, Options{Brokers: 3})
	ctx, cl := client(t, c)
	put(ctx, t, cl, 10)
	for n := range c.Size() {
		if err := c.KillBroker(n); err != nil {
			t.Fatal(err)
		}
		t.Logf("broker %d killed", n)
		put(ctx, t, cl, 5)
		t.Logf("went on without broker %d", n)
		if err := c.StartBroker(ctx, n); err != nil {
			t.Fatal(err)
		}
		if err := c.Await(ctx); err != nil {
			t.Fatal(err)
		}
		awaitInSync(ctx, t, cl)
	}
	count(ctx, t, cl, 25)
}

func awaitInSync(ctx context.Context, t *testing.T, cl *kgo.Client) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		topics, err := kadm.NewClient(cl).ListTopics(ctx, "t")
		if err == nil && len(topics["t"].Partitions[0].ISR) == 3 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the replicas are not in sync: %v %v", topics, err)
		case <-tick.C:
		}
	}
}

// With SASL nobody gets in without a password, and nobody but a super user does what no ACL allows.
func TestSASL(t *testing.T) {
	c := Start(t, Options{SASL: &SASL{Users: map[string]string{"admin": "secret", "guest": "hush"}, Super: []string{"admin"}}})
	ctx, cl := client(t, c, kgo.SASL(scram.Auth{User: "admin", Pass: "secret"}.AsSha512Mechanism()))
	put(ctx, t, cl, 1)
	guest, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...), kgo.DefaultProduceTopic("t"), kgo.SASL(plain.Auth{User: "guest", Pass: "hush"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	if err := guest.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err == nil {
		t.Error("a guest without ACLs has written a record")
	}
}

// A cluster id is the value of an option of the tool that formats a directory.
func TestClusterIDsAreNoOptions(t *testing.T) {
	for range 1000 {
		if id := clusterID(); len(id) != 22 || id[0] == '-' {
			t.Fatalf("cluster id %q", id)
		}
	}
}
