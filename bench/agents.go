package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/topology"
)

// Agents makes the events of workflows that hold some items each, and ask whether those still hold.
type Agents struct {
	*Writer
	Workflows int
	Items     int // of one workflow
}

// agentItems is how many items there are of which the agents hold some.
const agentItems = 1000

// WithAgents adds to the contract of a workload what agents are judged by.
func WithAgents(contract string) string {
	contract = strings.Replace(contract, "contexts:\n", "contexts:\n  rule: {owner: risk}\n", 1)
	return strings.Replace(contract, "workflows:\n", "workflows:\n  held: {owner: payments, bounds: {rule: {max_staleness: 10m, max_versions_behind: 1, max_age: 24h}}}\n", 1)
}

// NewAgents connects.
func NewAgents(cluster access.Cluster, g *topology.Graph, workflows, items int) (*Agents, error) {
	w, err := NewWriter(cluster, g)
	return &Agents{w, workflows, items}, err
}

// Load publishes the items, and has every agent load its own.
func (a *Agents) Load(ctx context.Context, at time.Time) error {
	for i := range agentItems {
		for seq := 1; seq <= 3; seq++ {
			published := at.Add(time.Duration(seq-4) * time.Minute)
			a.send(ctx, a.record(event.Source, "source.updated", fmt.Sprintf("rule/r%d", i), published, published, fmt.Sprintf(`{"kind":"rule","key":"r%d","seq":%d}`, i, seq)))
		}
	}
	for n := range a.Workflows {
		a.send(ctx, a.record(event.Control, "task.started", a.id(n), at, at, `{}`))
		a.send(ctx, a.load(n, at))
	}
	return a.flush(ctx)
}

func (a *Agents) id(n int) string { return fmt.Sprintf("agent-%d", n) }

// load is an agent's load of its items.
func (a *Agents) load(n int, at time.Time) *kgo.Record {
	refs := make([]string, a.Items)
	for i := range refs {
		refs[i] = fmt.Sprintf(`{"kind":"rule","key":"r%d","seq":3}`, (n*7919+i*104729)%agentItems)
	}
	return a.record(event.Context, "context.loaded", a.id(n), at, at, `{"refs":[`+strings.Join(refs, ",")+`]}`)
}

// Checks are the requests of all agents.
func (a *Agents) Checks() [][]byte {
	all := make([][]byte, a.Workflows)
	for n := range all {
		all[n] = fmt.Appendf(nil, `{"workflow":%q}`, a.id(n))
	}
	return all
}

// Own is how soon agents see what they have written.
type Own struct {
	Checks int     `json:"checks"`
	P50    float64 `json:"p50_us"` // from the acknowledgement of a load to the answer that rests on it
	P99    float64 `json:"p99_us"`
	Max    float64 `json:"max_us"`
	Missed int     `json:"missed"` // answers that did not rest on it
}

// OwnWrites has an agent load its items and check at once, with the acknowledgement of its load, again and again.
func (a *Agents) OwnWrites(ctx context.Context, addr string, wait, d time.Duration, now func() time.Time) (o Own, err error) {
	asking := &Asking{Addr: addr, Path: "/v1/check"}
	var one *asker // it connects once there is something to ask
	var took []time.Duration
	for begun := now(); now().Sub(begun) < d; {
		n := len(took) % a.Workflows
		r := a.load(n, now())
		if err := a.client.ProduceSync(ctx, r).FirstErr(); err != nil {
			return o, fmt.Errorf("write a load: %w", err)
		}
		if one == nil {
			if one, err = asking.open(); err != nil {
				return o, err
			}
			defer one.conn.Close()
		}
		acked := now()
		body := fmt.Sprintf(`{"workflow":%q,"at_least":[{"topic":%q,"partition":%d,"offset":%d}],"wait_s":%g}`, a.id(n), r.Topic, r.Partition, r.Offset, wait.Seconds())
		if err := one.ask(asking.request([]byte(body))); err != nil {
			return o, err
		}
		took = append(took, now().Sub(acked))
		if !strings.Contains(string(one.body), fmt.Sprintf(`"offset":%d}`, r.Offset)) {
			o.Missed++
		}
	}
	o.Checks = len(took)
	o.P50, o.P99, o.Max = Quantiles(took)
	return o, nil
}
