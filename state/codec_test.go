package state

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/testfile"
)

var rewrite = flag.Bool("rewrite", false, "write the golden bytes of the present versions anew; of an older version they never change")

// golden folds the events of a golden set into workflows and items.
func golden(t testing.TB, set string) (map[string]*freshness.Workflow, map[string]*freshness.Item) {
	t.Helper()
	return folded(t, set, freshness.DefaultLimits(), 1)
}

// folded does so within limits, and with times that are multiples of a number of milliseconds.
func folded(t testing.TB, set string, lim freshness.Limits, multiple event.Time) (map[string]*freshness.Workflow, map[string]*freshness.Item) {
	t.Helper()
	workflows, items := map[string]*freshness.Workflow{}, map[string]*freshness.Item{}
	d := event.NewDecoder(event.Config{})
	var e event.Event
	for i, line := range testfile.Lines(t, filepath.Join("..", "testdata", "golden", set+".events.ndjson.gz")) {
		n := int64(i)
		if reason := d.DecodeStructured(line, 0, &e); reason != event.OK {
			t.Fatalf("line %d: %s", n+1, reason)
		}
		e.Time -= e.Time % multiple
		at := freshness.Position{Topic: e.Type.Category().String(), Partition: int32(n % 8), Offset: n}
		if e.Type.Category() == event.Source {
			it := items[e.Subject]
			if it == nil {
				it = freshness.NewItem(strings.Clone(e.Kind), strings.Clone(e.Key))
			}
			items[strings.Clone(e.Subject)], _ = it.Apply(&e, at, 0)
			continue
		}
		w := workflows[e.Subject]
		if w == nil {
			w = freshness.NewWorkflow(strings.Clone(e.Subject))
			workflows[w.ID] = w
		}
		w.Fold(&e, at, &lim)
	}
	return workflows, items
}

// Parts of events name their line in the timeline; they survive as well where it has none for them, or several that could be meant.
func TestWorkflowsSurviveTheirRow(t *testing.T) {
	short := freshness.DefaultLimits()
	short.Lines, short.LoadsPerItem = 3, 2
	for _, v := range []struct {
		name     string
		limits   freshness.Limits
		multiple event.Time
	}{{"as they are", freshness.DefaultLimits(), 1}, {"short timelines", short, 1}, {"many at a time", freshness.DefaultLimits(), 600_000}, {"both", short, 600_000}} {
		for _, set := range []string{"adversarial-1", "adversarial-4", "coding-sessions"} {
			workflows, _ := folded(t, set, v.limits, v.multiple)
			for id, w := range workflows {
				for i := range w.Uses {
					w.Uses[i].Said = freshness.Said{Revision: int32(i), Digest: 7, Contract: uint64(9 + i/2), Verdict: freshness.IsStale, JudgedAt: 11, CompleteThrough: 10, Unsettled: i%2 == 1, Counted: strings.Repeat("x", i%3)}
					if i == 0 {
						w.Uses[i].Said = freshness.Said{}
					}
				}
				detect(w)
				row := AppendWorkflow(nil, w)
				got, err := DecodeWorkflow(id, row, freshness.NewInterner(100).Intern)
				if err != nil {
					t.Fatalf("%s: %s: %v", v.name, id, err)
				}
				if again := AppendWorkflow(nil, got); !bytes.Equal(row, again) {
					t.Fatalf("%s: %s: a row that was read is written differently", v.name, id)
				}
				if a, b := shown(t, got), shown(t, w); a != b {
					t.Fatalf("%s: %s: the row does not hold what the workflow does:\n%s\n%s", v.name, id, a, b)
				}
			}
		}
	}
}

// detect gives a workflow everything that stands behind the parts of its row.
func detect(w *freshness.Workflow) {
	w.Look, w.Life, w.Abandoned, w.Unsettled, w.Forgotten = w.Last+1, w.Last+7, len(w.Lines)%2 == 0, len(w.Lines)%3 == 0, w.First-1
	for i := range w.Items {
		h := &w.Items[i]
		w.Detections = append(w.Detections,
			freshness.Detection{Kind: h.Kind, Key: h.Key, Version: "v1", Seq: -4, HasSeq: true, Bound: freshness.Age, Since: w.First, Firm: w.First, HasFirm: true,
				Until: w.Last, ClosedBy: freshness.ByDrop, Revision: 2, DetectedAt: w.Last + 9},
			freshness.Detection{Kind: h.Kind, Key: h.Key, Bound: freshness.RetractedVersion, Since: w.Last, Firm: w.Last + 5, HasFirm: i%2 == 0, Revision: 1, DetectedAt: w.Last + 9, Grouped: true})
		if i%2 != 0 {
			w.Detections[len(w.Detections)-1].Firm = 0
		}
	}
}

