package bench

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/event"
)

// Workload is the size and the seed of a backlog.
type Workload struct {
	Workflows   int
	Items       int     // context items
	Refs        int     // items of one load
	EventBytes  int     // key, value and headers of a record, on average
	UpdateShare float64 // source.updated among all events
	OpenShare   float64 // workflows that do not end
	Seed        uint64
	Objectives  int // of the contract; each counts one of a workflow's two uses

	Begin event.Time        // when the first event happened, 0: the beginning of 2026
	Rate  float64           // events a second of event time, 0: 1000, about
	Now   func() event.Time // when an event happens that happens now; nil, or 0: as Begin and Rate say
}

// EventsPerWorkflow is the length of a workflow: created, started, two loads, a tool call with its result, proposal, approval asked for
// and granted, act, end.
const EventsPerWorkflow = 11

// UsesPerWorkflow is how many verdicts a workflow leads to.
const UsesPerWorkflow = 2

// RegisterFlags declares the flags with their defaults.
func (w *Workload) RegisterFlags(f *flag.FlagSet) {
	f.IntVar(&w.Workflows, "workload.workflows", 100_000, "Workflows, of 11 events each.")
	f.IntVar(&w.Items, "workload.items", 1000, "Context items.")
	f.IntVar(&w.Refs, "workload.refs", 3, "Items of one load.")
	f.IntVar(&w.EventBytes, "workload.event-bytes", 350, "Bytes of a record: key, value and headers, on average.")
	f.Float64Var(&w.UpdateShare, "workload.updates", 0.05, "Share of source updates among all events.")
	f.IntVar(&w.Objectives, "workload.objectives", 0, "Objectives that the contract has. Each counts one of a workflow's two uses.")
	f.Float64Var(&w.OpenShare, "workload.open", 0, "Share of workflows that stay open: they wait for something instead of being completed.")
	f.Uint64Var(&w.Seed, "workload.seed", 1, "Seed: the same sizes and seed make the same records.")
}

// Validate names the flag, the value and what is allowed.
func (w *Workload) Validate() error {
	for _, c := range []struct {
		flag      string
		v         int
		low, high int
	}{
		{"workload.workflows", w.Workflows, 1, 100_000_000}, {"workload.items", w.Items, 1, 10_000_000},
		{"workload.refs", w.Refs, 1, w.Items}, {"workload.event-bytes", w.EventBytes, 0, 100_000},
		{"workload.objectives", w.Objectives, 0, 10_000},
	} {
		if c.v < c.low || c.v > c.high {
			return fmt.Errorf("-%s %d: must be between %d and %d", c.flag, c.v, c.low, c.high)
		}
	}
	if w.OpenShare < 0 || w.OpenShare > 1 {
		return fmt.Errorf("-workload.open %v: must be between 0 and 1", w.OpenShare)
	}
	if w.UpdateShare < 0 || w.UpdateShare > 0.9 {
		return fmt.Errorf("-workload.updates %v: must be between 0 and 0.9", w.UpdateShare)
	}
	return nil
}

// Contract is the contract that the workload is judged by: two kinds, bounded, and the objectives.
func (w *Workload) Contract() string {
	text := `version: 1
owners:
  payments: {slack: "#payments"}
  risk: {slack: "#risk"}
  features: {slack: "#features"}
contexts:
  policy:  {owner: risk, serving_owner: features}
  feature: {owner: features, basis: published}
retention: {decisions: 87600h, workflow_idle: 87600h}
workflows:
  refund:
    owner: payments
    require: [policy]
    bounds:
      policy:  {max_staleness: 10s, max_versions_behind: 1}
      feature: {max_staleness: 30s, max_age: 10m}
    classes:
      large: {bounds: {policy: {max_staleness: 0s, max_versions_behind: 0}}}
slos:
`
	for i := range w.Objectives {
		use := []string{"decision.proposed", "action.executed"}[i%2]
		text += fmt.Sprintf("  - {name: objective-%d, workflow: refund, use: %s, objective: 0.99, window: 30d}\n", i, use)
	}
	return strings.TrimSuffix(text, "slos:\n")
}

