package freshness_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// This file makes the random histories.

// generator makes one history. Everything comes from small pools, so that it clashes.
type generator struct {
	*rand.Rand
	unit  event.Time // instants and bounds are multiples of it
	span  int        // how many units a history lasts
	seq   int64      // the smallest
	seqs  int        // how many
	items []randomItem
	clash float64 // how often an event is at the instant, or has the id, of an earlier one
	made  []randomHead
	h     randomHistory
}

type randomItem struct{ kind, key string }

// randomHead is what an event may have in common with an earlier one.
type randomHead struct {
	at         event.Time
	id, source string
}

// randomStart is the instant from which histories run.
const randomStart = event.Time(1_767_225_600_000)

func newRandomHistory(seed uint64) randomHistory {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), h: randomHistory{Seed: seed}}
	g.unit = pick(g, event.Time(1), 1, 500, 1000, 60_000)
	g.span = 3 + g.IntN(20)
	g.seq = pick(g, int64(1), 1, 1, 1, 0, -2, 1<<53-1, math.MaxInt64-300)
	g.seqs = 2 + g.IntN(5)
	g.clash = pick(g, 0.05, 0.2, 0.5)
	all := []randomItem{{"a", "x"}, {"a", "x/y"}, {"a-b", "x"}, {"a-b", "w"}, {"b", "x"}, {"b", "é"}, {"c", "x"}}
	for range 1 + g.IntN(3) {
		g.items = append(g.items, all[g.IntN(len(all))])
	}
	g.contract()
	events := 3 + g.IntN(40)
	if g.Float64() < 0.02 {
		// A version history of several rows, in which most uses see a part.
		g.span, g.seqs, events = 300, 250, 400
		g.items = g.items[:1]
	}
	sources := pick(g, 0.2, 0.4, 0.7)
	workflows := 1 + g.IntN(2)
	for range events {
		if g.Float64() < sources {
			g.source()
		} else {
			g.workflow(fmt.Sprintf("w%d", g.IntN(workflows)))
		}
	}
	// Whatever else there is, something is judged.
	g.decision("w0", pick(g, "decision.proposed", "action.executed"))
	for range g.IntN(4) {
		again := g.h.Records[g.IntN(len(g.h.Records))]
		again.Appended += event.Time(g.IntN(5)-1) * g.unit
		g.h.Records = append(g.h.Records, again)
	}
	return g.h
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// maybe reports true that often.
func (g *generator) maybe(often float64) bool { return g.Float64() < often }

// instant is one of the history. Several draws bring it to its end, a negative number to its start.
func (g *generator) instant(draws int) event.Time {
	n := g.IntN(g.span)
	for range draws {
		n = max(n, g.IntN(g.span))
	}
	for range -draws {
		n = min(n, g.IntN(g.span))
	}
	at := randomStart + event.Time(n)*g.unit
	if g.maybe(0.05) {
		at += pick(g, event.Time(-1), 1)
	}
	return at
}

// contract makes contexts, workflow types and classes. Workflows may also be of a type that it does not name.
func (g *generator) contract() {
	c := naiveContract{Contexts: map[string]freshness.Context{}, Workflows: map[string]naiveWorkflow{}}
	for _, kind := range []string{"a", "a-b", "b", "c"} {
		if g.maybe(0.2) {
			continue
		}
		context := naiveContext(pick(g, "one", "two"), "", nil)
		context.ServingOwner = pick(g, context.Owner, "three")
		context.Basis = pick(g, freshness.BySource, freshness.ByPublished)
		context.Reported = g.maybe(0.5)
		context.History = pick(g, 1, 1, 2, 3, 64, 1024, 1024, 1024)
		if g.maybe(0.4) {
			context.HasMaxSilence, context.MaxSilence = true, freshness.Duration(g.length())
		}
		c.Contexts[kind] = context
	}
	for _, name := range []string{"alpha", "beta"} {
		w := naiveWorkflow{Owner: pick(g, "one", "four"), Bounds: g.bounds(), Classes: map[string]map[string]naiveBounds{}}
		for _, kind := range []string{"a", "a-b", "b"} {
			if g.maybe(0.08) {
				w.Require = append(w.Require, kind)
			}
		}
		for _, class := range []string{"small", "large"} {
			if g.maybe(0.7) {
				w.Classes[class] = g.bounds()
			}
		}
		c.Workflows[name] = w
	}
	g.h.Contract = c
}

// length is that of a bound.
func (g *generator) length() int64 {
	return int64(g.IntN(1+g.span/pick(g, 2, 6))) * int64(g.unit)
}

// bounds makes one level of bounds, with kinds that are not named, shields and nulls.
func (g *generator) bounds() map[string]naiveBounds {
	bound := func(value int64) naiveBound {
		switch {
		case g.maybe(0.4):
			return naiveBound{}
		case g.maybe(0.15):
			return naiveBound{Null: true}
		}
		return naiveBound{Set: true, Value: value}
	}
	level := map[string]naiveBounds{}
	for _, kind := range []string{"a", "a-b", "b", "*"} {
		switch {
		case g.maybe(0.2):
		case g.maybe(0.1):
			level[kind] = naiveBounds{}
		default:
			level[kind] = naiveBounds{bound(g.length()), bound(int64(g.IntN(3))), bound(g.length())}
		}
	}
	return level
}

