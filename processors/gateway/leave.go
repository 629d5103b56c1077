package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-kit/log/level"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaveTime is how long brokers may take to let an instance go. An instance that ends without having left is missed after its session timeout.
const leaveTime = 2 * time.Second

// leave lets the other instances of the group take this one's partitions over at once: they would wait for a static member, which only went
// silent, until its session is over. Who is alone stays: nobody waits, and it has its partitions at once when it comes back.
func (g *Gateway) leave() {
	client, s := g.client.Load(), g.current.Load()
	if client == nil || s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	groups, err := kadm.NewClient(client).DescribeGroups(ctx, g.spec.Name)
	if err == nil && len(groups[g.spec.Name].Members) > 1 {
		err = g.removeMember(ctx, client, s.MemberID())
	}
	if err != nil {
		_ = level.Warn(g.logger).Log("msg", "the group could not be left, its other instances wait until the session is over", "err", err)
	}
}

// removeMember takes this life of the instance out of the group. The member id keeps it from removing a next life that has joined already.
func (g *Gateway) removeMember(ctx context.Context, client *kgo.Client, member string) error {
	one := kmsg.NewLeaveGroupRequestMember()
	one.MemberID, one.InstanceID = member, &g.spec.Instance
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.Members = g.spec.Name, append(req.Members, one)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("leave group %s: %w", g.spec.Name, err)
	}
	err = kerr.ErrorForCode(resp.ErrorCode)
	for i := range resp.Members {
		err = errors.Join(err, kerr.ErrorForCode(resp.Members[i].ErrorCode))
	}
	if err != nil {
		return fmt.Errorf("leave group %s as %s: %w", g.spec.Name, member, err)
	}
	return nil
}
