//go:build unix

package torture

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/internal/await"
	"github.com/freshet-io/freshet/test/kafka"
)

// TestKills kills instances, one life after the other, while events come: at random instants, and at every named point.
func TestKills(t *testing.T) {
	onBoth(t, func(t *testing.T, at where) {
		var c *kafka.Cluster
		if at == cluster {
			c = kafka.Start(t, kafka.Options{})
		}
		r := random(t)
		did := tally{}
		names, n := sets, 38
		if short() {
			names, n = []string{anySet(r)}, 12
		}
		if *kills > 0 {
			n = max(1, *kills/len(names))
		}
		for k, set := range names {
			instances := 1
			if at == cluster {
				instances = 1 + k%3
			}
			partitions := []int{8, 1, 12, 4, 3}[r.IntN(5)]
			part := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
			t.Run(fmt.Sprintf("%s/p%d/i%d", set, partitions, instances), func(t *testing.T) {
				w := newWorld(t, setup{at: at, cluster: c, set: set, partitions: partitions})
				w.killing(part, instances, n, did)
			})
			if t.Failed() {
				break
			}
		}
		t.Logf("%d kills:\n%s", did.sum(), did)
	})
}

// tally counts what was done.
type tally map[string]int

func (y tally) sum() int {
	n := 0
	for _, v := range y {
		n += v
	}
	return n
}

func (y tally) String() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(y)) {
		fmt.Fprintf(&b, "%6d  %s\n", y[k], k)
	}
	return b.String()
}

// end is how a life ends.
type end struct {
	point string        // at a point of package await, "" for an instant
	early bool          // counted from its start, not from when it is ready
	after time.Duration // the instant
	bare  bool          // it starts without the rows of its earlier lives
}

func (e end) String() string {
	s := "while it works"
	switch {
	case e.point != "":
		s, _, _ = strings.Cut(e.point, ":")
	case e.early:
		s = "while it starts"
	}
	if e.bare {
		s += ", its rows lost before"
	}
	return s
}

// draw is the end of a life. Every point comes as often as an instant of either kind.
func draw(r *rand.Rand, at where) end {
	points := await.Points()
	if at == cluster {
		points = slices.DeleteFunc(points, func(p string) bool { return p == await.EmbeddedStart || p == await.Compaction })
	}
	e := end{bare: r.IntN(8) == 0}
	switch n := r.IntN(len(points) + 4); {
	case n < 2:
		e.after = between(r, 0, 400*time.Millisecond)
	case n < 4:
		e.early, e.after = true, between(r, 0, 2500*time.Millisecond)
	default:
		most := map[string]int{await.Callback: 300, await.Restore: 600, await.View: 900, await.EmbeddedStart: 7, await.Compaction: 6}[points[n-4]]
		if most == 0 {
			most = 25
		}
		e.point = fmt.Sprintf("%s:%d", points[n-4], 1+r.IntN(most))
		e.bare = e.bare || strings.HasPrefix(e.point, await.Restore) // a store that is up to date restores nothing
	}
	return e
}

// killing feeds the events in as many parts as there are kills, and ends one life of one instance with each.
func (w *world) killing(r *rand.Rand, instances, n int, did tally) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Hour)
	defer cancel()
	w.shuffle(r)
	for k := range instances {
		w.instance(fmt.Sprintf("i%d", k)).start("")
	}
	for k := range n {
		victim := w.instances[r.IntN(instances)]
		w.oneLife(ctx, victim, draw(r, w.at), w.part(k, n), did)
		if w.t.Failed() {
			return
		}
	}
	for _, i := range w.instances {
		if !i.runs() {
			i.start("")
		}
	}
	for _, i := range w.instances {
		i.awaitReady(ctx)
	}
	w.settled(ctx)
	for _, i := range w.instances {
		i.stop()
	}
}

// oneLife ends the life that an instance has, begins one with events coming, and ends it as it is drawn.
func (w *world) oneLife(ctx context.Context, i *instance, e end, lines [][]byte, did tally) {
	w.t.Helper()
	i.kill()
	if e.bare {
		if err := os.RemoveAll(filepath.Join(i.data, "rows")); err != nil {
			w.t.Fatal(err)
		}
	}
	i.start(e.point)
	if e.early {
		f := w.feed(ctx, lines)
		pause(w.t, e.after)
		w.lives(i)
		i.kill()
		did[e.String()]++
		if w.at == embedded { // its broker died with it: what was not acknowledged comes to the next life
			i.start("")
		}
		f.await(w)
		return
	}
	f := w.feed(ctx, lines)
	w.until(ctx, func() string {
		if e.point == "" {
			w.lives(i)
		} else if !i.runs() {
			return ""
		}
		return i.ready()
	})
	wait := e.after
	if e.point != "" {
		wait = 3 * time.Second
	}
	select {
	case <-i.done:
	case <-time.After(wait):
	}
	name := e.String()
	switch {
	case i.runs():
		if e.point != "" {
			name = "while it works (" + name + " was not reached)"
		}
		i.kill()
	case !i.killedAt(e.point):
		w.t.Fatalf("%s ended by itself: %s", i.id, i.lastWords())
	}
	did[name]++
	if w.at == embedded {
		i.start("")
	}
	f.await(w)
}

// lives fails the test if an instance has ended by itself.
func (w *world) lives(i *instance) {
	w.t.Helper()
	if !i.runs() {
		w.t.Fatalf("%s ended by itself: %s", i.id, i.lastWords())
	}
}
