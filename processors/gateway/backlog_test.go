package gateway

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/freshet-io/freshet/state"
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
	if least := partitions*n - 2*backlogBatches*1024; first < least {
		t.Errorf("the first transaction has %d records of %d, not %d", first, partitions*n, least)
	}
}

// TestWhatIsDueTakesTurns: a message that is paced comes at once while its partition has few rows in the next transaction, or a backlog is read; else it
// waits until that transaction has been cut.
func TestWhatIsDueTakesTurns(t *testing.T) {
	rows := memory(t).NewPartition(state.Workflows, 0, countSchema{}, 100)
	if err := rows.MarkRecovered(); err != nil {
		t.Fatal(err)
	}
	p := &Partition{Rows: rows, s: &session{g: &Gateway{cfg: Config{Batch: 1}}}}
	p.s.order = []*Partition{p}
	p.queue = newQueue(p, 1, 1, 1, nil)
	queued := func(what string, want int) {
		t.Helper()
		if got := len(p.queue.virtual); got != want {
			t.Errorf("%s: %d messages, want %d", what, got, want)
		}
		p.queue.virtual = nil
		p.outstanding.Store(0)
	}
	p.SendPaced("~clock", 1)
	queued("no row", 1)
	rows.Put("k", &count{"k", 1})
	p.SendPaced("~clock", 2)
	queued("few rows", 1)
	p.SendPaced("~clock", 1)
	queued("many rows", 0)
	p.cut()
	queued("the transaction has been cut", 1)
	p.cut()
	queued("nothing was paced", 0)
	p.outstanding.Store(backlogBatches + 1)
	p.SendPaced("~clock", 1)
	queued("a backlog", 1)
}