// add makes an event of a type: its attributes at random, its data as given.
func (g *generator) add(subject, kind string, data map[string]any) {
	// What is used is loaded first, more often than not.
	draws := 0
	switch kind {
	case "context.loaded", "source.updated":
		draws = -1
	case "decision.proposed", "action.executed":
		draws = 1
	}
	head := randomHead{at: g.instant(draws), id: fmt.Sprintf("e%d", len(g.made)), source: pick(g, "/s", "/t")}
	if g.maybe(0.3) {
		head.id = pick(g, "1", "2", "10")
	}
	if len(g.made) > 0 && g.maybe(g.clash) {
		earlier := g.made[g.IntN(len(g.made))]
		head.at = earlier.at
		if g.maybe(0.5) {
			head.id = earlier.id
		}
		if g.maybe(0.5) {
			head.source = earlier.source
		}
	}
	g.made = append(g.made, head)
	if g.maybe(0.1) {
		data["x"] = g.IntN(2)
	}
	line := map[string]any{
		"specversion": "1.0", "id": head.id, "source": head.source, "type": pick(g, "", "", "io.freshet.", "com.acme.x.") + kind,
		"time": head.at.String(), "subject": subject, "data": data,
	}
	appended := head.at + event.Time(pick(g, 0, 0, 0, 1, 1, 2, 3, -1))*g.unit
	if g.maybe(0.2) {
		line["recordedtime"] = g.instant(0).String()
	}
	if !strings.HasPrefix(kind, "source.") {
		if g.maybe(0.2) {
			line["trafficclass"] = pick(g, "live", "backfill", "eval", "replay")
		}
		// Whether an event of a type that is not known can claim a workflow's type is left open by the contract.
		if kind != "task.unheard" {
			g.claim(line, data)
		}
	}
	b, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	g.h.Records = append(g.h.Records, randomRecord{string(b), appended})
}

// claim makes some workflow events say of what type their workflow is, in one place or the other or in both.
func (g *generator) claim(line, data map[string]any) {
	// Most claims of a history agree, or no workflow had a contract for long.
	name := "alpha"
	if g.maybe(0.1) {
		name = pick(g, "alpha", "beta", "gamma")
	}
	if g.maybe(0.5) {
		line["workflowtype"] = name
	}
	if g.maybe(0.05) {
		data["workflow_type"] = pick(g, "alpha", "beta")
	}
}

func (g *generator) anySeq() int64 { return g.seq + int64(g.IntN(g.seqs)) }

// version is the name of a version: usually of several.
func (g *generator) version() string { return pick(g, "v1", "v1", "v2", "v2", "v3") }

// source makes an event of a context item.
func (g *generator) source() {
	it := pick(g, g.items...)
	data := map[string]any{"kind": it.kind, "key": it.key}
	switch n := g.IntN(12); {
	case n < 7:
		data["seq"] = g.anySeq()
		if g.maybe(0.9) {
			data["version"] = g.version()
		}
		if g.maybe(0.6) {
			data["effective_at"] = g.instant(0).String()
		}
		if g.maybe(0.3) {
			data["change"] = pick(g, "updated", "retracted", "retracted", "rolled_back")
		}
		g.add(it.kind+"/"+it.key, "source.updated", data)
	case n < 9:
		data["through"] = g.instant(0).String()
		if g.maybe(0.4) {
			delete(data, "key")
			it.key = ""
		}
		g.add(it.kind+"/"+it.key, "source.heartbeat", data)
	default:
		data["seq"], data["consumer"] = g.anySeq(), "index"
		g.add(it.kind+"/"+it.key, "source.available", data)
	}
}

// refs makes a list of REFs, perhaps empty, perhaps with an item twice.
func (g *generator) refs(least int) []any {
	refs := []any{}
	for range least + g.IntN(3) {
		it := pick(g, g.items...)
		ref := map[string]any{"kind": it.kind, "key": it.key}
		if g.maybe(0.5) {
			ref["seq"] = g.anySeq()
		}
		if g.maybe(0.6) {
			ref["version"] = g.version()
		}
		if g.maybe(0.5) {
			ref["as_of"] = g.instant(0).String()
		}
		refs = append(refs, ref)
	}
	return refs
}

// workflow makes an event of a workflow.
func (g *generator) workflow(id string) {
	call := map[string]any{"call_id": pick(g, "c", "d"), "tool": "t"}
	switch n := g.IntN(40); {
	case n < 12:
		g.add(id, "context.loaded", map[string]any{"refs": g.refs(1)})
	case n < 14:
		g.add(id, "context.dropped", map[string]any{"refs": g.refs(1)})
	case n < 16:
		call["refs"] = g.refs(1)
		call["status"] = pick(g, "ok", "error")
		g.add(id, "tool.result", call)
	case n < 18:
		g.add(id, "tool.result", call)
	case n < 20:
		g.add(id, "tool.called", call)
	case n < 22:
		g.add(id, "tool.retry_scheduled", map[string]any{"call_id": pick(g, "c", "d")})
	case n < 25:
		g.add(id, pick(g, "approval.requested", "approval.requested", "approval.granted", "approval.denied"), map[string]any{})
	case n < 27:
		g.add(id, pick(g, "task.waiting", "task.waiting", "task.resumed"), map[string]any{})
	case n < 28:
		g.add(id, pick(g, "task.created", "task.started", "task.completed", "task.failed", "task.cancelled", "task.unheard"), map[string]any{})
	case n < 29:
		g.add(id, pick(g, "action.approved", "action.rejected", "action.overridden", "compensation.triggered"), g.decided())
	default:
		g.decision(id, pick(g, "decision.proposed", "action.executed"))
	}
}

// decided is the data of a decision event.
func (g *generator) decided() map[string]any {
	data := map[string]any{"decision_id": pick(g, "d1", "d2", "d3")}
	if g.maybe(0.3) {
		data["class"] = pick(g, "small", "large", "other")
	}
	if g.maybe(0.25) {
		data["based_on"] = g.refs(pick(g, 0, 1, 1))
	}
	return data
}

func (g *generator) decision(id, kind string) {
	g.add(id, kind, g.decided())
}
