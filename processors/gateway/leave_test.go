package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// longSession is longer than any test: nobody is missed.
const longSession = 5 * time.Minute

// An instance that is stopped leaves its partitions to the others, which do not wait for the end of its session; the last one stays a member.
func TestWhoStopsLeavesTheGroupUnlessAlone(t *testing.T) {
	addr := startBroker(t)
	a, b := openDB(t, ""), openDB(t, "")
	long := func(g *Gateway) { g.cfg.SessionTimeout = longSession }
	first, stopFirst := run(t, addr, "a", a, &counter{output}, long)
	has := func(g *Gateway, n int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for tick := time.NewTicker(10 * time.Millisecond); len(g.Partitions()) != n; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("it has %d partitions, not %d", len(g.Partitions()), n)
			}
		}
	}
	has(first, partitions)
	second, stopSecond := run(t, addr, "b", b, &counter{output}, long)
	has(second, partitions/2)
	has(first, partitions/2)
	stopFirst()
	has(second, partitions)
	stopSecond()

	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	groups, err := kadm.NewClient(client).DescribeGroups(t.Context(), "counters")
	if err != nil {
		t.Fatal(err)
	}
	members := groups["counters"].Members
	if len(members) != 1 || members[0].InstanceID == nil || *members[0].InstanceID != "b" {
		t.Errorf("members %+v, want b, who was alone", members)
	}
}
