package tail

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestCommitted asks where a group stands that has committed on one partition of two, and where one stands that nobody knows.
func TestCommitted(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		topic, group := r.topic(t, 2), name("group")
		logs := r.logs(t)
		asked := map[string]int32{topic: 2}
		// A young cluster makes its topic of offsets when the first group asks.
		patience, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got, err := logs.Committed(patience, group, asked)
		for tick := time.NewTicker(100 * time.Millisecond); errors.Is(err, kerr.CoordinatorNotAvailable) && patience.Err() == nil; <-tick.C {
			got, err = logs.Committed(patience, group, asked)
		}
		if err != nil || len(got) != 0 {
			t.Fatalf("a group that nobody knows has committed %v, %v", got, err)
		}
		commit := func(c Committed) {
			t.Helper()
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Group = group
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.Metadata = 1, c.Next, c.Metadata()
			req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
			resp, err := req.RequestWith(t.Context(), logs.Client())
			if err == nil {
				err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []Committed{{Next: 17}, {Next: 18, Newest: 1_700_000_000_123}, {Next: 18, HeldUntil: 1_700_000_000_456},
			{Next: 19, Topic: [16]byte{1}}, {Next: 20, Newest: 1_700_000_000_789, Topic: [16]byte{15: 2}}, {Next: 21, HeldUntil: 1_700_000_000_999, Topic: [16]byte{3}}} {
			commit(want)
			got, err := logs.Committed(t.Context(), group, asked)
			if err != nil || len(got) != 1 || got[TopicPartition{topic, 1}] != want {
				t.Errorf("committed %+v, read %v, %v", want, got, err)
			}
		}
	})
}

// What releases before, or others, have committed beside an offset does no harm.
func TestCommittedByOthers(t *testing.T) {
	for metadata, want := range map[string]Committed{
		"": {}, "1700000000123": {Newest: 1_700_000_000_123}, "held until 5": {HeldUntil: 5}, "something of somebody": {}, "7 of 00": {Newest: 7},
	} {
		var got Committed
		if got.read(metadata); got != want {
			t.Errorf("%q: %+v, want %+v", metadata, got, want)
		}
	}
}

func TestOffsetsOfAnotherTopic(t *testing.T) {
	one, two := [16]byte{1}, [16]byte{2}
	for _, c := range []struct {
		topic, is [16]byte
		want      bool
	}{{one, one, true}, {one, two, false}, {[16]byte{}, two, true}, {one, [16]byte{}, true}} {
		if got := (Committed{Topic: c.topic}).Of(c.is); got != c.want {
			t.Errorf("an offset of %x may be one of %x: %v", c.topic, c.is, got)
		}
	}
}
