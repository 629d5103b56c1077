package edges

import (
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/test/harness"
)

// namedTopics gives categories topics of other names, and two of them several.
const namedTopics = `partitioner: fnv1a
topics:
  agents.steps: {category: control, owner: pay}
  agents.decisions: {category: decision, owner: pay}
  crm.calls: {category: tool, owner: pay, dead_letter: crm.dead}
  ledger.calls: {category: tool, owner: pay}
  context.source: {category: source, owner: risk}
  prices: {category: source, owner: risk}
`

// TestNamedTopics writes the golden set as a Go program that uses sarama would, with sarama's own partitioner, into topics of other names
// and a prefix, of which some share a category: all of it lies where the contract's partitioner says.
func TestNamedTopics(t *testing.T) {
	ctx, rng := within(t), random(t)
	k := newKit(t, goldenContract(t, namedTopics), harness.Options{Partitions: 6, Prefix: "stage."})
	records := k.Records(ctx, goldenLines(t))
	more := map[string]string{"stage.crm.calls": "stage.ledger.calls", "stage.context.source": "stage.prices"}
	written := map[string]float64{}
	for _, r := range records {
		if other, ok := more[r.Topic]; ok && rng.IntN(2) == 0 {
			r.Topic = other
		}
		written[r.Topic]++
	}
	for _, topic := range []string{"agents.steps", "agents.decisions", "crm.calls", "ledger.calls", "workflow.context", "context.source", "prices"} {
		if written["stage."+topic] == 0 {
			t.Errorf("nothing goes to %s: %v", topic, written)
		}
	}
	half := len(records) / 2
	k.produceWithSarama(records[:half])
	k.Start(ctx)
	k.produceWithSarama(records[half:])
	k.AwaitNow(ctx)
	k.Verdicts().Compare(ctx, goldenVerdicts(t))
	for _, result := range []string{"rerouted", "dead_letter"} {
		if n := k.Counted("freshet_events_total", map[string]string{"result": result}); n != 0 {
			t.Errorf("%v records are counted as %s", n, result)
		}
	}
	for topic, n := range written {
		counted := k.Counted("freshet_events_total", map[string]string{"topic": topic, "result": "applied"}) + k.Counted("freshet_events_total", map[string]string{"topic": topic, "result": "duplicate"})
		if counted != n {
			t.Errorf("%v events of %s are counted; %v were written", counted, topic, n)
		}
	}
}

// produceWithSarama writes records where sarama puts their keys.
func (k *kit) produceWithSarama(records []*kgo.Record) {
	k.t.Helper()
	cfg := sarama.NewConfig()
	cfg.Version, cfg.Producer.Return.Successes, cfg.Producer.RequiredAcks = sarama.V3_0_0_0, true, sarama.WaitForAll
	p, err := sarama.NewSyncProducer(k.Brokers(), cfg)
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			k.t.Error(err)
		}
	}()
	all := make([]*sarama.ProducerMessage, len(records))
	for i, r := range records {
		m := &sarama.ProducerMessage{Topic: r.Topic, Key: sarama.ByteEncoder(r.Key), Timestamp: r.Timestamp}
		if r.Value != nil {
			m.Value = sarama.ByteEncoder(r.Value)
		}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		all[i] = m
	}
	if err := p.SendMessages(all); err != nil {
		k.t.Fatal(err)
	}
}
