package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Peer is a member of the group as the brokers know it.
type Peer struct {
	Instance   string
	Addr       string // that it has announced by its join metadata
	Partitions []int32
}

// Peers asks the brokers who is in the group, where each listens, and what it has. There is no second membership that could disagree.
func (g *Gateway) Peers(ctx context.Context) ([]Peer, error) {
	client := g.client.Load()
	if client == nil {
		return nil, errors.New("the group has not been joined")
	}
	return Peers(ctx, client, g.spec.Name, g.spec.Inputs[0])
}

// Peers asks the same of a group that this instance need not be in, whose partitions are those of a topic.
func Peers(ctx context.Context, client *kgo.Client, group, topic string) ([]Peer, error) {
	groups, err := kadm.NewClient(client).DescribeGroups(ctx, group)
	if err == nil {
		err = groups.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", group, err)
	}
	var peers []Peer
	for _, m := range groups[group].Members {
		p := Peer{}
		if m.InstanceID != nil {
			p.Instance = *m.InstanceID
		}
		if join, ok := m.Join.AsConsumer(); ok {
			p.Addr = string(join.UserData)
		}
		if has, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range has.Topics {
				if t.Topic == topic { // the others have the same partitions
					p.Partitions = append(p.Partitions, t.Partitions...)
				}
			}
		}
		peers = append(peers, p)
	}
	return peers, nil
}
