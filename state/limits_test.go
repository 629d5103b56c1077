package state

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// What a row may take: a table's record less what surrounds a row in it, the record's key among that.
const rowLimit = 8<<20 - 4096 - 1024

// Lengths of what a row consists of, at their greatest. A varint of an instant or a difference of two has at most 7 bytes, one of an offset or
// a seq 10.
const (
	maxName = 2 + event.DefaultMaxNameBytes
	maxText = maxName + 1 // a name that is not among the recent ones
	maxKey  = 2 + event.DefaultMaxKeyBytes
	maxTime = 7
	maxAt   = 3 + 5 + 10
	maxPart = 1 + maxTime + 1 + maxName + maxAt // a part of an event that has no line
	maxRef  = 1 + maxText + 10 + maxTime        // what a REF says of a version
)

// worstRow is how large a row can get within limits.
func worstRow(l freshness.Limits) int {
	const (
		line  = 1 + 4 + maxTime + 8 + 4 + 5 + 10 + 1 // its id is counted with the part that needs it
		item  = maxText + maxKey + 1 + maxTime + 3 + 3
		load  = maxPart + maxRef
		step  = maxPart + 2 + 64 + 1
		data  = 3 + 3 + 2 + freshness.DataKept
		use   = 2 + maxPart + 3*maxText + data + (2 + 4*event.DefaultMaxNameBytes) + maxName + 3 + (5 + 8 + 8 + 1 + 2*maxTime)
		based = maxText + (maxKey + 1) + maxRef
		head  = 1 + 1 + 256*(1+2+249) + 6*10 + 3*maxTime + 3*maxPart + 2*maxText + 16
	)
	return head + l.Lines*line + l.Items*(item+2*load) + l.Loads*load + l.Uses*use + l.Refs*based + l.Steps*step
}

// TestTheLargestRowFits is the arithmetic of the limits: whatever is sent, a workflow's row is a record that its table takes.
func TestTheLargestRowFits(t *testing.T) {
	if n := worstRow(freshness.DefaultLimits()); n > rowLimit {
		t.Errorf("a row may have %d bytes; a table's record has room for %d", n, rowLimit)
	}
}

// hostile sends what makes a row large: long names, none of them twice, times and offsets far from each other, every list beyond its limit.
type hostile struct {
	r   *rand.Rand
	w   *freshness.Workflow
	lim freshness.Limits
	n   int64
	at  event.Time
}

// name is a string of a length that no other is like.
func (h *hostile) name(length int) string {
	h.n++
	s := fmt.Sprintf("%x-%x", h.r.Uint64(), h.n)
	return s + strings.Repeat("é", (length-len(s))/2)
}

func (h *hostile) fold(e *event.Event) {
	h.at += event.Time(1 + h.r.IntN(1<<40))
	if e.Time == 0 {
		e.Time = h.at
	}
	e.ID, e.Source = h.name(event.DefaultMaxNameBytes), h.name(event.DefaultMaxNameBytes)
	e.Data = h.name(4 * freshness.DataKept)
	h.w.Fold(e, freshness.Position{Topic: fmt.Sprint("topic-", h.n%7), Partition: int32(h.n % 3 * 1e9), Offset: int64(h.r.Uint64() >> 1)}, &h.lim)
}

func (h *hostile) refs(n int) []event.Ref {
	refs := make([]event.Ref, n)
	for i := range refs {
		refs[i] = event.Ref{Kind: h.name(event.DefaultMaxNameBytes), Key: h.name(event.DefaultMaxKeyBytes), Version: h.name(event.DefaultMaxNameBytes),
			Digest: h.name(event.DefaultMaxNameBytes), Seq: int64(h.r.Uint64()), HasSeq: true, AsOf: event.Time(h.r.Int64N(1 << 47)), HasAsOf: true}
	}
	return refs
}

// again are REFs of the same items with other versions.
func (h *hostile) again(refs []event.Ref) []event.Ref {
	again := h.refs(len(refs))
	for i := range again {
		again[i].Kind, again[i].Key = refs[i].Kind, refs[i].Key
	}
	return again
}

