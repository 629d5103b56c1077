package answers

import (
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/freshet-io/freshet/query/client"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/test/golden"
	"github.com/freshet-io/freshet/test/harness"
)

const goldenDir = "../../testdata/golden"

// What the engine answers at the instant of a use, with its class and items, is what its verdict record says.
func TestAnswersAreTheGoldenLines(t *testing.T) {
	const set = "adversarial-1"
	contract := filepath.Join(goldenDir, set+".contracts.yaml")
	e := start(t, contract, harness.Options{Partitions: 8})
	lines := testfile.Lines(t, filepath.Join(goldenDir, set+".events.ndjson.gz"))
	e.Load(e.ctx, lines)
	e.AwaitNow(e.ctx)
	truth := batch(t, contract, lines)
	wrong, asked := 0, 0
	for _, want := range harness.Golden(t, filepath.Join(goldenDir, set+".verdicts.ndjson.gz")) {
		body, _ := golden.Check(t, truth.Workflow(want["workflow"].(string)), want)
		status, answer := e.ask(http.MethodPost, "/v1/check", body)
		if asked++; asked%explained == 0 {
			e.explains(want)
		}
		if got := golden.Line(answer, want); status != http.StatusOK || !reflect.DeepEqual(got, want) {
			if wrong++; wrong <= 3 {
				t.Errorf("%s: %d\n got %v\nwant %v", body, status, got, want)
			}
		}
	}
	t.Logf("%d uses asked for, %d answers wrong", asked, wrong)
}

// explained is how many uses are asked for until one is explained: that reads its records back.
const explained = 20

// explains asks why a use has its verdict: it is that of the golden line, and all that is cited is there.
func (e *engine) explains(want map[string]any) {
	e.t.Helper()
	status, said := e.ask(http.MethodGet, client.Path("v1", "decisions", want["workflow"].(string), want["decision_id"].(string)), "")
	if status != http.StatusOK {
		e.t.Errorf("%v is explained by %d %v", want, status, said)
		return
	}
	if gone := said["completeness"].(map[string]any)["records"].(map[string]any)["gone"].([]any); len(gone) > 0 {
		e.t.Errorf("%v: %v are gone", want, gone)
	}
	for _, use := range said["uses"].([]any) {
		verdict := use.(map[string]any)["verdict"].(map[string]any)
		if got := golden.Line(verdict, want); verdict["use"] == want["use"] && !reflect.DeepEqual(got, want) {
			e.t.Errorf("explained\n as %v\nwant %v", got, want)
		}
	}
}

// batch folds structured events without a broker.
func batch(t *testing.T, contract string, lines [][]byte) *freshness.Batch {
	t.Helper()
	text, err := os.ReadFile(contract)
	if err != nil {
		t.Fatal(err)
	}
	file, err := slo.Parse(text, contract, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	b, d, e := freshness.NewBatch(file.Contract(), freshness.DefaultLimits()), event.NewDecoder(event.Config{}), event.Event{}
	for i, line := range lines {
		if reason := d.DecodeStructured(line, 0, &e); reason != event.OK {
			t.Fatalf("line %d: %s", i+1, reason)
		}
		b.Add(&e, freshness.Position{Topic: "t", Offset: int64(i)})
	}
	return b
}
