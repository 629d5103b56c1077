package bench

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/topology"
)

// Names of a breach: of its objective, and of what is silent.
const (
	objectiveName = "objective-%d"
	quietKey      = "quiet-%d"
)

// PageContract has so many objectives, each of a type of workflow of its own and with four rules over eight windows, and a kind of source
// that has to speak. One bad use is enough to page.
func PageContract(objectives int, lateness, silence time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, `version: 1
owners: {a: {}}
contexts:
  policy: {owner: a}
  quiet: {owner: a, max_silence: %s}
lateness: {default: %s}
workflows:
`, silence, lateness)
	for i := range objectives {
		fmt.Fprintf(&b, "  type-%d: {owner: a, bounds: {policy: {max_versions_behind: 0}}}\n", i)
	}
	b.WriteString("slos:\n")
	for i := range objectives {
		fmt.Fprintf(&b, "  - {name: "+objectiveName+", workflow: type-%[1]d, use: action.executed, objective: 0.995, window: 30d, alerting: {min_events: 1}}\n", i)
	}
	return b.String()
}

// Pages makes breaches, and hears how long a reader of the same topic waits for the same records.
type Pages struct {
	*Writer

	mu    sync.Mutex
	wrote map[string]time.Time // what was breached, and when
	echo  map[string]time.Time // when a reader had the record
}

// NewPages connects, and publishes two versions of what decisions rest on.
func NewPages(ctx context.Context, cluster access.Cluster, g *topology.Graph, now time.Time) (*Pages, error) {
	w, err := NewWriter(cluster, g)
	if err != nil {
		return nil, err
	}
	p := &Pages{Writer: w, wrote: map[string]time.Time{}, echo: map[string]time.Time{}}
	for seq := 1; seq <= 2; seq++ {
		at := now.Add(time.Duration(seq-3) * time.Second)
		r := w.record(event.Source, "source.updated", "policy/p", at, at, fmt.Sprintf(`{"kind":"policy","key":"p","seq":%d,"version":"v%[1]d"}`, seq))
		if err := w.client.ProduceSync(ctx, r).FirstErr(); err != nil {
			w.Close()
			return nil, fmt.Errorf("write to %s: %w", r.Topic, err)
		}
	}
	return p, nil
}

// Breach has a workflow of the i-th objective's type act on what is superseded, now.
func (p *Pages) Breach(ctx context.Context, i int, now time.Time) error {
	id := fmt.Sprintf(objectiveName, i)
	r := p.recordOf(fmt.Sprint("type-", i), event.Decision, "action.executed", id, now, now, `{"decision_id":"d","based_on":[{"kind":"policy","key":"p","seq":1}]}`)
	return p.write(ctx, id, r, now)
}

// Speak has the i-th source give its only sign of life, now.
func (p *Pages) Speak(ctx context.Context, i int, now time.Time) error {
	key := fmt.Sprintf(quietKey, i)
	r := p.record(event.Source, "source.updated", "quiet/"+key, now, now, fmt.Sprintf(`{"kind":"quiet","key":%q,"seq":1,"version":"v1"}`, key))
	return p.write(ctx, key, r, now)
}

func (p *Pages) write(ctx context.Context, what string, r *kgo.Record, now time.Time) error {
	p.mu.Lock()
	p.wrote[what] = now
	p.mu.Unlock()
	if err := p.client.ProduceSync(ctx, r).FirstErr(); err != nil {
		return fmt.Errorf("write to %s: %w", r.Topic, err)
	}
	return nil
}

// Listen reads the topic of decisions until ctx ends, as raw as a reader can be.
func (p *Pages) Listen(ctx context.Context, cluster access.Cluster, now func() time.Time) error {
	t := p.topics[event.Decision]
	from := map[int32]kgo.Offset{}
	for q := range t.Partitions {
		from[q] = kgo.NewOffset().AtEnd()
	}
	client, err := kgo.NewClient(cluster.Kgo(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.Name: from}))...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", cluster, err)
	}
	defer client.Close()
	for ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.echo[string(r.Key)] = now()
		})
	}
	return nil
}

// Objective and Quiet name what is breached: the i-th objective, the i-th source.
func Objective(i int) string { return fmt.Sprintf(objectiveName, i) }

// Quiet names the i-th source.
func Quiet(i int) string { return fmt.Sprintf(quietKey, i) }

// Wrote returns when something was breached, or spoke.
func (p *Pages) Wrote(what string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wrote[what]
}

// Echo returns when the reader had the record of a breach, if it has.
func (p *Pages) Echo(what string) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.echo[what]
	return at, ok
}
