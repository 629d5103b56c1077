package tail

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestSteady(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		adm := kadm.NewClient(r.cl)
		for _, c := range []struct {
			name, says string
			change     func(t *testing.T, topic string)
		}{
			{"again", "made anew", func(t *testing.T, topic string) {
				if _, err := adm.DeleteTopics(t.Context(), topic); err != nil {
					t.Fatal(err)
				}
				within := within(t)
				for {
					resp, err := adm.CreateTopic(within, 2, 1, nil, topic)
					if err == nil && resp.Err == nil {
						return
					}
					if within.Err() != nil {
						t.Fatal(err, resp.Err)
					}
				}
			}},
			{"more", "3 partitions instead of 2", func(t *testing.T, topic string) {
				if _, err := adm.CreatePartitions(t.Context(), 1, topic); err != nil {
					t.Fatal(err)
				}
			}},
		} {
			t.Run(c.name, func(t *testing.T) {
				topic, other := r.topic(t, 2), r.topic(t, 1)
				s, err := r.logs(t).Steady(within(t), topic, other)
				if err != nil {
					t.Fatal(err)
				}
				ask := []TopicPartition{{Topic: other}}
				if ends, err := s.Ends(within(t), ask, false); err != nil || len(ends) != 1 {
					t.Fatal(ends, err)
				}
				c.change(t, topic)
				ctx := within(t)
				for s.Err() == nil && ctx.Err() == nil {
					_, _ = s.Ends(ctx, ask, false)
				}
				if err := s.Err(); !errors.Is(err, ErrTopicChanged) || !strings.Contains(err.Error(), topic) || !strings.Contains(err.Error(), c.says) {
					t.Fatal(err)
				}
				select {
				case <-s.Changed():
				default:
					t.Error("nobody is told")
				}
				if ends, err := s.Ends(context.Background(), ask, false); err == nil {
					t.Errorf("it says where topics end: %v", ends)
				}
			})
		}
		if _, err := r.logs(t).Steady(within(t), "there-is-no-such-topic"); err == nil {
			t.Error("a topic that does not exist is watched")
		}
	})
}
