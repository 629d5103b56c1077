//go:build unix

package torture

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/freshet-io/freshet/test/kafka"
)

// Three instances share the work; while events are loaded one is frozen for longer than its session and wakes up as a zombie, and one is
// killed. What freshet verdicts says in the end is the golden set, byte for byte.
func TestOneFrozenOneKilled(t *testing.T) {
	onKafka(t)
	c := kafka.Start(t, kafka.Options{})
	r := random(t)
	w := newWorld(t, setup{at: cluster, cluster: c, set: anySet(r), partitions: 8})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	for k := range 3 {
		w.instance(fmt.Sprintf("i%d", k)).start("")
	}
	for _, i := range w.instances {
		i.awaitReady(ctx)
	}
	loading := make(chan struct{})
	go func() {
		defer close(loading)
		w.freshet("load", append(w.topicFlags(), "-speed", "200", w.events)...)
	}()
	frozen, killed := w.instances[r.IntN(3)], w.instances[0]
	for killed == frozen {
		killed = w.instances[r.IntN(3)]
	}
	pause(t, between(r, time.Second, 5*time.Second))
	frozen.freeze()
	pause(t, between(r, 0, 2*time.Second))
	killed.kill()
	pause(t, w.sessionTimeout+between(r, 2*time.Second, 5*time.Second))
	frozen.wake()
	killed.start("")
	<-loading
	w.settled(ctx)
	got := w.freshet("verdicts", "-golden", "-topics.prefix", w.prefix, "-kafka.brokers", strings.Join(w.brokers, ","))
	if want := testfile.Read(t, w.verdicts); !bytes.Equal(got, want) {
		t.Errorf("freshet verdicts -golden is not the golden set: %d bytes, want %d", len(got), len(want))
	}
}

// Instances are started, stopped, killed and frozen as it comes while events happen, also with more instances than partitions. Every event
// comes in time, so no verdict may ever be taken back.
func TestMoves(t *testing.T) {
	notShort(t)
	onKafka(t)
	c := kafka.Start(t, kafka.Options{})
	r := random(t)
	did := tally{}
	rounds := 8
	if short() {
		rounds = 1
	}
	for k := range rounds {
		partitions, most := 8, 4
		if k%2 == 1 {
			partitions, most = 2, 4 // one of them has nothing to do, at least
		}
		set, part := anySet(r), rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		t.Run(fmt.Sprintf("%d/%s/p%d", k, set, partitions), func(t *testing.T) {
			w := newWorld(t, setup{at: cluster, cluster: c, set: set, partitions: partitions})
			w.moving(part, most, did)
		})
		if t.Failed() {
			break
		}
	}
	t.Logf("%d moves:\n%s", did.sum(), did)
}

// liveSpan is how long what happens live takes.
func liveSpan() time.Duration {
	if short() {
		return 25 * time.Second
	}
	return time.Minute
}

// moving plays the set while up to so many instances come and go.
func (w *world) moving(r *rand.Rand, most int, did tally) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Minute)
	defer cancel()
	w.instance("i0").start("")
	w.instances[0].awaitReady(ctx)
	begin := time.Now()
	w.live(begin, liveSpan())
	f := w.play(ctx)
	for time.Since(begin) < liveSpan()+10*time.Second {
		w.move(r, most, did)
		pause(w.t, between(r, 0, 3*time.Second))
		for _, i := range w.running() {
			w.lives(i)
		}
	}
	f.await(w)
	for _, i := range w.instances {
		if !i.runs() {
			i.start("")
		}
	}
	w.settled(ctx).neverTakenBack()
}

// move does something to one of the instances; one of them always runs.
func (w *world) move(r *rand.Rand, most int, did tally) {
	w.t.Helper()
	running := w.running()
	i := running[r.IntN(len(running))]
	switch n := r.IntN(6); {
	case len(running) < 2 || n == 0:
		if len(w.instances) < most {
			i = w.instance(fmt.Sprintf("i%d", len(w.instances)))
		}
		if i.runs() {
			i.kill()
			did["killed, started again"]++
		} else {
			did["started"]++
		}
		for _, j := range w.instances {
			if !j.runs() {
				j.start("")
			}
		}
	case n == 1:
		i.stop()
		did["stopped"]++
	case n == 2:
		i.kill()
		did["killed"]++
	case n == 3:
		i.kill()
		i.start("")
		did["killed, started again"]++
	default:
		i.freeze()
		pause(w.t, between(r, 0, 2*w.sessionTimeout))
		i.wake()
		did["frozen"]++
	}
}

// A frozen instance whose only pending work is the passing of time wakes up as a zombie: uses were read and wait for the clocks, nothing
// else comes. Others have judged them meanwhile, and it must not.
func TestZombieOfTimers(t *testing.T) {
	onKafka(t)
	c := kafka.Start(t, kafka.Options{})
	r := random(t)
	rounds := 6
	if short() {
		rounds = 1
	}
	for k := range rounds {
		set, part := anySet(r), rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		t.Run(fmt.Sprintf("%d/%s", k, set), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			var w *world
			for ahead := 2 * time.Second; ; ahead *= 4 {
				w = newWorld(t, setup{at: cluster, cluster: c, set: set, partitions: 4})
				for k := range 2 {
					w.instance(fmt.Sprintf("i%d", k)).start("")
				}
				for _, i := range w.instances {
					i.awaitReady(ctx)
				}
				// Everything is written at once, and happens over the next seconds: it has to be there by then.
				begin := time.Now().Add(ahead)
				w.live(begin, 10*time.Second)
				if err := w.load(ctx, w.lines); err != nil {
					t.Fatal(err)
				}
				late := time.Since(begin)
				if late < 0 {
					break
				}
				t.Logf("the events were there %v late", late)
				if ahead > time.Minute {
					t.Fatal("the machine is too slow")
				}
				for _, i := range w.instances {
					i.kill()
				}
			}
			zombie := w.instances[part.IntN(2)]
			pause(t, between(part, 0, 3*time.Second))
			zombie.freeze()
			pause(t, w.sessionTimeout+between(part, 5*time.Second, 12*time.Second))
			zombie.wake()
			w.settled(ctx).neverTakenBack()
		})
	}
}