// shown is everything that a workflow holds; empty lists and none are the same.
func shown(t *testing.T, w *freshness.Workflow) string {
	t.Helper()
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), ":[]", ":null")
}

func TestItemsSurviveTheirRows(t *testing.T) {
	for _, set := range []string{"adversarial-2", "adversarial-4", "coding-sessions"} {
		_, items := golden(t, set)
		for name, it := range items {
			head := it.Head()
			got := freshness.NewItem(it.Kind(), it.Key())
			for c := range it.Chunks() {
				versions, err := DecodeChunk(AppendChunk(nil, it.ChunkVersions(c)), c, freshness.NewInterner(100).Intern)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				for _, v := range versions {
					got = got.Put(v)
				}
			}
			h, err := DecodeHead(AppendHead(nil, &head))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got = got.WithHead(h)
			if !reflect.DeepEqual(got.Head(), head) {
				t.Fatalf("%s: head %+v, want %+v", name, got.Head(), head)
			}
			if !reflect.DeepEqual(got.Versions(), it.Versions()) {
				t.Fatalf("%s: versions differ", name)
			}
		}
	}
}

// goldenRows are rows of every kind as this release writes them.
func goldenRows(t testing.TB) map[string][]byte {
	workflows, items := golden(t, "adversarial-1")
	ids := make([]string, 0, len(workflows))
	for id := range workflows {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	w := workflows[ids[0]]
	for i := range w.Uses {
		w.Uses[i].Said = freshness.Said{Revision: 1, Digest: 0x0123456789abcdef, Contract: 0xfedcba9876543210, Verdict: freshness.IsFresh, JudgedAt: w.Last + 5000, CompleteThrough: w.Last}
	}
	it := items["doc/d0"]
	head := it.Head()
	row := AppendWorkflow(nil, w)
	detect(w)
	return map[string][]byte{
		"workflow.v2": row, "workflow-detections.v2": AppendWorkflow(nil, w),
		"head.v2":  AppendHead(nil, &head),
		"chunk.v1": AppendChunk(nil, it.ChunkVersions(0)),
	}
}

// A row that an earlier release wrote must be read for ever: its bytes stay in testdata, and this release writes the same.
func TestRowsAreTheGoldenBytes(t *testing.T) {
	for name, row := range goldenRows(t) {
		file := filepath.Join("testdata", name+".hex")
		if *rewrite {
			if err := os.WriteFile(file, []byte(hex.EncodeToString(row)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(row, want) {
			t.Errorf("%s: the bytes differ from the golden ones; a change of the format is a new version", name)
		}
	}
}

// Rows of former versions are read: what they say is what the present version says of the same workflow, and they are written anew as that.
func TestRowsOfFormerVersionsAreRead(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "workflow.v1.hex"))
	if err != nil {
		t.Fatal(err)
	}
	row, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	workflows, _ := golden(t, "adversarial-1")
	ids := make([]string, 0, len(workflows))
	for id := range workflows {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	is, err := DecodeWorkflow(ids[0], row, freshness.NewInterner(100).Intern)
	if err != nil {
		t.Fatal(err)
	}
	if is.Look != is.Last {
		t.Errorf("it is looked at next at %d; want %d: the row says nothing of detections", is.Look, is.Last)
	}
	is.Look = 0
	want, _ := DecodeWorkflow(ids[0], goldenRows(t)["workflow.v2"], nil)
	if a, b := shown(t, is), shown(t, want); a != b {
		t.Errorf("the row of version 1 says\n%s\nthat of version 2\n%s", a, b)
	}
	for n := range row {
		if _, err := DecodeWorkflow("w", row[:n], nil); !errors.Is(err, ErrRow) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

// A head of the version before is read: where an availability was read is not known of it.
func TestHeadsOfTheVersionBefore(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "head.v1.hex"))
	if err != nil {
		t.Fatal(err)
	}
	row, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeHead(row)
	if err != nil {
		t.Fatal(err)
	}
	_, items := golden(t, "adversarial-1")
	want := items["doc/d0"].Head()
	for i := range want.Available {
		want.Available[i].At = freshness.Position{}
	}
	if len(want.Available) == 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if again := AppendHead(nil, &got); again[0] != headVersion {
		t.Errorf("it is written as version %d", again[0])
	}
}

func TestRowsThatCannotBeReadAreRefused(t *testing.T) {
	read := map[string]func([]byte) error{
		"workflow.v2": func(b []byte) error { _, err := DecodeWorkflow("w", b, nil); return err },
		"head.v2":     func(b []byte) error { _, err := DecodeHead(b); return err },
		"chunk.v1":    func(b []byte) error { _, err := DecodeChunk(b, 0, nil); return err },
	}
	for name, row := range goldenRows(t) {
		if read[name] == nil {
			continue // without its last section it is a row as well
		}
		for n := range row {
			if err := read[name](row[:n]); !errors.Is(err, ErrRow) {
				t.Fatalf("%s cut to %d bytes: %v", name, n, err)
			}
		}
		next := bytes.Clone(row)
		next[0]++
		if err := read[name](next); !errors.Is(err, ErrRow) {
			t.Errorf("%s of the next version: %v", name, err)
		}
		if err := read[name](append(bytes.Clone(row), 0)); !errors.Is(err, ErrRow) {
			t.Errorf("%s with a byte too many: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, row := range goldenRows(f) {
		f.Add(row)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := DecodeWorkflow("w", b, nil); err == nil && w == nil {
			t.Error("no workflow and no error")
		}
		_, _ = DecodeHead(b)
		_, _ = DecodeChunk(b, 0, nil)
	})
}

// benchWorkflow is one workflow of the workload that the engine is measured with, judged.
func benchWorkflow(b *testing.B) *freshness.Workflow {
	b.Helper()
	lim := freshness.DefaultLimits()
	w := freshness.NewWorkflow("wf")
	d := event.NewDecoder(event.Config{})
	var e event.Event
	load := bench.Workload{Workflows: 1000, Items: 1000, Refs: 3, EventBytes: 350, UpdateShare: 0.05, Seed: 1}
	n, key := int64(0), ""
	err := load.Each(func(r *bench.Record) error {
		n++
		if r.Category == event.Source || n < 5000 || key != "" && r.Key != key {
			return nil
		}
		var headers []event.Header
		for _, h := range r.Headers {
			headers = append(headers, event.Header{Key: []byte(h.Key), Value: []byte(h.Value)})
		}
		rec := event.Record{Key: []byte(r.Key), Value: r.Value, Headers: headers, Category: r.Category, Time: r.Time}
		if reason := d.Decode(&rec, &e); reason != event.OK {
			b.Fatal(reason)
		}
		if key == "" && e.Type == event.TaskCreated {
			key = r.Key
		}
		if r.Key == key {
			w.Fold(&e, freshness.Position{Topic: "workflow." + r.Category.String(), Partition: 3, Offset: n / 8}, &lim)
		}
		return nil
	})
	if err != nil || len(w.Lines) != bench.EventsPerWorkflow {
		b.Fatalf("%d events, %v", len(w.Lines), err)
	}
	for i := range w.Uses {
		w.Uses[i].Said = freshness.Said{Revision: 1, Digest: 0x0123456789abcdef, Contract: 0xfedcba9876543210, Verdict: freshness.IsFresh, JudgedAt: w.Last + 5000, CompleteThrough: w.Last}
	}
	return w
}

func BenchmarkWorkflowRow(b *testing.B) {
	w := benchWorkflow(b)
	row := AppendWorkflow(nil, w)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			row = AppendWorkflow(row[:0], w)
		}
		b.ReportMetric(float64(len(row)), "bytes")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		in := freshness.NewInterner(1000)
		for b.Loop() {
			if _, err := DecodeWorkflow("w", row, in.Intern); err != nil {
				b.Fatal(err)
			}
		}
	})
}
