package gateway

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestABacklogIsABacklogWhileLittleOfItIsDelivered: a group that works as fast as it reads has nothing waiting again and again in the middle of a
// backlog. A transaction at each of these moments would write a row anew for every few of its records.
func TestABacklogIsABacklogWhileLittleOfItIsDelivered(t *testing.T) {
	const n = 9000
	_, addr := startCluster(t)
	writer := client(t, addr, kgo.ProducerBatchMaxBytes(2048))
	for range n {
		for p := range int32(partitions) {
			writer.Produce(t.Context(), &kgo.Record{Topic: inputA, Partition: p, Key: []byte{'k', byte('0' + p)}, Value: []byte("x")}, nil)
		}
	}
	if err := writer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, stop := run(t, addr, "a", memory(t), &counter{output}, func(g *Gateway) {
		g.cfg.FetchBytes = 2048
		g.cfg.Interval, g.cfg.Backlog = 10*time.Second, time.Minute
	})
	awaitCounts(t, addr, partitions, n)
	stop()
	first := 0
	for p := range int32(partitions) {
		first += int(binary.BigEndian.Uint64(logOf(t, addr, table, p, kgo.ReadCommitted())[0].Value))
	}
	if least := partitions*n - 2*backlog*1024; first < least {
		t.Errorf("the first transaction has %d records of %d, not %d", first, partitions*n, least)
	}
}
