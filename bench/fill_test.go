package bench_test

import (
	"context"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/topology"
)

// What is filled in is what the floor reads.
func TestTheFloorReadsWhatWasFilledIn(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	g, err := topology.New(topology.Config{Partitions: 4, Replication: 1, MaxMessageBytes: 1 << 20}, topology.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	var said int64
	filled, err := bench.Fill(ctx, access.Open(cluster.ListenAddrs()...), g, small(), func(n int64) { said = n })
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(2000 * bench.EventsPerWorkflow); filled.Records < want || filled.Bytes/filled.Records < 340 || said == 0 {
		t.Errorf("filled %+v, progress %d", filled, said)
	}
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_0_0_0
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.IsolationLevel = sarama.ReadCommitted
	was := bench.Use(time.Now(), 0)
	if err := bench.Floor(ctx, cluster.ListenAddrs(), g, cfg, filled.Records); err != nil {
		t.Fatal(err)
	}
	cost := bench.Use(time.Now(), 0).Since(was, filled.Records)
	if cost.EventsPerSecond <= 0 || cost.Allocs <= 0 {
		t.Errorf("the floor cost %+v", cost)
	}
	if resident, peak := bench.Memory(); resident > peak {
		t.Errorf("resident %d, peak %d", resident, peak)
	}
}
