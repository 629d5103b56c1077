//go:build unix

package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/internal/await"
	"github.com/freshet-io/freshet/test/kafka"
)

// Workflows are erased while the engine is killed, at random instants and at every point of a commit, and while the command that asks for it is
// killed: it is asked again until it has been said that the request is written. In the end nothing that is compacted names them, what was said
// of them stands, and the others are untouched.
func TestErasedUnderKills(t *testing.T) {
	notShort(t)
	onBoth(t, func(t *testing.T, at where) {
		var c *kafka.Cluster
		if at == cluster {
			c = kafka.Start(t, kafka.Options{})
		}
		ctx, r := within(t), random(t)
		set := anySet(r)
		w := newWorld(t, setup{at: at, cluster: c, set: set, contract: counting(t, set), partitions: 4})
		w.shuffle(r)
		i := w.instance("i0")
		i.start("")
		i.awaitReady(ctx)
		if err := w.load(ctx, w.lines); err != nil {
			t.Fatal(err)
		}
		w.settled(ctx)
		gone, stays := w.workflows(r)
		before := w.naming(ctx, stays)
		if w.naming(ctx, gone) == 0 || before == 0 {
			t.Fatal("nothing names the workflows")
		}
		did := tally{}
		for _, p := range []string{await.Callback, await.BeforeProduce, await.AfterProduce, await.AfterOffsets, await.AfterEnd, "", ""} {
			some := min(len(gone), 1+len(gone)/7)
			w.eraseUnder(ctx, r, i, p, gone[:some], did)
			gone = append(gone[some:], gone[:some]...) // what is left at the end was erased first: twice does no harm
		}
		i.kill()
		i.start("")
		i.awaitReady(ctx)
		for _, id := range gone {
			w.erase(ctx, r, id, false)
		}
		w.until(ctx, func() string {
			if n := w.naming(ctx, gone); n > 0 {
				return fmt.Sprintf("%d records still name what was erased", n)
			}
			return ""
		})
		if after := w.naming(ctx, stays); after != before {
			t.Errorf("%d records name what stays; there were %d", after, before)
		}
		w.settled(ctx)
		t.Logf("%d workflows erased:\n%s", len(gone), did)
	})
}

// counting is the contract of a set, with objectives.
func counting(t *testing.T, set string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(golden, contractOf(set)+".contracts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	contract := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(contract, append(text, objectives...), 0o644); err != nil {
		t.Fatal(err)
	}
	return contract
}

// workflows draws which are erased, one of four, and which stay.
func (w *world) workflows(r *rand.Rand) (gone, stays []string) {
	known := map[string]bool{}
	for _, line := range w.want {
		known[line["workflow"].(string)] = true
	}
	var all []string
	for id := range known {
		all = append(all, id)
	}
	slices.Sort(all)
	for _, id := range all {
		if r.IntN(4) == 0 {
			gone = append(gone, id)
		} else {
			stays = append(stays, id)
		}
	}
	return gone, stays
}

// naming is how many records of the compacted topics name one of some workflows.
func (w *world) naming(ctx context.Context, workflows []string) (n int) {
	names := make([]string, len(workflows))
	for i, id := range workflows {
		names[i] = regexp.QuoteMeta(id)
	}
	named := regexp.MustCompile(`(` + strings.Join(names, "|") + `)([^0-9]|$)`) // one id is the beginning of another
	for _, topic := range []string{w.graph.Workflows.Table, w.graph.Detections, w.graph.Buckets} {
		for key, value := range w.last(ctx, topic) {
			if named.MatchString(key) || named.MatchString(value) {
				n++
			}
		}
	}
	return n
}

// eraseUnder erases workflows in a life that ends at a point, or at an instant, while the next one begins.
func (w *world) eraseUnder(ctx context.Context, r *rand.Rand, i *instance, point string, workflows []string, did tally) {
	w.t.Helper()
	i.kill()
	at := ""
	if point != "" {
		at = fmt.Sprintf("%s:%d", point, 1+r.IntN(12))
	}
	i.start(at)
	life, ended := i.lives, i.done
	for n, id := range workflows {
		w.erase(ctx, r, id, n%2 == 0)
		if point == "" && n == len(workflows)/2 {
			pause(w.t, between(r, 0, 200*time.Millisecond))
			i.kill()
		}
	}
	select {
	case <-ended: // the clocks alone pass every point now and then
	case <-ctx.Done():
		w.t.Fatalf("%s is not passed", at)
	}
	if point == "" || i.lives > life || i.killedAt(point) {
		did[end{point: at}.String()]++
	}
	if !i.runs() {
		i.start("")
	}
	i.awaitReady(ctx)
}

// erase asks for a workflow to be erased until it is said to be asked for; the first command may be killed.
func (w *world) erase(ctx context.Context, r *rand.Rand, id string, kill bool) {
	w.t.Helper()
	path, err := built()
	if err != nil {
		w.t.Fatal(err)
	}
	w.until(ctx, func() string {
		for _, i := range w.instances {
			if !i.runs() {
				i.start("") // the embedded broker ends with its engine
			}
		}
		cmd := exec.CommandContext(ctx, path, append([]string{"workflows", "erase", id, "-reason", "torture"}, w.topicFlags()...)...)
		if kill {
			kill = false
			if err := cmd.Start(); err != nil {
				return err.Error()
			}
			defer time.AfterFunc(between(r, 0, 300*time.Millisecond), func() { _ = cmd.Process.Signal(syscall.SIGKILL) }).Stop()
			if err := cmd.Wait(); err != nil {
				return "the command was killed: " + err.Error()
			}
			return ""
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Sprintf("erase %s: %v: %s", id, err, out)
		}
		return ""
	})
}
