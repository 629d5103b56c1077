package topology

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grafana/dskit/backoff"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Apply makes the changes of a plan. While one of them is refused it makes none; a warning stops nothing. A topic that somebody else
// has created since the plan was made is left as it is: the next plan says whether it fits.
func Apply(ctx context.Context, adm *kadm.Client, changes []Change) error {
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
	return await(ctx, adm, changes)
}

// metadataTimeout bounds how long brokers may take to know of a topic that the controller has created.
const metadataTimeout = 30 * time.Second

// await waits until the topics that were created are there with all their leaders: who starts next must find them.
func await(ctx context.Context, adm *kadm.Client, changes []Change) error {
	want := map[string]int32{}
	var names []string
	for _, c := range changes {
		if c.Action == Create {
			want[c.topic.Name] = c.topic.Partitions
			names = append(names, c.topic.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	retry := backoff.New(ctx, backoff.Config{MinBackoff: 20 * time.Millisecond, MaxBackoff: time.Second})
	missing := names[0]
	for retry.Ongoing() {
		topics, err := adm.ListTopics(kadm.WithAuthorizedOps(ctx), names...) // not from the client's memory, as in look
		if err != nil {
			return fmt.Errorf("look for the topics that were created: %w", err)
		}
		if missing = unled(topics, want); missing == "" {
			return nil
		}
		retry.Wait()
	}
	return fmt.Errorf("topic %s was created, but the brokers do not know it yet: %w", missing, retry.Err())
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
