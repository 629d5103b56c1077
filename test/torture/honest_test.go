//go:build unix

package torture

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/await"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/test/honest"
	"github.com/freshet-io/freshet/test/kafka"
)

// honestSetup is a world for package honest, whose instances ask each other.
func honestSetup(t *testing.T, at where, c *kafka.Cluster) setup {
	t.Helper()
	dir := t.TempDir()
	contract, secret := filepath.Join(dir, "contracts.yaml"), filepath.Join(dir, "secret")
	for path, text := range map[string]string{contract: honest.Contract, secret: "between the instances of a test"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return setup{at: at, cluster: c, contract: contract, partitions: 6, flags: []string{"-peer.listen", "127.0.0.1:0", "-peer.secret-file", secret}}
}

// How long who asks an instance waits: one that is killed or frozen does not answer, one that is well does, however busy the machine is.
const (
	impatient = 3 * time.Second
	patient   = time.Minute
)

// honesty is a play on a world's instances; who asks one gives up after a while.
func (w *world) honesty(seed uint64, patience time.Duration, ask func(r *rand.Rand) *instance) (*honest.Log, *honest.Play) {
	w.t.Helper()
	text, err := os.ReadFile(w.contract)
	if err != nil {
		w.t.Fatal(err)
	}
	file, err := slo.Parse(text, w.contract, os.LookupEnv)
	if err != nil {
		w.t.Fatal(err)
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 1024}}
	w.t.Cleanup(client.CloseIdleConnections)
	var why sync.Once
	return honest.NewLog(file.Contract()), &honest.Play{
		Seed: seed, Items: 4, Workflows: 12, Askers: 8, Gap: 40 * time.Millisecond,
		Teller: func() honest.Teller {
			return &honest.Kafka{Brokers: w.brokers, Graph: w.graph, TxnID: w.prefix + "test/honest"}
		},
		Ask: func(ctx context.Context, r *rand.Rand, body []byte) (string, []byte, error) {
			i := ask(r)
			answer, err := i.check(ctx, client, body)
			if err != nil {
				why.Do(func() { w.t.Logf("the first check without an answer: %v", err) })
			}
			return i.id, answer, err
		},
	}
}

// check asks the instance a check.
func (i *instance) check(ctx context.Context, client *http.Client, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+i.http+"/v1/check", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d: %s", resp.StatusCode, text)
	}
	return text, err
}

// honestSpan is how long answers are looked at.
func honestSpan() time.Duration {
	return cmp.Or(*honesty, map[bool]time.Duration{true: 20 * time.Second, false: 3 * time.Minute}[short()])
}

// sayReport says what was found, and fails the test if an answer was wrong.
func sayReport(t *testing.T, report *honest.Report, unanswered int64) {
	t.Helper()
	t.Logf("%v; %d checks without an answer", report, unanswered)
	for _, example := range report.Examples {
		t.Error(example)
	}
	if report.Fresh == 0 || report.Stale == 0 || report.Unknown == 0 {
		t.Errorf("it proves little: %v", report)
	}
}

// While instances are killed, frozen, stopped and started, everything that any of them answers is compared with what was so: nothing is
// called fresh that was not.
func TestHonestAnswers(t *testing.T) {
	onBoth(t, func(t *testing.T, at where) {
		var c *kafka.Cluster
		if at == cluster {
			c = kafka.Start(t, kafka.Options{})
		}
		r := random(t)
		w := newWorld(t, honestSetup(t, at, c))
		ctx, cancel := context.WithTimeout(t.Context(), honestSpan()+10*time.Minute)
		defer cancel()
		instances := 3
		if at == embedded {
			instances = 1 // it brings the broker
		}
		for k := range instances {
			w.instance(fmt.Sprintf("i%d", k)).start("")
		}
		for _, i := range w.instances {
			i.awaitReady(ctx)
		}
		all := slices.Clone(w.instances)
		log, play := w.honesty(r.Uint64(), impatient, func(r *rand.Rand) *instance { return all[r.IntN(len(all))] })
		play.Enough = func() bool { return log.Has(1) }
		play.Aborts = at == cluster // the embedded broker does not end what it had open when it was killed
		did, moves := tally{}, rand.New(rand.NewPCG(r.Uint64(), 2))
		type result struct {
			unanswered int64
			err        error
		}
		done := make(chan result, 1)
		go func() {
			n, err := play.Run(ctx, log, honestSpan())
			done <- result{n, err}
		}()
		for begun := time.Now(); time.Since(begun) < honestSpan()-5*time.Second; {
			pause(t, between(moves, time.Second, 6*time.Second))
			w.move(moves, instances, did)
			for _, i := range w.running() {
				w.lives(i)
			}
		}
		for _, i := range w.instances { // who tells waits for acknowledgements
			if !i.runs() {
				i.start("")
			}
		}
		end := <-done
		if end.err != nil {
			t.Fatal(end.err)
		}
		t.Logf("%d moves:\n%s", did.sum(), did)
		sayReport(t, log.Compare(), end.unanswered)
	})
}

// Without any one of the rules that answers rest on, wrong answers are found.
func TestDishonestAnswersAreFound(t *testing.T) {
	asked(t)
	notShort(t)
	for _, rule := range await.Rules() {
		t.Run(rule, func(t *testing.T) {
			r := random(t)
			s := honestSetup(t, embedded, nil)
			s.without = rule
			w := newWorld(t, s)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			i := w.instance("i0")
			i.start("")
			i.awaitReady(ctx)
			log, play := w.honesty(r.Uint64(), impatient, func(*rand.Rand) *instance { return i })
			play.Aborts = true
			if _, err := play.Run(ctx, log, 10*time.Second); err != nil {
				t.Fatal(err)
			}
			report := log.Compare()
			t.Log(report)
			if report.Wrong() == 0 {
				t.Errorf("without the rule nothing wrong is found: %v", report)
			}
		})
	}
}

