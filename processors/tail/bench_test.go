package tail

import (
	"os"
	"strings"
	"testing"

	"github.com/go-kit/log"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
)

// BenchmarkEnds is one question of the poller: the high watermarks of 64 partitions. Its budget is the poll interval.
func BenchmarkEnds(b *testing.B) {
	seeds := strings.Split(os.Getenv(realBrokers), ",")
	if seeds[0] == "" {
		c, err := kfake.NewCluster(kfake.NumBrokers(3))
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		seeds = c.ListenAddrs()
	}
	l, err := New(seeds, log.NewNopLogger())
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	topic := name("bench")
	if _, err := kadm.NewClient(l.Client()).CreateTopic(b.Context(), 64, 1, nil, topic); err != nil {
		b.Fatal(err)
	}
	var tps []TopicPartition
	for p := range int32(64) {
		tps = append(tps, TopicPartition{topic, p})
	}
	for _, tp := range tps { // returns when it has a leader
		if _, err := l.offset(b.Context(), tp, latest, false); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Ends(b.Context(), tps, false); err != nil {
			b.Fatal(err)
		}
	}
}
