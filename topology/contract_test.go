package topology

import (
	"testing"

	"github.com/freshet-io/freshet/slo"
)

func TestFromContract(t *testing.T) {
	const text = `version: 1
owners:
  payments: {}
contexts:
  policy: {owner: payments}
workflows:
  refund: {owner: payments, bounds: {policy: {max_staleness: 60s}}}
topics:
  legacy.tools: {category: tool, owner: payments, rekey: true, dead_letter: legacy.tools.dead-letter}
  workflow.decision: {category: decision, owner: payments, retention: 90d, writers: ["User:agents"], readers: ["User:audit"], schema: s.json}
partitioner: crc32
retention: {decisions: 48h}
lateness: {default: 7s, context.source: 10s}
`
	f, err := slo.Parse([]byte(text), "contracts.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := FromContract(config(t), f)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "inputs", names(g.Inputs), "workflow.control", "workflow.context", "legacy.tools", "workflow.decision", "context.source")
	if g.Partitioner != CRC32 || g.Retention != 2*day {
		t.Errorf("partitioner %s, retention %s", g.Partitioner, span(g.Retention))
	}
	tools, _ := g.Topic("legacy.tools")
	if !tools.Rekey || tools.DeadLetter != "legacy.tools.dead-letter" || tools.Owner != "payments" || tools.Lateness != 7*second {
		t.Errorf("%+v", tools)
	}
	decisions, _ := g.Topic("workflow.decision")
	if decisions.Retention != 90*day || decisions.Schema != "s.json" {
		t.Errorf("%+v", decisions)
	}
	same(t, "writers", decisions.Writers, "User:agents")
	same(t, "readers", decisions.Readers, "User:audit")
	if source, _ := g.Topic("context.source"); source.Lateness != 10*second {
		t.Errorf("%+v", source)
	}
}
