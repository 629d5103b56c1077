package workflows

import (
	"context"
	"flag"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/processors/sources"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/freshet-io/freshet/processors/workflows/read"
)

// questions counts how often the end of a log was asked for.
type questions struct{ atomic.Int64 }

func (q *questions) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == kmsg.ListOffsets.Int16() {
		q.Add(1)
	}
}

var _ kgo.HookBrokerWrite = (*questions)(nil)

// All partitions of a session wait for the same ends of the sources table; those of the next session wait for what there is then.
func TestTheSourcesAreAsFarAsWhenTheSessionBegan(t *testing.T) {
	const table = "sources-table"
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, table))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	var asked questions
	logs, err := tail.New(fake.ListenAddrs(), log.NewNopLogger(), kgo.WithHooks(&asked))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(logs.Close)
	var gw gateway.Config
	gw.RegisterFlags(flag.NewFlagSet("", flag.PanicOnError))
	cfg, err := gw.Sarama(access.Open(fake.ListenAddrs()[0]), "")
	if err != nil {
		t.Fatal(err)
	}
	view := sources.NewView(table, 3, log.NewNopLogger())
	g := New(Deps{
		View: view, SourceTable: table, Logs: logs, Reads: read.New(nil, 1, 0),
		Clock: clock.NewGroup("workflows", nil, nil, nil, nil, nil, nil, log.NewNopLogger()),
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g.Begin()
	if err := g.seen(ctx); err != nil {
		t.Fatalf("a view of nothing waits: %v", err)
	}
	once := asked.Load()
	if once == 0 {
		t.Fatal("no end was asked for")
	}
	got, err := logs.Client().ProduceSync(ctx, &kgo.Record{Topic: table, Key: []byte("k"), Value: []byte("v")}).First()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.seen(ctx); err != nil || asked.Load() != once {
		t.Errorf("for another partition of the session ends were asked for %d times more, %v", asked.Load()-once, err)
	}
	g.Begin()
	go func() { _ = view.Run(ctx, fake.ListenAddrs(), cfg, logs) }()
	if err := g.seen(ctx); err != nil {
		t.Fatal(err)
	}
	if last := view.Offsets()[got.Partition]; last != got.Offset {
		t.Errorf("the next session begins while the view has read up to %d, not %d", last, got.Offset)
	}
}
