package topology

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// One of three brokers hears late of what the controller has done: apply has not ended before it has, for whoever starts next may ask it.
func TestApplyAwaitsEveryBroker(t *testing.T) {
	const late, behind = 2, 3
	c, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	adm, g := kadm.NewClient(client), graph(t, Spec{})
	var left atomic.Int32 // answers that the late broker still gives from before
	var before func(kmsg.DescribeConfigsRequestResource) kmsg.DescribeConfigsResponseResource
	c.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the signature is kfake's
		c.KeepControl()
		if c.CurrentNode() != late || left.Add(-1) < 0 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, r := range req.(*kmsg.DescribeConfigsRequest).Resources {
			a := before(r)
			a.ResourceType, a.ResourceName = r.ResourceType, r.ResourceName
			resp.Resources = append(resp.Resources, a)
		}
		return resp, nil, true
	})
	apply := func(what string, answer func(kmsg.DescribeConfigsRequestResource) kmsg.DescribeConfigsResponseResource) {
		t.Helper()
		changes := plan(t, adm, g)
		if len(changes) == 0 {
			t.Fatalf("%s: nothing to do", what)
		}
		before = answer
		left.Store(behind)
		if err := Apply(within(t), client, changes); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if n := left.Load(); n > 0 {
			t.Errorf("%s: apply ended when a broker did not know of it (%d answers of before left)", what, n)
		}
	}
	apply("topics made", func(kmsg.DescribeConfigsRequestResource) (a kmsg.DescribeConfigsResponseResource) {
		a.ErrorCode = kerr.UnknownTopicOrPartition.Code
		return a
	})
	old := "compact"
	if _, err := adm.AlterTopicConfigs(within(t), []kadm.AlterConfig{{Name: "cleanup.policy", Value: &old}}, "workflow.tool"); err != nil {
		t.Fatal(err)
	}
	apply("an entry set", func(kmsg.DescribeConfigsRequestResource) (a kmsg.DescribeConfigsResponseResource) {
		a.Configs = []kmsg.DescribeConfigsResponseResourceConfig{{Name: "cleanup.policy", Value: &old}}
		return a
	})
	if changes := plan(t, adm, g); len(changes) > 0 {
		t.Errorf("after apply: %v", changes)
	}
}
