package topology

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/grafana/dskit/backoff"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Apply makes the changes of a plan. While one of them is refused it makes none; a warning stops nothing. A topic that somebody else
// has created since the plan was made is left as it is: the next plan says whether it fits.
func Apply(ctx context.Context, client *kgo.Client, changes []Change) error {
	adm := kadm.NewClient(client)
	var refused []error
	for _, c := range changes {
		if c.Action == Refuse {
			refused = append(refused, errors.New(c.String()))
		}
	}
	if len(refused) > 0 {
		return fmt.Errorf("nothing was changed: %w", errors.Join(refused...))
	}
	for _, c := range changes {
		var err error
		switch c.Action {
		case Create:
			err = c.topic.create(ctx, adm, c.minInsync)
		case Alter:
			err = alter(ctx, adm, c)
		}
		if err != nil {
			return err
		}
	}
	return await(ctx, client, changes)
}

// metadataTimeout bounds how long brokers may take to know of what the controller has changed.
const metadataTimeout = 30 * time.Second

// await waits until every broker knows of the changes, and the topics that were created have all their leaders: who comes next, and asks
// any of the brokers, must find them.
func await(ctx context.Context, client *kgo.Client, changes []Change) error {
	question := kmsg.NewPtrDescribeConfigsRequest()
	for _, c := range changes {
		if c.Action == Create || c.Action == Alter {
			r := kmsg.NewDescribeConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, c.Topic
			question.Resources = append(question.Resources, r)
		}
	}
	if len(question.Resources) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	retry := backoff.New(ctx, backoff.Config{MinBackoff: 20 * time.Millisecond, MaxBackoff: time.Second})
	missing := question.Resources[0].ResourceName
	for retry.Ongoing() {
		var err error
		if missing, err = unknown(ctx, client, changes, question); err != nil {
			return fmt.Errorf("look for what was changed: %w", err)
		}
		if missing == "" {
			return nil
		}
		retry.Wait()
	}
	return fmt.Errorf("topic %s was made as it has to be, but the brokers do not all know it yet: %w", missing, retry.Err())
}

// unknown returns a topic that has no leader for a partition, or of which a broker does not know what was changed, "" if there is none.
// Brokers that do not answer are not waited for.
func unknown(ctx context.Context, client *kgo.Client, changes []Change, question *kmsg.DescribeConfigsRequest) (string, error) {
	adm, want := kadm.NewClient(client), map[string]int32{}
	for _, c := range changes {
		if c.Action == Create {
			want[c.topic.Name] = c.topic.Partitions
		}
	}
	if names := slices.Collect(maps.Keys(want)); len(names) > 0 {
		topics, err := adm.ListTopics(kadm.WithAuthorizedOps(ctx), names...) // not from the client's memory, as in look
		if err != nil {
			return "", err
		}
		if missing := unled(topics, want); missing != "" {
			return missing, nil
		}
	}
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return "", err
	}
	for _, b := range brokers {
		attempt, cancel := context.WithTimeout(ctx, brokerTimeout)
		resp, err := question.RequestWith(attempt, client.Broker(int(b.NodeID)))
		cancel()
		if err != nil {
			continue
		}
		if missing := untold(resp, changes); missing != "" {
			return missing, nil
		}
	}
	return "", ctx.Err()
}

// brokerTimeout bounds how long one broker may take to say what it knows.
const brokerTimeout = 5 * time.Second

// untold returns a topic of which a broker does not know what was changed, "" if there is none.
func untold(by *kmsg.DescribeConfigsResponse, changes []Change) string {
	type entry struct{ topic, key string }
	has := map[entry]string{}
	for _, r := range by.Resources {
		if r.ErrorCode == kerr.UnknownTopicOrPartition.Code {
			return r.ResourceName
		}
		for _, c := range r.Configs {
			if c.Value != nil {
				has[entry{r.ResourceName, c.Name}] = *c.Value
			}
		}
	}
	for _, c := range changes {
		if c.Action == Alter && has[entry{c.Topic, c.What}] != c.Want {
			return c.Topic
		}
	}
	return ""
}

// unled returns a topic of which a partition has no leader, "" if there is none.
func unled(topics kadm.TopicDetails, want map[string]int32) string {
	for name, partitions := range want {
		t := topics[name]
		if t.Err != nil || int32(len(t.Partitions)) < partitions {
			return name
		}
		for _, p := range t.Partitions {
			if p.Err != nil || p.Leader < 0 {
				return name
			}
		}
	}
	return ""
}

func (t *Topic) create(ctx context.Context, adm *kadm.Client, minInsync int) error {
	configs := make(map[string]*string)
	for _, o := range t.options(minInsync) {
		configs[o.key] = kadm.StringPtr(o.value)
	}
	_, err := adm.CreateTopic(ctx, t.Partitions, t.Replication, configs, t.Name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s (%s): %w", t.Name, t.describe(), err)
	}
	return nil
}

func alter(ctx context.Context, adm *kadm.Client, c Change) error {
	responses, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: c.What, Value: kadm.StringPtr(c.Want)}}, c.Topic)
	if err == nil {
		for _, r := range responses {
			if r.Err != nil {
				err = r.Err
			}
		}
	}
	if err != nil {
		return fmt.Errorf("set %s of topic %s to %s: %w", c.What, c.Topic, c.Want, err)
	}
	return nil
}
