//go:build unix

package torture

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/test/kafka"
)

var (
	mode    = flag.String("torture", "off", "how much: off, short (part of the tests, minutes), each (every test, a little) or full (an hour and more)")
	seed    = flag.Uint64("torture.seed", 0, "seed of what is done; 0 takes one from the clock and prints it")
	honesty = flag.Duration("torture.honesty", 0, "how long TestHonestAnswers looks at answers; 0: what the mode says")
	kills   = flag.Int("torture.kills", 0, "kills of each run of TestKills; 0: what the mode says")
	on      = flag.String("torture.on", "", "embedded or kafka: only there; empty: on both")
	binary  = flag.String("torture.binary", "", "program to torture, built with -tags torture; empty: it is built")
	keepAll = flag.Bool("torture.keep", false, "keep the directories of runs that passed, too")
)

const golden = "../../testdata/golden"

// sets are what is fed: the golden sets, and one that each seed makes. The last, which is large, is for those that take all.
var sets = []string{"adversarial-1", "adversarial-2", "adversarial-3", "adversarial-4", seeded, "coding-sessions"}

// anySet draws one that is small.
func anySet(r *rand.Rand) string { return sets[r.IntN(len(sets)-1)] }

// TestMain takes the seed, and builds the program once.
func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	os.Exit(m.Run())
}

// asked skips a test unless torture is asked for.
func asked(t *testing.T) {
	t.Helper()
	switch *mode {
	case "short", "each", "full":
	case "off":
		t.Skip("NOT RUN: make torture and make torture-short run it")
	default:
		t.Fatalf("-torture=%s: must be off, short, each or full", *mode)
	}
}

// short says whether a test does little.
func short() bool { return *mode != "full" }

// notShort skips a test where only a part of them is to run.
func notShort(t *testing.T) {
	t.Helper()
	if *mode == "short" {
		t.Skip("NOT RUN: not in the short torture")
	}
}

// built is the program, built with the points at which it can be killed.
var built = sync.OnceValues(func() (string, error) {
	if *binary != "" {
		return filepath.Abs(*binary)
	}
	build, err := kafka.BuildDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(build), "torture", "freshet")
	cmd := exec.Command("go", "build", "-tags", "torture", "-o", path, "./cmd/freshet")
	cmd.Dir = filepath.Dir(filepath.Dir(build))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w: %s", err, out)
	}
	return path, nil
})

// where names a kind of broker.
type where string

const (
	embedded where = "embedded"
	cluster  where = "kafka"
)

// onBoth runs a test on the embedded broker and on a real Kafka.
func onBoth(t *testing.T, f func(t *testing.T, at where)) {
	t.Helper()
	asked(t)
	for _, at := range []where{embedded, cluster} {
		if *on != "" && *on != string(at) {
			continue
		}
		t.Run(string(at), func(t *testing.T) { f(t, at) })
	}
}

// onKafka runs a test that only makes sense on a real Kafka.
func onKafka(t *testing.T) {
	t.Helper()
	asked(t)
	if *on != "" && *on != string(cluster) {
		t.Skipf("NOT RUN: -torture.on=%s", *on)
	}
}

// random is the source of everything that a test draws; it says how the test is repeated.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	t.Logf("repeat with: %s=try go test ./test/torture -count=1 -timeout 3h -run '^%s$' -torture=%s -torture.kills=%d -torture.seed=%d", kafka.Env, t.Name(), *mode, *kills, *seed)
	return rand.New(rand.NewPCG(*seed, 1))
}

// between draws a duration.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)+1))
}

// pause lets time pass in which something is to go wrong.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// copyFile appends a file to what is kept of a failed run.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, in)
	return err
}
