//go:build unix

package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/freshet-io/freshet/test/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// objectives are added to the contracts of the sets, which have none.
const objectives = `
slos:
  - {name: refunds, workflow: refund, use: action.executed, objective: 0.9, window: 1d, owner: pay}
  - {name: proposals, workflow: refund, use: decision.proposed, objective: 0.5, window: 1d, owner: pay}
detections:
  - {name: held, workflow: refund, for: 1s, severity: ticket, limit: 100000}
`

// The same events happen to two installations at once: one is left alone, the instances of the other are killed and frozen. What they say
// of open workflows and count for objectives is the same in the end.
func TestDetectionsAndBuckets(t *testing.T) {
	notShort(t)
	onKafka(t)
	c := kafka.Start(t, kafka.Options{})
	ctx, r := within(t), random(t)
	set := anySet(r)
	text, err := os.ReadFile(filepath.Join(golden, contractOf(set)+".contracts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	contract := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(contract, append(text, objectives...), 0o644); err != nil {
		t.Fatal(err)
	}
	s := setup{at: cluster, cluster: c, set: set, contract: contract, partitions: 4}
	calm, rough := newWorld(t, s), newWorld(t, s)
	calm.instance("calm").start("")
	for k := range 2 {
		rough.instance(fmt.Sprintf("i%d", k)).start("")
	}
	for _, i := range append(calm.instances, rough.instances...) {
		i.awaitReady(ctx)
	}
	begin := time.Now()
	calm.live(begin, liveSpan())
	rough.lines, rough.want = calm.lines, calm.want
	a, b := calm.play(ctx), rough.play(ctx)
	did := tally{}
	for time.Since(begin) < liveSpan()+8*time.Second {
		rough.move(r, 3, did)
		pause(t, between(r, 0, 2*time.Second))
	}
	a.await(calm)
	b.await(rough)
	for _, i := range rough.instances {
		if !i.runs() {
			i.start("")
		}
	}
	calm.settled(ctx).neverTakenBack()
	rough.settled(ctx).neverTakenBack()
	for _, topic := range []func(*world) string{
		func(w *world) string { return w.graph.Detections }, func(w *world) string { return w.graph.Buckets },
	} {
		var differs string
		patience, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		for differs = compare(calm.last(ctx, topic(calm)), rough.last(ctx, topic(rough))); differs != "" && patience.Err() == nil; {
			pause(t, 500*time.Millisecond)
			differs = compare(calm.last(ctx, topic(calm)), rough.last(ctx, topic(rough)))
		}
		if differs != "" {
			t.Errorf("%s: %s", topic(rough), differs)
		}
		keys := len(calm.last(ctx, topic(calm)))
		if keys == 0 {
			t.Errorf("%s has nothing: nothing was compared", topic(rough))
		}
		t.Logf("%s: %d keys", topic(rough), keys)
	}
	t.Logf("%d moves:\n%s", did.sum(), did)
}

// last returns what a compacted topic says by key, without what depends on when it was said.
func (w *world) last(ctx context.Context, topic string) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for key, value := range w.values(ctx, topic) {
		all[key] = w.timeless(value)
	}
	return all
}

// values returns the last value of each key of a compacted topic, without those that have been deleted.
func (w *world) values(ctx context.Context, topic string) map[string][]byte {
	w.t.Helper()
	ends, err := w.admin().ListCommittedOffsets(ctx, topic)
	if err != nil {
		w.t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	cl := w.client(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	defer cl.Close()
	all := map[string][]byte{}
	for len(left) > 0 {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			switch {
			case r.Attrs.IsControl():
			case r.Value == nil:
				delete(all, string(r.Key))
			default:
				all[string(r.Key)] = r.Value
			}
		})
		if ctx.Err() != nil {
			w.t.Fatalf("read %s: %v", topic, ctx.Err())
		}
	}
	return all
}

// timeless is the JSON of a record without the instants at which it was said, and without where evidence lies.
func (w *world) timeless(value []byte) string {
	value = bytes.ReplaceAll(value, []byte(w.prefix), nil)
	var d any
	if err := json.Unmarshal(value, &d); err != nil {
		return string(value)
	}
	strip(d)
	text, _ := json.Marshal(d)
	return string(text)
}

func strip(d any) {
	switch d := d.(type) {
	case map[string]any:
		for _, k := range []string{"judged_at", "detected_at", "complete_through", "applied_through", "offset", "updated_at"} {
			delete(d, k)
		}
		for _, v := range d {
			strip(v)
		}
	case []any:
		for _, v := range d {
			strip(v)
		}
	}
}

func compare(calm, rough map[string]string) string {
	n, example := 0, ""
	for _, k := range slices.Sorted(maps.Keys(calm)) {
		if rough[k] != calm[k] {
			if n++; n == 1 {
				example = fmt.Sprintf("%q:\n calm  %s\n rough %s", k, calm[k], rough[k])
			}
		}
	}
	for k := range rough {
		if _, ok := calm[k]; !ok {
			if n++; n == 1 {
				example = fmt.Sprintf("%q is additional: %s", k, rough[k])
			}
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d keys differ; %s", n, len(calm), example)
}
