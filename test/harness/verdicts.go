package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/freshet-io/freshet/test/golden"
)

// Golden reads golden lines, by use.
func Golden(t *testing.T, path string) map[string]map[string]any {
	t.Helper()
	want := map[string]map[string]any{}
	for _, line := range testfile.Lines(t, path) {
		var g map[string]any
		if err := json.Unmarshal(line, &g); err != nil {
			t.Fatal(err)
		}
		want[UseOf(g)] = g
	}
	return want
}

// UseOf names the use that a golden line, or the data of a verdict record, is about.
func UseOf(line map[string]any) string {
	return fmt.Sprintf("%v %v %v", line["workflow"], line["decision_id"], line["use"])
}

// Verdict is the last revision of a verdict.
type Verdict struct {
	Revision  int64
	First     int64 // the first revision that the topic has
	Partition int32
	Data      map[string]any // of the record
	Line      map[string]any // in the form of a golden line
}

// Verdicts reads the verdicts topic. Two contents under one id, or a revision that does not come after the last one, fail the test.
type Verdicts struct {
	Last    map[string]Verdict // by use
	Content map[string]string  // record id → its bytes
	Records int                // how many have been read

	e      *Engine
	client *kgo.Client
}

// Verdicts begins to read, from the start.
func (e *Engine) Verdicts() *Verdicts {
	e.t.Helper()
	v := &Verdicts{Last: map[string]Verdict{}, Content: map[string]string{}, e: e}
	v.client = e.consumer(kgo.ConsumeTopics(e.graph.Verdicts))
	e.t.Cleanup(v.client.Close)
	return v
}

// Poll takes what comes within 200 ms.
func (v *Verdicts) Poll(ctx context.Context) {
	v.e.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	v.client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { v.take(r) })
}

func (v *Verdicts) take(r *kgo.Record) {
	t := v.e.t
	t.Helper()
	v.Records++
	var id string
	for _, h := range r.Headers {
		if h.Key == "ce_id" {
			id = string(h.Value)
		}
	}
	if before, known := v.Content[id]; known && before != string(r.Value) {
		t.Errorf("id %s names two contents:\n%s\n%s", id, before, r.Value)
	}
	v.Content[id] = string(r.Value)
	var d map[string]any
	if err := json.Unmarshal(r.Value, &d); err != nil {
		t.Fatalf("%s: %v", r.Value, err)
	}
	key, revision := UseOf(d), int64(d["revision"].(float64))
	before, known := v.Last[key]
	if revision <= before.Revision {
		t.Errorf("%s: revision %d after %d", key, revision, before.Revision)
		return
	}
	first := before.First
	if !known {
		first = revision
	}
	v.Last[key] = Verdict{revision, first, r.Partition, d, golden.Of(d)}
}

// Until reads until a condition returns "", what is still missing, or ctx ends; the test then fails with what was missing.
func (v *Verdicts) Until(ctx context.Context, condition func() string) {
	v.e.t.Helper()
	for {
		missing := condition()
		if missing == "" {
			return
		}
		if ctx.Err() != nil {
			v.e.t.Fatal(missing)
		}
		v.Poll(ctx)
	}
}

// ReadEnd reads everything that the topic holds now.
func (v *Verdicts) ReadEnd(ctx context.Context) {
	v.e.t.Helper()
	end := len(v.e.ReadAll(ctx, v.e.graph.Verdicts))
	v.Until(ctx, func() string {
		if v.Records >= end {
			return ""
		}
		return fmt.Sprintf("%d of %d verdict records were read", v.Records, end)
	})
}

// Compare reads verdicts until the last revisions are the golden lines, and then as long as one more clock tick takes: they must stay so.
func (v *Verdicts) Compare(ctx context.Context, want map[string]map[string]any) {
	v.e.t.Helper()
	patience, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for !v.Equal(want) && patience.Err() == nil {
		v.Poll(patience)
	}
	settled, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer cancel()
	for settled.Err() == nil {
		v.Poll(settled)
	}
	if v.Equal(want) {
		v.e.t.Logf("%d verdicts, %d revisions", len(v.Last), len(v.Content))
		return
	}
	v.report(want)
}

// Equal says whether the last revisions are the golden lines, no more and no less.
func (v *Verdicts) Equal(want map[string]map[string]any) bool {
	if len(v.Last) != len(want) {
		return false
	}
	for key, line := range want {
		if got, ok := v.Last[key]; !ok || !reflect.DeepEqual(got.Line, line) {
			return false
		}
	}
	return true
}

func (v *Verdicts) report(lines map[string]map[string]any) {
	t := v.e.t
	t.Helper()
	missing, wrong, extra := 0, 0, 0
	say := func(n *int, format string, args ...any) {
		if *n++; *n <= 3 {
			t.Errorf(format, args...)
		}
	}
	for key, want := range lines {
		got, ok := v.Last[key]
		switch {
		case !ok:
			say(&missing, "missing: %s", key)
		case !reflect.DeepEqual(got.Line, want):
			g, _ := json.Marshal(got.Line)
			w, _ := json.Marshal(want)
			say(&wrong, "%s, revision %d:\n got  %s\n want %s", key, got.Revision, g, w)
		}
	}
	for key := range v.Last {
		if lines[key] == nil {
			say(&extra, "additional: %s", key)
		}
	}
	t.Errorf("%d verdicts expected: %d missing, %d wrong, %d additional", len(lines), missing, wrong, extra)
}
