package verdict_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/freshet-io/freshet/cmd/freshet/verdict"
	"github.com/freshet-io/freshet/internal/testfile"
)

// Of every golden line a record is made that says the same as SPEC 4 writes it; its golden line must be the one it was made of.
func TestGoldenLineOfARecord(t *testing.T) {
	files, err := filepath.Glob("../../../testdata/golden/*.verdicts.ndjson.gz")
	if err != nil || len(files) == 0 {
		t.Fatalf("golden sets: %v, %d files", err, len(files))
	}
	for _, name := range files {
		for i, golden := range testfile.Lines(t, name) {
			r, err := verdict.Parse(recordOf(t, golden))
			if err != nil {
				t.Fatalf("%s:%d: %v", name, i+1, err)
			}
			if got := r.AppendGolden(nil); string(got) != string(golden) {
				t.Fatalf("%s:%d:\ngot  %s\nwant %s", name, i+1, got, golden)
			}
		}
	}
}

func recordOf(t *testing.T, golden []byte) []byte {
	t.Helper()
	var line map[string]any
	if err := json.Unmarshal(golden, &line); err != nil {
		t.Fatal(err)
	}
	line["class"] = line["cls"]
	delete(line, "cls")
	line["revision"], line["check"] = 3, map[string]any{"verdict": "fresh"}
	for _, i := range line["items"].([]any) {
		item := i.(map[string]any)
		item["used"] = map[string]any{"version": "v", "seq": item["seq"]}
		delete(item, "seq")
	}
	b, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatIsNoVerdictIsAnError(t *testing.T) {
	for _, data := range []string{``, `[]`, `{"revision":"x"}`, `{"staleness_s":"long"}`} {
		if _, err := verdict.Parse([]byte(data)); err == nil {
			t.Errorf("%q was taken", data)
		}
	}
}

func TestTheLastRevisionHoldsWhateverTheOrder(t *testing.T) {
	rev := func(decision string, n int64) *verdict.Record {
		return &verdict.Record{Workflow: "w", DecisionID: decision, Use: "action.executed", Revision: n}
	}
	l := verdict.NewLast()
	for _, c := range []struct {
		r    *verdict.Record
		want bool
	}{{rev("b", 2), true}, {rev("b", 1), false}, {rev("b", 2), false}, {rev("a", 1), true}, {rev("b", 3), true}} {
		if got := l.Add(c.r, nil); got != c.want {
			t.Errorf("Add(%s/%d) = %v, want %v", c.r.DecisionID, c.r.Revision, got, c.want)
		}
	}
	all := l.Sorted()
	if len(all) != 2 || all[0].DecisionID != "a" || all[1].Revision != 3 {
		t.Errorf("last revisions %+v", all)
	}
}
