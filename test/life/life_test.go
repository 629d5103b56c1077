package life

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/internal/programs"
	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

const (
	golden     = "../../testdata/golden/coding-sessions"
	contract   = golden + ".contracts.yaml"
	partitions = 4
	inTime     = 4 * time.Minute
)

// TestStoppedUnderLoad asks the engine to stop again and again while it works: each time it ends in order within ten seconds, and in the
// end the verdicts are those of an undisturbed run.
func TestStoppedUnderLoad(t *testing.T) {
	ctx := within(t)
	e := harness.New(t, harness.Options{Contract: contract, Partitions: partitions})
	lines := testfile.Lines(t, golden+".events.ndjson.gz")
	v := e.Verdicts()
	dir := t.TempDir()
	const parts = 3
	for i := range parts {
		p := start(t, e.Brokers(), dir)
		p.untilReady(ctx)
		part := lines[i*len(lines)/parts : (i+1)*len(lines)/parts]
		loaded := make(chan struct{})
		go func() {
			defer close(loaded)
			e.Load(ctx, part)
		}()
		read := v.Records
		v.Until(ctx, func() string {
			if v.Records == read {
				return "the engine says nothing"
			}
			return ""
		})
		p.signal(syscall.SIGTERM)
		if status, took := p.ended(); status != 0 || took > 10*time.Second {
			t.Fatalf("round %d: status %d after %v:\n%s", i, status, took, p.stderr.String())
		} else {
			t.Logf("round %d: stopped in %v, %d verdicts read", i, took, v.Records)
		}
		<-loaded
	}
	p := start(t, e.Brokers(), dir)
	v.Compare(ctx, harness.Golden(t, golden+".verdicts.ndjson.gz"))
	p.signal(syscall.SIGTERM)
	if status, _ := p.ended(); status != 0 {
		t.Errorf("status %d:\n%s", status, p.stderr.String())
	}
}

// TestStoppedWhileCommitsHang has a broker that does not answer the last request: the first signal waits for it, for a few seconds, and says that
// the transaction was given up; a second one does not wait.
func TestStoppedWhileCommitsHang(t *testing.T) {
	for _, again := range []bool{true, false} {
		t.Run(fmt.Sprintf("second signal: %v", again), func(t *testing.T) {
			ctx := within(t)
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			e := harness.New(t, harness.Options{Contract: contract, Partitions: partitions, Brokers: cluster.ListenAddrs()[0]})
			p := start(t, e.Brokers(), t.TempDir())
			p.untilReady(ctx)
			gate, hangs := make(chan struct{}), make(chan struct{})
			t.Cleanup(sync.OnceFunc(func() { close(gate) }))
			var once sync.Once
			cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the signature is kfake's
				cluster.KeepControl()
				once.Do(func() { close(hangs) })
				cluster.SleepControl(func() { <-gate })
				return nil, nil, false
			})
			select {
			case <-hangs:
			case <-ctx.Done():
				t.Fatal("nothing is committed")
			}
			p.signal(syscall.SIGTERM)
			if again {
				if p.endedWithin(time.Second) {
					t.Fatalf("the engine did not wait for its commit:\n%s", p.stderr.String())
				}
				p.signal(syscall.SIGTERM)
				if status, took := p.ended(); status != 3 || took > 5*time.Second {
					t.Errorf("status %d, %v after the second signal", status, took)
				}
				return
			}
			status, took := p.ended()
			if status != 0 || took > 10*time.Second || !strings.Contains(p.stderr.String(), "done again at the next start") {
				t.Errorf("status %d after %v:\n%s", status, took, p.stderr.String())
			}
		})
	}
}

// TestBrokersComeAndGo starts the engine before its broker, and lets the broker go and come back while it works.
func TestBrokersComeAndGo(t *testing.T) {
	ctx := within(t)
	b := &broker{t: t, dir: t.TempDir(), listen: freeAddress(t)}
	b.start()
	e := harness.New(t, harness.Options{Contract: contract, Partitions: partitions, Brokers: b.listen})
	lines := testfile.Lines(t, golden+".events.ndjson.gz")
	b.stop()

	p := start(t, e.Brokers(), t.TempDir())
	p.until(ctx, func() string {
		if _, said := p.ready(); !strings.Contains(said, "cluster waits") || !strings.Contains(said, "asked 2 times") || !strings.Contains(said, b.listen) {
			return "ready says " + said
		}
		return ""
	})
	b.start()
	p.untilReady(ctx)

	v := e.Verdicts()
	e.Load(ctx, lines[:len(lines)/2])
	b.stop()
	p.until(ctx, func() string {
		if n := strings.Count(p.stderr.String(), "session ended"); n < 3 {
			return fmt.Sprintf("%d sessions have ended", n)
		}
		return ""
	})
	b.start()
	e.Load(ctx, lines[len(lines)/2:])
	v.Compare(ctx, harness.Golden(t, golden+".verdicts.ndjson.gz"))
	p.untilReady(ctx)
	p.signal(syscall.SIGTERM)
	if status, took := p.ended(); status != 0 {
		t.Errorf("status %d after %v:\n%s", status, took, p.stderr.String())
	}
}

