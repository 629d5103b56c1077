package exact

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/go-kit/log"
)

var (
	full    = flag.Bool("exact.full", false, "run every combination, not one of each kind")
	seed    = flag.Uint64("exact.seed", 0, "seed of the shuffled orders; 0 takes one from the clock and prints it")
	brokers = flag.String("exact.brokers", "", "brokers to run against instead of an embedded one")
	verbose = flag.Bool("exact.log", false, "print the engine's log")
)

const golden = "../../testdata/golden"

var sets = []string{"coding-sessions", "adversarial-1", "adversarial-2", "adversarial-3", "adversarial-4"}

// scenario is one way through the engine.
type scenario struct {
	set        string
	partitions int
	order      string // given, reversed, shuffled
	running    bool   // loaded into the running engine, not before it starts
	restarts   int    // how often the engine is stopped and started on the way
}

func (s scenario) String() string {
	when := "before"
	if s.running {
		when = "running"
	}
	return fmt.Sprintf("%s/p%d/%s/%s/restarts%d", s.set, s.partitions, s.order, when, s.restarts)
}

// scenarios are all combinations, or few that meet every value of every dimension.
func scenarios() []scenario {
	if !*full {
		return []scenario{
			{"adversarial-1", 8, "shuffled", true, 2},
			{"adversarial-2", 1, "given", false, 0},
			{"adversarial-3", 12, "reversed", true, 0},
			{"adversarial-4", 8, "shuffled", false, 2},
			{"coding-sessions", 12, "given", false, 0},
		}
	}
	var all []scenario
	for _, set := range sets {
		for _, partitions := range []int{1, 8, 12} {
			for _, order := range []string{"given", "shuffled", "reversed"} {
				for _, running := range []bool{false, true} {
					for _, restarts := range []int{0, 2} {
						all = append(all, scenario{set, partitions, order, running, restarts})
					}
				}
			}
		}
	}
	return all
}

func TestGoldenSetsThroughTheEngine(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	for _, s := range scenarios() {
		t.Run(s.String(), func(t *testing.T) {
			t.Logf("repeat with: go test ./test/exact -run '%s' -exact.full=%v -exact.seed=%d", strings.ReplaceAll(t.Name(), "+", "."), *full, *seed)
			run(t, s)
		})
	}
}

func run(t *testing.T, s scenario) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	contract := withObjectives(t, s.set)
	e := harness.New(t, harness.Options{
		Contract: contract, Partitions: s.partitions, Prefix: fmt.Sprintf("exact-%d.", time.Now().UnixNano()),
		Brokers: *brokers, Logger: logger(),
	})
	want := harness.Golden(t, filepath.Join(golden, s.set+".verdicts.ndjson.gz"))
	lines := order(t, s)
	parts := 1 + s.restarts
	if s.running {
		e.Start(ctx)
		e.AwaitNow(ctx) // it stands at the head: every use is final as soon as it is read, and amended from then on
		parts = max(parts, 4)
	}
	for i := range parts {
		e.Load(ctx, lines[i*len(lines)/parts:(i+1)*len(lines)/parts])
		switch {
		case i < s.restarts:
			if !e.Running() {
				e.Start(ctx)
			}
			e.Stop() // in the middle of what it does
			e.Start(ctx)
		case s.running:
			e.AwaitNow(ctx)
		}
	}
	loaded := event.Of(time.Now())
	if !e.Running() {
		e.Start(ctx)
	}
	e.Await(ctx, loaded)
	said := e.Verdicts()
	said.Compare(ctx, want)
	compareBuckets(ctx, t, e, contract, said)
	if s.running && len(said.Content) == len(said.Last) {
		t.Error("nothing has been amended: the engine was not at the head")
	}
}

// order returns the set's lines in the scenario's order.
func order(t *testing.T, s scenario) [][]byte {
	lines := testfile.Lines(t, filepath.Join(golden, s.set+".events.ndjson.gz"))
	switch s.order {
	case "reversed":
		slices.Reverse(lines)
	case "shuffled":
		rng := rand.New(rand.NewPCG(*seed, 1))
		rng.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	}
	return lines
}

func logger() log.Logger {
	if *verbose {
		return log.NewLogfmtLogger(log.NewSyncWriter(os.Stderr))
	}
	return log.NewNopLogger()
}
