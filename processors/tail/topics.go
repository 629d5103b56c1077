package tail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topic is what the cluster says of a topic.
type Topic struct {
	Name       string
	ID         [16]byte
	Partitions []Partition // by number, from 0
}

// Partition is what the cluster says of a partition. Leader is -1 while there is none.
type Partition struct {
	Leader, LeaderEpoch int32
}

// TopicInfo returns what the cluster says now of the topics. A topic that does not exist is not in the map; any other trouble with one is
// an error.
func (l *Logs) TopicInfo(ctx context.Context, topics ...string) (map[string]Topic, error) {
	infos := make(map[string]Topic, len(topics))
	if len(topics) == 0 {
		return infos, nil
	}
	resp, err := l.metadata(ctx, topics, 1)
	if err != nil {
		return nil, fmt.Errorf("describe topics %v: %w", topics, err)
	}
	for _, t := range resp.Topics {
		name := ""
		if t.Topic != nil {
			name = *t.Topic
		}
		err := kerr.ErrorForCode(t.ErrorCode)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("describe topic %q: %w", name, err)
		}
		infos[name] = topicOf(name, &t)
	}
	return infos, nil
}

func topicOf(name string, t *kmsg.MetadataResponseTopic) Topic {
	parts := slices.Clone(t.Partitions)
	slices.SortFunc(parts, func(a, b kmsg.MetadataResponseTopicPartition) int { return cmp.Compare(a.Partition, b.Partition) })
	info := Topic{Name: name, ID: t.TopicID, Partitions: make([]Partition, len(parts))}
	for i, p := range parts {
		info.Partitions[i] = Partition{Leader: p.Leader, LeaderEpoch: p.LeaderEpoch}
	}
	return info
}

// metadata asks for the topics' metadata, from the cache if it is not older than age, without creating topics that do not exist.
func (l *Logs) metadata(ctx context.Context, topics []string, age time.Duration) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, t := range topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(t)
		req.Topics = append(req.Topics, rt)
	}
	return l.cl.RequestCachedMetadata(ctx, req, age)
}
