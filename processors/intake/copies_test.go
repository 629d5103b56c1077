package intake

import (
	"bytes"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/topology"
)

// TestCopyKeepsTheOriginal copies records with all sorts of keys and headers, also such as copies have, and takes the original out again.
func TestCopyKeepsTheOriginal(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("FRESHET_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("repeat with FRESHET_TEST_SEED=%d go test ./processors/intake -run '^%s$'", seed, t.Name())
	rng := rand.New(rand.NewPCG(seed, 1))
	topic := &topology.Topic{Name: "workflow.tool", Category: event.Tool}
	k := &Intake{plan: &Plan{byName: map[string]*topology.Topic{topic.Name: topic}}}
	names := []string{"", "ce_id", "ce_subject", "x", OriginTopic, OriginPartition, OriginOffset, OriginTime, OriginKey}
	values := [][]byte{nil, {}, []byte("workflow.tool"), []byte("17"), {0xff, 0}}
	keys := [][]byte{nil, {}, []byte("w"), []byte("another")}
	for range 20000 {
		m := &sarama.ConsumerMessage{
			Topic: topic.Name, Partition: rng.Int32N(100), Offset: rng.Int64(), Timestamp: time.UnixMilli(rng.Int64N(1 << 42)),
			Key: keys[rng.IntN(len(keys))], Value: values[rng.IntN(len(values))],
		}
		var own []event.Header
		for range rng.IntN(8) {
			own = append(own, event.Header{Key: []byte(names[rng.IntN(len(names))]), Value: values[rng.IntN(len(values))]})
		}
		r := Copy("copies", 3, "w", m, own)
		if string(r.Key) != "w" || r.Partition != 3 || !same(r.Value, m.Value) {
			t.Fatalf("the copy of %+v is %+v", m, r)
		}
		k.record.Key, k.headers = r.Key, nil
		for _, h := range r.Headers {
			k.headers = append(k.headers, event.Header{Key: []byte(h.Key), Value: h.Value})
		}
		o, ok := k.originOf()
		if want := (origin{topic, m.Partition, m.Offset, event.Of(m.Timestamp)}); !ok || o != want {
			t.Fatalf("the origin of %+v is %+v, %v; want %+v", r, o, ok, want)
		}
		if !same(k.key, m.Key) || !slices.EqualFunc(k.headers, own, func(x, y event.Header) bool { return string(x.Key) == string(y.Key) && same(x.Value, y.Value) }) {
			t.Fatalf("the original of %+v had key %q and headers %q; want %q and %q", r, k.key, k.headers, m.Key, own)
		}
	}
}

// same says whether two slices are equal; what is empty is not what is absent.
func same(x, y []byte) bool { return bytes.Equal(x, y) && (x == nil) == (y == nil) }