// The owner of workflows is killed while checks come at the other instance, a thousand a second: until it has taken over it says that it does
// not know, in time, and nothing that is not so.
func TestOwnerKilledUnderChecks(t *testing.T) {
	onKafka(t)
	c := kafka.Start(t, kafka.Options{})
	r := random(t)
	w := newWorld(t, honestSetup(t, cluster, c))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	owner, other := w.instance("owner"), w.instance("other")
	for _, i := range w.instances {
		i.start("")
		i.awaitReady(ctx)
	}
	var lost map[int32]bool // partitions of the owner
	w.until(ctx, func() string {
		if lost = w.ownedBy(ctx, other, owner.id); len(lost) == 0 || len(lost) == w.partitions {
			return fmt.Sprintf("%d of %d partitions are the owner's", len(lost), w.partitions)
		}
		return ""
	})
	log, play := w.honesty(r.Uint64(), patient, func(*rand.Rand) *instance { return other })
	play.Workflows, play.Items, play.Askers, play.Rate, play.Gap = 30, 4, 256, 1000, 300*time.Millisecond
	const before, after = 8 * time.Second, 22 * time.Second
	killed := make(chan time.Time, 1)
	var dead atomic.Pointer[time.Time]
	go func() {
		pause(t, before)
		at := time.Now()
		owner.kill()
		dead.Store(&at)
		killed <- at
	}()
	play.Enough = func() bool { // all that the dead one had is fresh again
		at := dead.Load()
		return at != nil && len(w.freshAgain(log, lost, *at)) == len(lost)
	}
	unanswered, err := play.Run(ctx, log, before+after)
	if err != nil {
		t.Fatal(err)
	}
	w.sayTakeover(log, lost, <-killed)
	sayReport(t, log.Compare(), unanswered)
	if unanswered > 0 {
		t.Errorf("%d checks got no answer", unanswered)
	}
}

// ownedBy asks an instance which partitions of the workflows another one has.
func (w *world) ownedBy(ctx context.Context, ask *instance, id string) map[int32]bool {
	var said struct {
		Partitions []struct {
			Group     string `json:"group"`
			Partition int32  `json:"partition"`
			Owner     string `json:"owner"`
		} `json:"partitions"`
	}
	_, body, err := ask.get(ctx, "/v1/status")
	if err == nil {
		err = json.Unmarshal([]byte(body), &said)
	}
	owned := map[int32]bool{}
	for _, p := range said.Partitions {
		if err == nil && p.Group == w.graph.Workflows.Name && p.Owner == id {
			owned[p.Partition] = true
		}
	}
	return owned
}

// sayTakeover says what was answered of the lost partitions, before and after the kill, and when what is fresh was called so again.
func (w *world) sayTakeover(log *honest.Log, lost map[int32]bool, killed time.Time) {
	w.t.Helper()
	counts := map[bool]tally{false: {}, true: {}}
	blind := time.Duration(0)
	var took []time.Duration
	n := 0
	log.Each(func(a *honest.Answer) {
		n++
		took = append(took, a.Received.Go().Sub(a.Due))
		p := w.graph.Partitioner.PartitionString(a.Check.Workflow, w.graph.Workflows.Partitions)
		if !lost[p] {
			return
		}
		late := a.Due.After(killed)
		what := a.Verdict
		for _, reason := range a.Reasons {
			if a.Verdict == "unknown" {
				what += " " + reason
			}
		}
		counts[late][what]++
		if !late {
			return
		}
		if slices.Contains(a.Reasons, "recovering") {
			blind = max(blind, a.Received.Go().Sub(killed))
		}
	})
	first := w.freshAgain(log, lost, killed)
	w.t.Logf("%d checks; of the %d partitions of who was killed, before:\n%safter:\n%s", n, len(lost), counts[false], counts[true])
	slices.Sort(took)
	w.t.Logf("from when a check was due to its answer: p50 %v, p99 %v, at most %v", took[n/2], took[n*99/100], took[n-1])
	w.t.Logf("the last answer that nobody had the partition came %v after the kill; fresh again after %v", blind, slices.Sorted(maps.Values(first)))
	if len(first) != len(lost) {
		w.t.Errorf("%d of %d partitions were answered fresh again", len(first), len(lost))
	}
}

// freshAgain returns how long after the kill the first answer came, of each of the lost partitions, that rests on what was after it and is
// fresh.
func (w *world) freshAgain(log *honest.Log, lost map[int32]bool, killed time.Time) map[int32]time.Duration {
	first := map[int32]time.Duration{}
	log.Each(func(a *honest.Answer) {
		if a.Verdict != "fresh" || a.Check.At != nil || !a.Due.After(killed) || rests(a) < event.Of(killed) {
			return
		}
		p := w.graph.Partitioner.PartitionString(a.Check.Workflow, w.graph.Workflows.Partitions)
		if _, known := first[p]; lost[p] && !known {
			first[p] = a.Received.Go().Sub(killed)
		}
	})
	return first
}

// rests is through when an answer rests on what was acknowledged.
func rests(a *honest.Answer) event.Time {
	if a.Applied == nil {
		return 0
	}
	t, _ := event.ParseTime(*a.Applied)
	return t
}
