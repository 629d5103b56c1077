//go:build unix

package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/freshet-io/freshet/test/kafka"
	"github.com/freshet-io/freshet/topology"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// setup says what world a test wants.
type setup struct {
	at             where
	cluster        *kafka.Cluster // where at is a cluster
	addrs          []string       // of brokers that are there, instead of a cluster
	set            string         // golden set: its events, contract and verdicts
	contract       string         // contract file, if it is not the set's
	partitions     int
	sessionTimeout time.Duration
	flags          []string // more flags of run
	without        string   // rule of package await that the instances do without
}

// world is a broker with topics, the instances that run on them, and what is to come out of it.
type world struct {
	setup
	t         *testing.T
	dir       string
	prefix    string
	graph     *topology.Graph
	file      *slo.File // the contract
	brokers   []string  // of a cluster, or where the embedded broker listens
	events    string    // files of the set
	verdicts  string
	want      map[string]map[string]any
	lines     [][]byte
	instances []*instance
	played    bool // events are loaded as they happen
}

// newWorld makes the topics. No instance runs yet.
func newWorld(t *testing.T, s setup) *world {
	t.Helper()
	if s.partitions == 0 {
		s.partitions = 8
	}
	if s.sessionTimeout == 0 {
		s.sessionTimeout = 3 * time.Second
	}
	w := &world{setup: s, t: t, dir: t.TempDir()}
	if w.contract == "" {
		w.contract = withObjectives(t, w.dir, s.set)
	}
	var err error
	if w.contract, err = filepath.Abs(w.contract); err != nil {
		t.Fatal(err)
	}
	if s.set != "" {
		w.events, w.verdicts = w.files()
		w.lines, w.want = testfile.Lines(t, w.events), harness.Golden(t, w.verdicts)
	}
	if s.at == embedded {
		ports, err := kafka.Ports(1)
		if err != nil {
			t.Fatal(err)
		}
		w.brokers = []string{fmt.Sprintf("127.0.0.1:%d", ports[0])}
	} else {
		w.brokers = s.addrs
		if s.cluster != nil {
			w.brokers = s.cluster.Addrs()
		}
		w.prefix = fmt.Sprintf("t%d.", time.Now().UnixNano())
	}
	text, err := os.ReadFile(w.contract)
	if err != nil {
		t.Fatal(err)
	}
	if w.file, err = slo.Parse(text, w.contract, os.LookupEnv); err != nil {
		t.Fatal(err)
	}
	if w.graph, err = topology.FromContract(w.topics(), w.file); err != nil {
		t.Fatal(err)
	}
	if s.at == cluster {
		w.freshet("topics", append([]string{"apply"}, w.topicFlags()...)...)
	}
	t.Cleanup(w.end)
	return w
}

func (w *world) topics() topology.Config {
	return topology.Config{Prefix: w.prefix, Partitions: w.partitions, MaxMessageBytes: 1 << 20}
}

func (w *world) topicFlags() []string {
	return []string{
		"-contracts.file", w.contract, "-topics.partitions", fmt.Sprint(w.partitions), "-topics.prefix", w.prefix, "-topics.max-message-bytes", fmt.Sprint(1 << 20),
		"-kafka.brokers", strings.Join(w.brokers, ","),
	}
}

// freshet runs a command of the program to its end and returns what it wrote.
func (w *world) freshet(command string, args ...string) []byte {
	w.t.Helper()
	path, err := built()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.CommandContext(w.t.Context(), path, append([]string{command}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = exit.Stderr
		}
		w.t.Fatalf("freshet %s %s: %v: %s", command, strings.Join(args, " "), err, out)
	}
	return out
}

// end stops what still runs, and keeps what a failed test has left.
func (w *world) end() {
	for _, i := range w.instances {
		i.kill()
	}
	if !w.t.Failed() && !*keepAll {
		return
	}
	build, err := kafka.BuildDir()
	if err != nil {
		w.t.Error(err)
		return
	}
	name := strings.NewReplacer("/", "_", "=", "_").Replace(w.t.Name())
	kept := filepath.Join(filepath.Dir(build), "torture", fmt.Sprintf("%s-%d", name, *seed))
	if err := os.MkdirAll(kept, 0o755); err != nil {
		w.t.Error(err)
		return
	}
	for _, i := range w.instances {
		if err := copyFile(filepath.Join(kept, i.id+".log"), i.log()); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.t.Error(err)
		}
	}
	w.t.Logf("the logs of the instances are kept in %s", kept)
}

// shuffle puts the set's events into an order of the seed's.
func (w *world) shuffle(r *rand.Rand) {
	r.Shuffle(len(w.lines), func(i, j int) { w.lines[i], w.lines[j] = w.lines[j], w.lines[i] })
}

// part returns the i-th of n parts of the events.
func (w *world) part(i, n int) [][]byte {
	return w.lines[i*len(w.lines)/n : (i+1)*len(w.lines)/n]
}

// client is one for what tests ask and write themselves.
func (w *world) client(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(w.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

func (w *world) admin() *kadm.Client { return kadm.NewClient(w.client()) }

// until waits for a condition: it is asked until it returns "", and what it said last is what the test fails with.
func (w *world) until(ctx context.Context, condition func() string) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := condition()
		if missing == "" {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("%s; %s", missing, w.states())
		case <-tick.C:
		}
	}
}

// states says how the instances are.
func (w *world) states() string {
	var all []string
	for _, i := range w.instances {
		all = append(all, i.id+": "+i.state())
	}
	return strings.Join(all, "; ")
}

// running are the instances that run.
func (w *world) running() []*instance {
	return slices.DeleteFunc(slices.Clone(w.instances), func(i *instance) bool { return !i.runs() })
}
