//go:build unix

package torture

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/test/harness"
)

// seeded names the set that every seed makes anew. Its contract is that of an adversarial set; what is right is what freshet judge says, which the
// tests of package freshness hold to a second, naive judgement on histories of this kind.
const seeded = "seeded"

// contractOf is the golden set whose contract a set is judged by.
func contractOf(set string) string {
	if set == seeded {
		return "adversarial-1"
	}
	return set
}

// files returns the paths of a set's events and verdicts. Those of the seeded set are made.
func (w *world) files() (events, verdicts string) {
	if w.set != seeded {
		at := filepath.Join(golden, w.set)
		return at + ".events.ndjson.gz", at + ".verdicts.ndjson.gz"
	}
	events, verdicts = filepath.Join(w.dir, "events.ndjson.gz"), filepath.Join(w.dir, "verdicts.ndjson.gz")
	lines := seededEvents(*seed)
	w.compress(events, append(bytes.Join(lines, []byte("\n")), '\n'))
	contract := filepath.Join(golden, contractOf(seeded)+".contracts.yaml")
	w.compress(verdicts, w.freshet("judge", "-contracts.file", contract, events))
	kinds := map[any]int{}
	for _, line := range harness.Golden(w.t, verdicts) {
		kinds[line["verdict"]]++
	}
	if len(kinds) != 3 || min(kinds["fresh"], kinds["stale"], kinds["unknown"]) < 10 {
		w.t.Fatalf("the seed makes too little of something: %v", kinds)
	}
	w.t.Logf("uses of the seeded set: %v", kinds)
	return events, verdicts
}

func (w *world) compress(path string, text []byte) {
	w.t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		w.t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

const (
	seededWorkflows = 300
	seededEach      = 15   // events of a workflow
	seededVersions  = 4    // of an item
	seededSpan      = 1800 // seconds that all of it lasts
)

var seededItems = []string{"policy/p1", "policy/p2", "feature/f1", "feature/f2", "feature/f3", "doc/d1", "doc/d/2", "prompt/système", "memo/m"}

// clashing makes events from small pools, so that instants, ids and versions clash.
type clashing struct {
	*rand.Rand
	lines [][]byte
	ids   []string
}

func seededEvents(seed uint64) [][]byte {
	c := &clashing{Rand: rand.New(rand.NewPCG(seed, 3))}
	for _, item := range seededItems {
		for range 2 * seededVersions {
			c.source(item)
		}
	}
	for i := range seededWorkflows {
		id := fmt.Sprintf("s-%d", i)
		if c.IntN(4) > 0 { // only what has begun is open, and has detections
			c.say(id, "task.started", map[string]any{})
		}
		if c.IntN(4) > 0 { // what most of them have to have
			c.say(id, "context.loaded", map[string]any{"refs": []any{c.ref("policy/p1")}})
		}
		for range seededEach {
			c.workflow(id)
		}
		c.say(id, c.of("decision.proposed", "action.executed"), c.decided())
	}
	return c.lines
}

func (c *clashing) of(all ...string) string { return all[c.IntN(len(all))] }

// instant is one of few: a second of the half hour, and now and then a millisecond beside it.
func (c *clashing) instant() string {
	at := event.Time(1_795_770_000_000) + event.Time(c.IntN(seededSpan))*1000
	if c.IntN(10) == 0 {
		at += event.Time(c.IntN(3) - 1)
	}
	return at.String()
}

func (c *clashing) say(subject, kind string, data map[string]any) {
	id := fmt.Sprintf("e%d", len(c.ids))
	if len(c.ids) > 0 && c.IntN(20) == 0 {
		id = c.ids[c.IntN(len(c.ids))]
	}
	c.ids = append(c.ids, id)
	line := map[string]any{
		"specversion": "1.0", "id": id, "source": c.of("/s", "/t"), "type": c.of("", "io.freshet.") + kind, "time": c.instant(), "subject": subject, "data": data,
	}
	if kind != "source.updated" && kind != "source.available" && kind != "source.heartbeat" {
		line["workflowtype"] = c.of("refund", "refund", "refund", "triage")
		if c.IntN(10) == 0 {
			line["trafficclass"] = c.of("live", "eval", "replay", "backfill")
		}
	}
	b, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	c.lines = append(c.lines, b)
	if c.IntN(25) == 0 { // said twice
		c.lines = append(c.lines, b)
	}
}

// item returns an item's kind and key as data.
func (c *clashing) item(name string) map[string]any {
	kind, key, _ := bytes.Cut([]byte(name), []byte("/"))
	return map[string]any{"kind": string(kind), "key": string(key)}
}

func (c *clashing) source(name string) {
	data := c.item(name)
	switch c.IntN(6) {
	case 0:
		data["seq"], data["consumer"] = 1+c.IntN(seededVersions), "index"
		c.say(name, "source.available", data)
	case 1:
		data["through"] = c.instant()
		c.say(name, "source.heartbeat", data)
	default:
		seq := 1 + c.IntN(seededVersions)
		data["seq"], data["version"], data["change"] = seq, fmt.Sprintf("v%d", seq), c.of("updated", "updated", "updated", "updated", "updated", "retracted")
		if c.IntN(2) == 0 {
			data["effective_at"] = c.instant()
		}
		c.say(name, "source.updated", data)
	}
}

func (c *clashing) refs() []any {
	var refs []any
	for range 1 + c.IntN(3) {
		refs = append(refs, c.ref(c.of(seededItems...)))
	}
	return refs
}

func (c *clashing) ref(name string) map[string]any {
	ref := c.item(name)
	switch seq := 1 + max(c.IntN(seededVersions), c.IntN(seededVersions)); c.IntN(6) {
	case 0, 1, 2:
		ref["seq"] = seq
	case 3:
		ref["version"] = fmt.Sprintf("v%d", seq)
	}
	if c.IntN(3) == 0 {
		ref["as_of"] = c.instant()
	}
	return ref
}

func (c *clashing) decided() map[string]any {
	data := map[string]any{"decision_id": c.of("d1", "d2", "d3")}
	if c.IntN(3) == 0 {
		data["class"] = c.of("large", "small")
	}
	if c.IntN(4) == 0 {
		data["based_on"] = c.refs()
	}
	return data
}

func (c *clashing) workflow(id string) {
	switch n := c.IntN(12); {
	case n < 4:
		c.say(id, "context.loaded", map[string]any{"refs": c.refs()})
	case n < 5:
		c.say(id, "context.dropped", map[string]any{"refs": c.refs()})
	case n < 7:
		c.say(id, c.of("tool.called", "tool.result", "tool.retry_scheduled"), map[string]any{"call_id": c.of("c", "d"), "tool": "t"})
	case n < 9:
		c.say(id, c.of("approval.requested", "approval.granted", "task.waiting", "task.resumed", "task.completed"), map[string]any{})
	default:
		c.say(id, c.of("decision.proposed", "action.executed"), c.decided())
	}
}
