package gateway

import (
	"errors"
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/processors/tail"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicMadeAnew has an input made anew, longer than the old one was, and after that an offset of the old one committed, as an instance
// does that has not seen it. Who comes next has to read the new one from its start. (Without the rule it reads on where the old one ended.)
func topicMadeAnew(t *testing.T, without bool) string {
	_, addr := startCluster(t)
	logs, err := tail.New([]string{addr}, testLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	before := idOf(t, logs)
	makeAnew(t, addr, inputA)
	commitOne(t, logs, tail.Committed{Next: 5, Topic: before})
	tell(t, addr, inputA, 0, 8)
	run(t, addr, "a", memory(t), &counter{output}, func(g *Gateway) { g.off.nameless = without })
	within := inTime
	if without {
		within = hopeless
	}
	if until(t, within, func() bool { return committed(t, addr, output, 0) == 8 }) {
		return ""
	}
	return fmt.Sprintf("of 8 records of the new topic %d were read", committed(t, addr, output, 0))
}

func idOf(t *testing.T, logs *tail.Logs) [16]byte {
	t.Helper()
	topics, err := logs.TopicInfo(t.Context(), inputA)
	if err != nil {
		t.Fatal(err)
	}
	return topics[inputA].ID
}

// makeAnew deletes a topic and makes another one of its name.
func makeAnew(t *testing.T, addr, topic string) {
	t.Helper()
	adm := kadm.NewClient(client(t, addr))
	if _, err := adm.DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	if resp, err := adm.CreateTopic(t.Context(), partitions, 1, nil, topic); err != nil || resp.Err != nil {
		t.Fatal(err, resp.Err)
	}
}

// commitOne commits an offset of the first input.
func commitOne(t *testing.T, logs *tail.Logs, c tail.Committed) {
	t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = "counters"
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset, p.Metadata = c.Next, c.Metadata()
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: inputA, TopicID: idOf(t, logs), Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	resp, err := req.RequestWith(t.Context(), logs.Client())
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A client that replaces one which has failed takes no inputs but those of the beginning.
func TestInputsAreThoseOfTheBeginning(t *testing.T) {
	_, addr := startCluster(t)
	g, logs := newGateway(t, addr, "a", memory(t), &counter{output})
	defer logs.Close()
	if err := g.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer g.closeClient()
	g.failed.Store(true)
	if err := g.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	makeAnew(t, addr, inputB)
	g.failed.Store(true)
	if err := g.ready(t.Context()); !errors.Is(err, tail.ErrTopicChanged) {
		t.Errorf("an input was made anew: %v", err)
	}
}
