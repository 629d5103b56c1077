package answers

import (
	"context"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/freshet-io/freshet/query/client"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/test/golden"
	"github.com/freshet-io/freshet/test/harness"
)

const goldenDir = "../../testdata/golden"

var whole = flag.Bool("answers.golden", false, "ask for every use of every golden set, by check and by explain")

// some is how many decisions of a set there are to one that is explained, if not all are: that reads records back.
const some = 10

// What the engine answers at the instant of a use, with its class and items, is what its verdict record says, and so is what it explains.
func TestAnswersAreTheGoldenLines(t *testing.T) {
	sets, each := []string{"adversarial-1"}, some
	if *whole {
		sets, each = []string{"coding-sessions", "adversarial-1", "adversarial-2", "adversarial-3", "adversarial-4"}, 1
	}
	for _, set := range sets {
		t.Run(set, func(t *testing.T) {
			if *whole {
				t.Parallel()
			}
			askFor(t, set, each)
		})
	}
}

// askFor checks every use of a set, and explains every decision, or one of so many.
func askFor(t *testing.T, set string, each int) {
	contract := filepath.Join(goldenDir, set+".contracts.yaml")
	e := start(t, contract, harness.Options{Partitions: 8})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // to ask for all of the largest takes a minute
	defer cancel()
	e.ctx = ctx
	lines := testfile.Lines(t, filepath.Join(goldenDir, set+".events.ndjson.gz"))
	e.Load(e.ctx, lines)
	e.AwaitNow(e.ctx)
	truth, decisions := batch(t, contract, lines), golden.Decisions(t, filepath.Join(goldenDir, set+".verdicts.ndjson.gz"))
	begin, checked, explained, wrong := time.Now(), 0, 0, 0
	say := func(format string, args ...any) {
		if wrong++; wrong <= 3 {
			t.Errorf(format, args...)
		}
	}
	for _, decision := range decisions {
		for _, want := range decision {
			body, _ := golden.Check(t, truth.Workflow(want["workflow"].(string)), want)
			status, answer := e.ask(http.MethodPost, "/v1/check", body)
			if checked++; status != http.StatusOK || !reflect.DeepEqual(golden.Line(answer, want), want) {
				say("%s: %d\n got %v\nwant %v", body, status, golden.Line(answer, want), want)
			}
		}
	}
	took := time.Since(begin)
	e.written(filepath.Join(goldenDir, set+".verdicts.ndjson.gz"))
	for i, want := range decisions {
		if (i+1)%each == 0 {
			explained += len(want)
			e.explains(want, say)
		}
	}
	t.Logf("%d uses: %d checked in %s, %d explained in %s, %d answers wrong", checked, checked, took, explained, time.Since(begin)-took, wrong)
	if checked == 0 || explained == 0 || each == 1 && explained != checked {
		t.Error("not all has been asked for")
	}
}

// written waits until all verdicts are in the topic, and in the rows that explanations are made from.
func (e *engine) written(file string) {
	e.t.Helper()
	said, want := e.Verdicts(), harness.Golden(e.t, file)
	said.Until(e.ctx, func() string {
		if said.Equal(want) {
			return ""
		}
		return "the last verdicts are not the golden lines"
	})
	e.AwaitNow(e.ctx)
}

// explains asks why a decision has its verdicts: they are the golden lines, now and in their last revisions, and all that is cited is there.
func (e *engine) explains(want []map[string]any, say func(format string, args ...any)) {
	e.t.Helper()
	path := client.Path("v1", "decisions", want[0]["workflow"].(string), want[0]["decision_id"].(string))
	status, said := e.ask(http.MethodGet, path, "")
	if status != http.StatusOK {
		say("%s: %d %v", path, status, said)
		return
	}
	if got := golden.Explained(said); !reflect.DeepEqual(got, want) {
		say("%s says\n     %v\nwant %v", path, got, want)
	}
	if got := golden.Written(said); !reflect.DeepEqual(got, want) {
		say("%s: the last revisions are\n     %v\nwant %v", path, got, want)
	}
	all := said["completeness"].(map[string]any)
	records, revisions := all["records"].(map[string]any), all["revisions"].(map[string]any)
	if len(records["gone"].([]any)) > 0 || revisions["whole"] != true || revisions["found"] != revisions["said"] {
		say("%s is not complete: %v", path, all)
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
