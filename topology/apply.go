package topology

import (
	"context"
	"errors"
	"fmt"

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
	return nil
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