// Record is one record of the backlog.
type Record struct {
	Category event.Category
	Key      string
	Value    []byte // valid until the next record
	Headers  []Header
	Time     event.Time
}

// Header is a record header.
type Header struct {
	Key   string
	Value string
}

// begin is the event time at which the workload begins unless it is told otherwise: 2026-01-01T00:00:00Z. It is fixed, so that the same seed makes the
// same bytes.
const begin event.Time = 1767225600000

// tick is the event time between two events.
const tick = 1

// Uses returns the number of verdicts that the workload leads to.
func (w *Workload) Uses() int64 { return int64(w.Workflows) * UsesPerWorkflow }

// Each calls f for every record in the order in which they happened.
func (w *Workload) Each(f func(*Record) error) error {
	g := &generator{Workload: w, rand: rand.New(rand.NewPCG(w.Seed, 0)), items: make([]item, w.Items), now: begin}
	for i := range g.items {
		if err := f(g.update(i)); err != nil {
			return err
		}
	}
	// A workflow begins every so many ticks that its events and the updates fill them.
	gap := float64(EventsPerWorkflow*tick) / (1 - w.UpdateShare)
	begun, nextBegin := 0, float64(g.now)
	for begun < w.Workflows || g.live.Len() > 0 {
		g.now += tick
		if begun < w.Workflows && float64(g.now) >= nextBegin {
			heap.Push(&g.live, step{at: g.now, workflow: begun})
			begun, nextBegin = begun+1, nextBegin+gap
		}
		if g.rand.Float64() < w.UpdateShare {
			if err := f(g.update(g.rand.IntN(w.Items))); err != nil {
				return err
			}
			continue
		}
		if g.live.Len() == 0 || g.live[0].at > g.now && begun < w.Workflows {
			continue
		}
		s := &g.live[0]
		g.now = max(g.now, s.at)
		if err := f(g.step(s)); err != nil {
			return err
		}
		if s.n++; s.n == EventsPerWorkflow {
			heap.Pop(&g.live)
			continue
		}
		s.at = g.now + 20 + event.Time(g.rand.ExpFloat64()*2000) // two seconds between two steps
		heap.Fix(&g.live, 0)
	}
	return nil
}

type item struct{ seq int64 }

func kindOf(i int) string {
	if i%5 == 0 {
		return "policy"
	}
	return "feature"
}

// step is the next event of a workflow that is under way.
type step struct {
	at       event.Time
	workflow int
	n        int
}

type steps []step

func (s steps) Len() int           { return len(s) }
func (s steps) Less(i, j int) bool { return s[i].at < s[j].at }
func (s steps) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *steps) Push(x any)        { *s = append(*s, x.(step)) }
func (s *steps) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

type generator struct {
	*Workload
	rand  *rand.Rand
	items []item
	live  steps
	now   event.Time
	n     int

	record Record
	value  []byte
}

// time is the event time of what happens now.
func (g *generator) time() event.Time {
	if g.Now != nil {
		if now := g.Now(); now != 0 {
			return now
		}
	}
	t := g.now - begin
	if g.Rate > 0 {
		t = event.Time(float64(t) * 1000 / g.Rate)
	}
	if g.Begin != 0 {
		return g.Begin + t
	}
	return begin + t
}

// update publishes the next version of an item.
func (g *generator) update(i int) *Record {
	it := &g.items[i]
	it.seq++
	key := kindOf(i) + "/i" + strconv.Itoa(i)
	g.value = fmt.Appendf(g.value[:0], `{"kind":"%s","key":"i%d","version":"v%d","seq":%d,"effective_at":"%s"`, kindOf(i), i, it.seq, it.seq, g.time())
	return g.finish(event.Source, key, "source.updated", "/registry", "")
}