// TestStoppedBeforeItsBroker asks an engine to stop that still waits for its broker.
func TestStoppedBeforeItsBroker(t *testing.T) {
	ctx := within(t)
	p := start(t, []string{freeAddress(t)}, t.TempDir())
	p.until(ctx, func() string {
		if _, said := p.ready(); !strings.Contains(said, "cluster waits") {
			return "ready says " + said
		}
		return ""
	})
	p.signal(syscall.SIGTERM)
	if status, took := p.ended(); status != 0 || took > 10*time.Second {
		t.Errorf("status %d after %v:\n%s", status, took, p.stderr.String())
	}
}

// TestBrokersThatWillNotDo are refused at once, with the reason: waiting would not help.
func TestBrokersThatWillNotDo(t *testing.T) {
	ctx := within(t)
	none := kversion.V4_0_0()
	for _, key := range []kmsg.Key{kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		none.SetMaxKeyVersion(key.Int16(), -1)
	}
	for name, c := range map[string]struct {
		versions *kversion.Versions
		lacks    string
	}{
		"too old":              {kversion.V2_8_0(), "DescribeTransactions"},
		"without transactions": {none, "TxnOffsetCommit"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.MaxVersions(c.versions))
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			p := start(t, cluster.ListenAddrs(), t.TempDir())
			select {
			case <-p.done:
			case <-ctx.Done():
				t.Fatalf("the engine runs:\n%s", p.stderr.String())
			}
			if status := p.cmd.ProcessState.ExitCode(); status != 3 {
				t.Errorf("status %d", status)
			}
			for _, word := range []string{c.lacks, "Kafka 3.0 or later"} {
				if said := p.stderr.String(); !strings.Contains(said, word) {
					t.Errorf("it does not say %q:\n%s", word, said)
				}
			}
		})
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the engine and runs it as a process: not with -short")
	}
	used.Store(true)
	if _, err := built(); err != nil { // in a clean clone it takes its time, which is nobody's whom the test waits for
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), inTime)
	t.Cleanup(cancel)
	return ctx
}

// broker is an embedded one with an address of its own, that can be stopped and started again.
type broker struct {
	t           *testing.T
	dir, listen string
	b           *embedded.Broker
}

func (b *broker) start() {
	b.t.Helper()
	var cfg embedded.Config
	cfg.RegisterFlags(flag.NewFlagSet("broker", flag.PanicOnError))
	cfg.Dir, cfg.Listen = b.dir, b.listen
	var err error
	if b.b, err = embedded.New(cfg, log.NewNopLogger()); err != nil {
		b.t.Fatal(err)
	}
	if err := services.StartAndAwaitRunning(context.Background(), b.b); err != nil {
		b.t.Fatal(err)
	}
	one := b.b
	b.t.Cleanup(func() { _ = services.StopAndAwaitTerminated(context.Background(), one) })
}

func (b *broker) stop() {
	b.t.Helper()
	if err := services.StopAndAwaitTerminated(context.Background(), b.b); err != nil {
		b.t.Fatal(err)
	}
}

// freeAddress returns an address that stays free.
func freeAddress(t *testing.T) string {
	t.Helper()
	at, err := programs.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// process is an engine.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	http   string
	stderr output
	done   chan struct{}
	asked  time.Time // when the last signal was sent
}

// output is what a process has written so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "freshet-life")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "freshet")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/freshet").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the engine: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	if used.Load() {
		if path, err := built(); err == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
	}
	os.Exit(status)
}

var used atomic.Bool // the engine was built

func start(t *testing.T, brokers []string, dir string) *process {
	t.Helper()
	return startWith(t, brokers, dir, contract)
}

// startWith starts an engine with a contract file of its own.
func startWith(t *testing.T, brokers []string, dir, contract string) *process {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, http: freeAddress(t), done: make(chan struct{})}
	p.cmd = exec.Command(path, "run", "-contracts.file", contract, "-kafka.brokers", strings.Join(brokers, ","), "-data.dir", dir,
		"-http.listen", p.http, "-instance.id", "engine", "-topics.partitions", strconv.Itoa(partitions), "-group.session-timeout", "3s")
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// ready asks the engine whether it is.
func (p *process) ready() (bool, string) {
	resp, err := http.Get("http://" + p.http + "/ready")
	if err != nil {
		return false, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK, string(b)
}

func (p *process) untilReady(ctx context.Context) {
	p.t.Helper()
	p.until(ctx, func() string {
		ok, said := p.ready()
		if ok {
			return ""
		}
		return said
	})
}

// until waits for a condition: it is asked until it returns "", and what it said last is what the test fails with.
func (p *process) until(ctx context.Context, condition func() string) {
	p.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := condition()
		if missing == "" {
			return
		}
		select {
		case <-p.done:
			p.t.Fatalf("the engine ended: %v\n%s", p.cmd.ProcessState, p.stderr.String())
		case <-ctx.Done():
			p.t.Fatalf("%s\n%s", missing, p.stderr.String())
		case <-tick.C:
		}
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	p.asked = time.Now()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// ended waits for the process to end, and says with what status and how long after the last signal.
func (p *process) ended() (status int, took time.Duration) {
	p.t.Helper()
	if !p.endedWithin(30 * time.Second) {
		p.t.Fatalf("the engine does not end:\n%s", p.stderr.String())
	}
	return p.cmd.ProcessState.ExitCode(), time.Since(p.asked)
}

func (p *process) endedWithin(d time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(d):
		return false
	}
}
