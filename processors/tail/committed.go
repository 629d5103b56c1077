package tail

import (
	"context"
	"encoding/hex"
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
	Topic     [16]byte   // id of the topic, for another may have its name by now; zero: it is not known
}

const (
	heldMark  = "held until "
	topicMark = " of "
)

// Of says whether the offset can be one of the topic with an id: a topic that was made anew under its name is another one, and the offsets
// of the old one say nothing of it.
func (c Committed) Of(id [16]byte) bool {
	var unknown [16]byte
	return c.Topic == id || c.Topic == unknown || id == unknown
}

// Metadata is what is committed beside the offset, for other instances and later lives.
func (c Committed) Metadata() *string {
	s := strconv.FormatInt(c.Newest, 10)
	if c.HeldUntil > 0 {
		s = heldMark + strconv.FormatInt(int64(c.HeldUntil), 10)
	}
	if c.Topic != ([16]byte{}) {
		s += topicMark + hex.EncodeToString(c.Topic[:])
	}
	return &s
}

// read takes what Metadata has made; what others have written says nothing.
func (c *Committed) read(metadata string) {
	metadata, topic, _ := strings.Cut(metadata, topicMark)
	if id, err := hex.DecodeString(topic); err == nil && len(id) == len(c.Topic) {
		c.Topic = [16]byte(id)
	}
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
