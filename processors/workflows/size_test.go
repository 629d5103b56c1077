package workflows

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/topology"
)

// TestTheLargestVerdictFits judges as many items as a workflow may hold, with names as long as they may be, all of whose bytes JSON has to
// escape: the record is one that the topic of verdicts takes.
func TestTheLargestVerdictFits(t *testing.T) {
	lim := freshness.DefaultLimits()
	name := func(length, n int) string { s := fmt.Sprint(n); return strings.Repeat("\x01", length-len(s)) + s }
	at := freshness.Position{Topic: strings.Repeat("t", 249), Partition: 1 << 30, Offset: 1 << 62}
	facts, w := freshness.NewFacts(), freshness.NewWorkflow(name(event.DefaultMaxKeyBytes, 0))
	var refs []event.Ref
	for i := range lim.Items {
		kind, key := name(event.DefaultMaxNameBytes, i), name(event.DefaultMaxKeyBytes, i)
		for seq := int64(1); seq <= 3; seq++ {
			facts.Apply(&event.Event{Type: event.SourceUpdated, Kind: kind, Key: key, Seq: seq << 50, Version: name(event.DefaultMaxNameBytes, i), Time: event.Time(seq * 1000)}, at, 0)
		}
		refs = append(refs, event.Ref{Kind: kind, Key: key, Version: name(event.DefaultMaxNameBytes, i), Seq: 1 << 50, HasSeq: true})
	}
	for i, e := range []*event.Event{
		{Type: event.TaskStarted, WorkflowType: "w"},
		{Type: event.ContextLoaded, Refs: refs},
		{Type: event.ActionExecuted, DecisionID: name(event.DefaultMaxNameBytes, 0), Class: name(event.DefaultMaxNameBytes, 0), HasClass: true},
	} {
		e.ID, e.Source, e.Time = fmt.Sprint(i), "s", event.Time(1000+i*3000)
		w.Fold(e, at, &lim)
	}
	owner := strings.Repeat("o", 64)
	rules := &freshness.Rules{Owner: owner, Kinds: map[string]freshness.KindBounds{"*": {Judged: true, Bounds: freshness.Bounds{HasStaleness: true, HasVersions: true, HasAge: true}}}}
	c := &freshness.Contract{Hash: "sha256:" + strings.Repeat("0", 64), Classes: map[string]map[string]*freshness.Rules{"w": {"": rules}}}
	var v freshness.Verdict
	u := w.Use(name(event.DefaultMaxNameBytes, 0), freshness.Executed)
	w.Judge(u, facts, c, &v)
	if v.Kind != freshness.IsStale || len(v.Items) != lim.Items || len(v.Items[0].Causes) == 0 {
		t.Fatalf("%v of %d items", v.Kind, len(v.Items))
	}
	size := len(freshness.AppendVerdict(nil, w, u, &v, ""))
	// What is left is for key and headers, and for shares of causes and owners with longer names.
	if limit := topology.RowBytes - 64<<10; size > limit {
		t.Errorf("a verdict of %d bytes, where a record has room for %d", size, limit)
	}
	t.Logf("%d bytes", size)
}
