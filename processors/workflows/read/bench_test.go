package read

import (
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// ten makes a workflow that holds ten items, each two versions behind, and what is known of those.
func ten(b *testing.B) (*freshness.Workflow, *freshness.Facts, *freshness.Contract) {
	b.Helper()
	rules := &freshness.Rules{Owner: "o", Kinds: map[string]freshness.KindBounds{"policy": {Judged: true, Bounds: freshness.Bounds{MaxVersionsBehind: 3, HasVersions: true, MaxStaleness: 1e9, HasStaleness: true}}}}
	c := &freshness.Contract{Hash: "h", Contexts: map[string]*freshness.Context{"policy": {Owner: "o"}}, Classes: map[string]map[string]*freshness.Rules{"refund": {"": rules}}}
	batch := freshness.NewBatch(c, freshness.DefaultLimits())
	load := event.Event{Type: event.ContextLoaded, Time: 20, ID: "l", Source: "/b", Subject: "w", WorkflowType: "refund"}
	for i := range 10 {
		key := fmt.Sprint("p", i)
		for seq := range int64(3) {
			batch.Add(&event.Event{Type: event.SourceUpdated, Time: event.Time(seq), EffectiveAt: event.Time(seq), Appended: event.Time(seq), ID: fmt.Sprint(key, seq), Source: "/b", Kind: "policy", Key: key, Seq: seq}, freshness.Position{})
		}
		load.Refs = append(load.Refs, event.Ref{Kind: "policy", Key: key, Seq: 0, HasSeq: true})
	}
	batch.Add(&load, freshness.Position{Topic: "workflow.context"})
	return batch.Workflow("w"), batch.Facts(), c
}

// BenchmarkJudgeFromPebble is the judgement of ten items whose row lies encoded in Pebble.
func BenchmarkJudgeFromPebble(b *testing.B) {
	x := newTable(b, 0)
	w, facts, c := ten(b)
	x.put(w)
	var v freshness.Verdict
	b.ReportAllocs()
	for b.Loop() {
		w, err := x.r.Workflow(0, "w")
		if err != nil {
			b.Fatal(err)
		}
		w.JudgeAt(30, "", facts, c, &v)
	}
	if len(v.Items) != 10 || v.Kind != freshness.IsFresh {
		b.Fatalf("%d items, %s", len(v.Items), v.Kind)
	}
}
