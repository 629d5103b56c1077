package sources

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/go-kit/log"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestViewReadsOnAboveACut cuts off the log of the table above where the view stands. Goka's reading ends then: the view has
// to find out, read on where the log begins now, and forget what it no longer tells of.
func TestViewReadsOnAboveACut(t *testing.T) {
	const topic = "table"
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(fake.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	logs, err := tail.New(fake.ListenAddrs(), log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(logs.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	put := func(key string, seq int64, padding int) {
		t.Helper()
		e := update(seq, event.Time(seq*1000))
		e.Key, e.Owner = key, strings.Repeat("x", padding)
		r := &itemRow{item: freshness.NewItem("policy", key), head: true}
		apply(r, e)
		r.Records(func(key string, appendTo func([]byte) []byte) {
			if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: appendTo(nil)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		})
	}
	view := NewView(topic, 1, log.NewNopLogger())
	view.pace = 20 * time.Millisecond
	held, release := make(chan struct{}), make(chan struct{})
	forgot := make(chan struct{}, 1)
	view.Listen(func(c Change) {
		switch {
		case c.Key == "hold" && c.From > beginning:
			close(held)
			<-release
		case c.Key == "lost" && c.From == beginning:
			forgot <- struct{}{}
		}
	})
	cfg := goka.DefaultConfig()
	cfg.Version, cfg.Consumer.IsolationLevel = sarama.V3_0_0_0, sarama.ReadCommitted
	put("lost", 1, 0)
	ended := make(chan error, 1)
	go func() { ended <- view.Run(ctx, fake.ListenAddrs(), cfg, logs) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	until(ctx, t, func() bool { return view.Item("policy", "lost").Len() == 1 })
	put("hold", 1, 0)
	<-held
	for n := range 200 { // more than is read ahead
		put(fmt.Sprint("passed-", n), 1, 128<<10)
	}
	adm := kadm.NewClient(client)
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	cut := kadm.Offsets{}
	ends.Each(func(o kadm.ListedOffset) { cut.AddOffset(topic, o.Partition, o.Offset, -1) })
	if deleted, err := adm.DeleteRecords(ctx, cut); err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	put("kept", 1, 0)
	close(release)
	until(ctx, t, func() bool { return view.Item("policy", "kept").Len() == 1 })
	select {
	case <-forgot:
	case <-ctx.Done():
		t.Fatal("an item that the table no longer has is still known")
	}
	if view.Item("policy", "lost").Len() != 0 || view.Item("policy", "kept").Len() != 1 {
		t.Error("the view is not what the table says")
	}
	put("after", 1, 0)
	until(ctx, t, func() bool { return view.Item("policy", "after").Len() == 1 })
}

func until(ctx context.Context, t *testing.T, done func() bool) {
	t.Helper()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal("waited in vain")
		case <-time.After(5 * time.Millisecond):
		}
	}
}
