package commands

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/internal/testfile"
)

// transcript is what a running command has written so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (tr *transcript) Write(p []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.Write(p)
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.String()
}

// await polls until f is true.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for tick := time.NewTicker(20 * time.Millisecond); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s has not come about in three minutes", what)
		}
	}
}

// A person's first hour: run the engine, load a recording, read the verdicts. They are the golden ones, and the engine stops when it is
// told to.
func TestRunLoadVerdicts(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole engine")
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	errs := &transcript{}
	ended := make(chan int, 1)
	go func() {
		ended <- New().Main(ctx, []string{"run", "-contracts.file", golden + "coding-sessions.contracts.yaml", "-data.dir", filepath.Join(t.TempDir(), "data"),
			"-embedded.listen", "127.0.0.1:0", "-http.listen", "127.0.0.1:0", "-topics.partitions", "3"},
			&cli.Stdio{In: strings.NewReader(""), Out: io.Discard, Err: errs, Getenv: func(string) (string, bool) { return "", false }})
	}()
	ready := regexp.MustCompile(`freshet is ready: Kafka at (\S+), HTTP at (http://\S+)`)
	var where []string
	await(t, "a ready engine", func() bool { where = ready.FindStringSubmatch(errs.String()); return where != nil })
	response, err := http.Get(where[2] + "/ready")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("/ready says %s", response.Status)
	}

	if l := freshet(t, "", "load", "-kafka.brokers", where[1], golden+"coding-sessions.events.ndjson.gz"); l.status != 0 {
		t.Fatalf("load: %+v", l)
	}
	want := string(testfile.Read(t, golden+"coding-sessions.verdicts.ndjson.gz"))
	var got said
	deadline := time.Now().Add(3 * time.Minute)
	for got.out != want && time.Now().Before(deadline) {
		got = freshet(t, "", "verdicts", "-kafka.brokers", where[1], "-golden")
	}
	if got.status != 0 || got.out != want {
		t.Errorf("status %d: %s", got.status, firstDifference(got.out, want))
	}
	stop()
	select {
	case status := <-ended:
		if status != 0 {
			t.Errorf("run ended with %d: %s", status, errs.String())
		}
	case <-time.After(time.Minute):
		t.Error("run has not ended a minute after it was told to")
	}
}

// The benchmark measures what it says: every use of the workload is judged.
func TestBenchJudgesTheWholeWorkload(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole engine")
	}
	profile := filepath.Join(t.TempDir(), "cpu.prof")
	got := freshet(t, "", "bench", "ingest", "-log.level", "error", "-topics.partitions", "2", "-workload.workflows", "500", "-workload.items", "50", "-cpuprofile", profile)
	if got.status != 0 || strings.Count(got.out, "\n") != 2 || !strings.Contains(got.out, `"what":"engine"`) || !strings.Contains(got.out, `"verdicts":1000,`) {
		t.Errorf("%+v", got)
	}
	if info, err := os.Stat(profile); err != nil || info.Size() == 0 {
		t.Errorf("the profile: %v, %v", info, err)
	}
}

// Without a terminal the demo writes its verdicts as lines, ends when its time is over, and leaves nothing behind.
func TestDemoWithoutATerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a demo")
	}
	t.Setenv("TMPDIR", t.TempDir())
	var got said
	for _, length := range []string{"15s", "90s"} { // a machine that is slow has hardly begun after the first
		got = freshet(t, "", "demo", "-for", length)
		if got.status != 0 || strings.Contains(got.out, "  stale  ") {
			break
		}
	}
	if got.status != 0 || !strings.Contains(got.out, "decisions judged") || !strings.Contains(got.out, "  stale  ") {
		t.Errorf("status %d: %s\n%s", got.status, got.out, got.err)
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}