// TestAHostileRowFits fills a row in every way that events can.
func TestAHostileRowFits(t *testing.T) {
	seed := uint64(1)
	h := &hostile{r: rand.New(rand.NewPCG(seed, 0)), w: freshness.NewWorkflow("w"), lim: freshness.DefaultLimits(), at: 1}
	l := h.lim
	var items []event.Ref
	for range 4 {
		more := h.refs(l.Items / 4)
		items = append(items, more...)
		h.fold(&event.Event{Type: event.ContextLoaded, Refs: more})
	}
	for range l.Loads/l.Items + 2 {
		h.fold(&event.Event{Type: event.ContextLoaded, Refs: h.again(items)})
	}
	h.fold(&event.Event{Type: event.ContextDropped, Refs: items})
	for range l.Steps + 10 {
		h.fold(&event.Event{Type: event.ToolCalled, CallID: h.name(event.DefaultMaxNameBytes)})
	}
	for i := range l.Uses + 10 {
		e := &event.Event{Type: event.ActionExecuted, DecisionID: h.name(event.DefaultMaxNameBytes), Class: h.name(event.DefaultMaxNameBytes), HasClass: true,
			CheckID: h.name(4 * event.DefaultMaxNameBytes), TraceParent: h.name(event.DefaultMaxNameBytes), HasBasedOn: true, Refs: h.refs(1)}
		if i%100 == 0 {
			e.Refs = h.refs(l.Items + 1)
		}
		h.fold(e)
	}
	for i := range h.w.Uses {
		h.w.Uses[i].Said = freshness.Said{Revision: 1 << 30, Digest: h.r.Uint64(), Contract: h.r.Uint64(), JudgedAt: event.Time(h.r.Int64N(1 << 47)), CompleteThrough: event.Time(h.r.Int64N(1 << 47))}
	}
	for range l.Lines + 10 {
		h.fold(&event.Event{Type: event.Other, TypeName: "other", WorkflowType: h.name(event.DefaultMaxNameBytes)})
	}
	row := AppendWorkflow(nil, h.w)
	c := h.w.Cut
	t.Logf("%d bytes of at most %d; left out: %+v", len(row), worstRow(l), c)
	if len(row) > rowLimit || len(row) > worstRow(l) {
		t.Errorf("seed %d: %d bytes; the arithmetic says at most %d, a record has room for %d", seed, len(row), worstRow(l), rowLimit)
	}
	if len(row) < worstRow(l)*3/4 || c.Loads == 0 || c.Uses == 0 || c.Steps == 0 || c.Lines == 0 || c.Refs == 0 {
		t.Errorf("seed %d: only %d bytes of %d, left out %+v: the test proves little", seed, len(row), worstRow(l), c)
	}
	got, err := DecodeWorkflow("w", row, nil)
	if err != nil {
		t.Fatal(err)
	}
	if shown(t, got) != shown(t, h.w) {
		t.Error("the row does not hold what the workflow does")
	}
}

// TestTheLargestChunkFits holds rows of versions to their record.
func TestTheLargestChunkFits(t *testing.T) {
	h := &hostile{r: rand.New(rand.NewPCG(1, 0))}
	it := freshness.NewItem("k", "k")
	for i := range freshness.ChunkSize {
		e := &event.Event{Type: event.SourceUpdated, Kind: "k", Key: "k", Seq: int64(i) << 50, Time: event.Time(h.r.Int64N(1 << 47)), ID: h.name(256), Source: h.name(256),
			Version: h.name(256), Owner: h.name(256), Digest: h.name(256), Data: h.name(1 << 20)}
		it, _ = it.Apply(e, freshness.Position{Topic: "context.source", Offset: 1 << 62}, 0)
	}
	if n := len(AppendChunk(nil, it.ChunkVersions(0))); n > 64<<10 {
		t.Errorf("a chunk of %d bytes", n)
	}
}
