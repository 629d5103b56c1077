package tail

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Committed is where a group stands on a partition: everything below Next that a reader is given has been processed, and what came of it
// is committed.
type Committed struct {
	Next      int64
	Newest    int64      // greatest record time below Next in ms, 0 if it is not known
	HeldUntil event.Time // until then the partition is held back because a record of its output is refused; 0: it is not
}

const heldMark = "held until "

// Metadata is what is committed beside the offset, for other instances.
func (c Committed) Metadata() *string {
	var s string
	switch {
	case c.HeldUntil > 0:
		s = heldMark + strconv.FormatInt(int64(c.HeldUntil), 10)
	case c.Newest > 0:
		s = strconv.FormatInt(c.Newest, 10)
	default:
		return nil
	}
	return &s
}

// read takes what Metadata has made; what others have written says nothing.
func (c *Committed) read(metadata string) {
	if until, held := strings.CutPrefix(metadata, heldMark); held {
		ms, _ := strconv.ParseInt(until, 10, 64)
		c.HeldUntil = event.Time(ms)
		return
	}
	c.Newest, _ = strconv.ParseInt(metadata, 10, 64)
}

// Committed returns where a group stands on the partitions of topics. Partitions on which nothing has been committed yet are left out. What
// a transaction that is still open would commit does not count.
func (l *Logs) Committed(ctx context.Context, group string, topics map[string]int32) (map[TopicPartition]Committed, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	for topic, partitions := range topics {
		t := kmsg.NewOffsetFetchRequestTopic()
		t.Topic = topic
		for p := range partitions {
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, l.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("fetch the offsets of %s: %w", group, err)
	}
	all := map[TopicPartition]Committed{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("fetch the offset of %s on %s-%d: %w", group, t.Topic, p.Partition, err)
			}
			if p.Offset < 0 {
				continue
			}
			c := Committed{Next: p.Offset}
			if p.Metadata != nil {
				c.read(*p.Metadata)
			}
			all[TopicPartition{Topic: t.Topic, Partition: p.Partition}] = c
		}
	}
	return all, nil
}
