//go:build unix

package torture

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshet-io/freshet/test/kafka"
)

// The clock of the engine's machine is wrong by an hour, forwards and backwards, from one life to the next, while events happen. An engine
// whose clock is ahead says too early that a verdict is final, and amends it; nothing that it has noted holds up the lives that follow, and
// in the end everything is as it was.
func TestClockJumps(t *testing.T) {
	notShort(t)
	onBoth(t, func(t *testing.T, at where) {
		var c *kafka.Cluster
		if at == cluster {
			c = kafka.Start(t, kafka.Options{})
		}
		ctx, r := within(t), random(t)
		w := newWorld(t, setup{at: at, cluster: c, set: anySet(r), partitions: 4})
		i := w.instance("i0")
		i.start("")
		i.awaitReady(ctx)
		w.live(time.Now(), 20*time.Second)
		f := w.play(ctx)
		for k := range 4 {
			pause(t, between(r, time.Second, 4*time.Second))
			i.kill()
			i.wall = []string{"-1h", "1h", fmt.Sprintf("%ds", r.IntN(7200)-3600), ""}[k]
			i.start("")
		}
		f.await(w)
		i.awaitReady(ctx)
		w.settled(ctx)
	})
}