// step makes the next event of a workflow.
func (g *generator) step(s *step) *Record {
	key := "wf-" + strconv.FormatInt(int64(s.workflow)+1_000_000_000, 36)
	class := "small"
	if s.workflow%10 == 0 {
		class = "large"
	}
	v := g.value[:0]
	switch s.n {
	case 0:
		g.value = append(v, `{"step":"intake"`...)
		return g.finish(event.Control, key, "task.created", "/agents", "refund")
	case 1:
		g.value = append(v, `{"step":"work"`...)
		return g.finish(event.Control, key, "task.started", "/agents", "")
	case 2, 5:
		g.value = g.refs(append(v, '{'), s.workflow, s.n)
		return g.finish(event.Context, key, "context.loaded", "/agents", "")
	case 3:
		g.value = append(v, `{"call_id":"c1","tool":"ledger"`...)
		return g.finish(event.Tool, key, "tool.called", "/agents", "")
	case 4:
		g.value = append(v, `{"call_id":"c1","tool":"ledger","status":"ok"`...)
		return g.finish(event.Tool, key, "tool.result", "/agents", "")
	case 6:
		g.value = fmt.Appendf(v, `{"decision_id":"d1","class":"%s","action":"refund"`, class)
		return g.finish(event.Decision, key, "decision.proposed", "/agents", "")
	case 7:
		g.value = append(v, `{"step":"approval"`...)
		return g.finish(event.Control, key, "approval.requested", "/agents", "")
	case 8:
		g.value = append(v, `{"step":"approval"`...)
		return g.finish(event.Control, key, "approval.granted", "/agents", "")
	case 9:
		g.value = fmt.Appendf(v, `{"decision_id":"d1","class":"%s","action":"refund","actor":"agent-7"`, class)
		return g.finish(event.Decision, key, "action.executed", "/agents", "")
	}
	if float64(s.workflow%1000) < 1000*g.OpenShare {
		g.value = append(v, `{"step":"settlement"`...)
		return g.finish(event.Control, key, "task.waiting", "/agents", "")
	}
	g.value = append(v, `{"step":"done"`...)
	return g.finish(event.Control, key, "task.completed", "/agents", "")
}

// refs are the items of a load, the same ones for both loads of a workflow, in the version that is current, or one in fifty the one before. The first is
// a policy.
func (g *generator) refs(b []byte, workflow, n int) []byte {
	b = append(b, `"refs":[`...)
	for r := range g.Refs {
		i := (workflow*7919 + r*104729) % g.Items
		if r == 0 {
			i = i / 5 * 5
		}
		seq := g.items[i].seq
		if g.rand.IntN(50) == 0 {
			seq = max(1, seq-1)
		}
		if r > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"kind":"%s","key":"i%d","version":"v%d","seq":%d`, kindOf(i), i, seq, seq)
		if n == 5 {
			b = fmt.Appendf(b, `,"as_of":"%s"`, g.time())
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// finish closes the data, pads it to the size wanted and adds the attributes.
func (g *generator) finish(c event.Category, key, typeName, source, workflowType string) *Record {
	g.n++
	r, at := &g.record, g.time()
	*r = Record{Category: c, Key: key, Time: at, Headers: append(r.Headers[:0],
		Header{"ce_specversion", "1.0"},
		Header{"ce_id", "e-" + strconv.Itoa(g.n)},
		Header{"ce_source", source},
		Header{"ce_type", "io.freshet." + typeName},
		Header{"ce_time", at.String()},
		Header{"content-type", "application/json"},
	)}
	if workflowType != "" {
		r.Headers = append(r.Headers, Header{"ce_workflowtype", workflowType})
	}
	size := len(key) + len(g.value) + 1
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	if pad := g.EventBytes - size - len(`,"note":""`); pad > 0 {
		g.value = append(append(append(g.value, `,"note":"`...), strings.Repeat("x", pad)...), '"')
	}
	g.value = append(g.value, '}')
	r.Value = g.value
	return r
}
