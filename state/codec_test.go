package state

import (
	"bufio"
	"bytes"
	"compress/gzip"
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

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

var rewrite = flag.Bool("rewrite", false, "write the golden bytes of the present versions anew; of an older version they never change")

// golden folds the events of a golden set into workflows and items.
func golden(t testing.TB, set string) (map[string]*freshness.Workflow, map[string]*freshness.Item) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "golden", set+".events.ndjson.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	workflows, items := map[string]*freshness.Workflow{}, map[string]*freshness.Item{}
	d, lim := event.NewDecoder(event.Config{}), freshness.DefaultLimits()
	var e event.Event
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 1<<20)
	for n := int64(0); sc.Scan(); n++ {
		if reason := d.DecodeStructured(sc.Bytes(), 0, &e); reason != event.OK {
			t.Fatalf("line %d: %s", n+1, reason)
		}
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
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return workflows, items
}

func TestWorkflowsSurviveTheirRow(t *testing.T) {
	for _, set := range []string{"adversarial-1", "adversarial-4", "coding-sessions"} {
		workflows, _ := golden(t, set)
		for id, w := range workflows {
			for i := range w.Uses {
				w.Uses[i].Said = freshness.Said{Revision: int32(i), Digest: 7, Contract: 9, Verdict: freshness.IsStale, JudgedAt: 11, CompleteThrough: 10, Unsettled: i%2 == 1}
				if i == 0 {
					w.Uses[i].Said = freshness.Said{}
				}
			}
			row := AppendWorkflow(nil, w)
			got, err := DecodeWorkflow(id, row, freshness.NewInterner(100).Intern)
			if err != nil {
				t.Fatalf("%s: %v", id, err)
			}
			if again := AppendWorkflow(nil, got); !bytes.Equal(row, again) {
				t.Fatalf("%s: a row that was read is written differently", id)
			}
			if a, b := text(t, got), text(t, w); a != b {
				t.Fatalf("%s: the row does not hold what the workflow does:\n%s\n%s", id, a, b)
			}
		}
	}
}

// text shows everything a workflow holds; empty lists and none are the same.
func text(t *testing.T, w *freshness.Workflow) string {
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
	return map[string][]byte{
		"workflow.v1": AppendWorkflow(nil, w),
		"head.v1":     AppendHead(nil, &head),
		"chunk.v1":    AppendChunk(nil, it.ChunkVersions(0)),
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

func TestRowsThatCannotBeReadAreRefused(t *testing.T) {
	read := map[string]func([]byte) error{
		"workflow.v1": func(b []byte) error { _, err := DecodeWorkflow("w", b, nil); return err },
		"head.v1":     func(b []byte) error { _, err := DecodeHead(b); return err },
		"chunk.v1":    func(b []byte) error { _, err := DecodeChunk(b, 0, nil); return err },
	}
	for name, row := range goldenRows(t) {
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

func BenchmarkWorkflowRow(b *testing.B) {
	workflows, _ := golden(b, "adversarial-1")
	var w *freshness.Workflow
	for _, x := range workflows {
		if w == nil || len(x.Lines) == 11 {
			w = x
		}
	}
	row := AppendWorkflow(nil, w)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		b.ReportMetric(float64(len(row)), "bytes")
		for b.Loop() {
			row = AppendWorkflow(row[:0], w)
		}
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
