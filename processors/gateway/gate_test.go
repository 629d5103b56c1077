package gateway

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The barrier has taken one partition and waits for another, which is inside a unit. The one goes on meanwhile. Then the unit fails: the session has to
// end although the barrier waits, and the next one does what is left.
func TestASessionEndsWhileTheBarrierWaits(t *testing.T) {
	_, addr := startCluster(t)
	var done [2]atomic.Int64
	var failed atomic.Bool
	group := &callback{unit: func(p *Partition, _ *Unit) {
		if p.ID == 1 && failed.CompareAndSwap(false, true) {
			other := p.s.parts[0]
			barriers := func() uint64 {
				other.mu.Lock()
				defer other.mu.Unlock()
				return other.barriers
			}
			before := barriers()
			tell(t, addr, inputA, 0, 1)
			if !until(t, inTime, func() bool { return done[0].Load() == 1 && barriers() > before }) {
				t.Error("the barrier does not take the other partition: nothing was tried")
			}
			tell(t, addr, inputA, 0, 1)
			if !until(t, inTime, func() bool { return done[0].Load() == 2 }) {
				t.Error("the other partition waits for the barrier")
			}
			panic("this unit fails once")
		}
		p.Emit(&kgo.Record{Topic: output, Partition: p.ID, Key: []byte("k"), Value: []byte("x")})
		done[p.ID].Add(1)
	}}
	g, _ := run(t, addr, "a", memory(t), group, nil)
	if !until(t, inTime, g.Running) {
		t.Fatal("the group does not run")
	}
	tell(t, addr, inputA, 1, 1)
	var seen string
	if !until(t, inTime, func() bool {
		a, b := committed(t, addr, output, 0), committed(t, addr, output, 1)
		seen = fmt.Sprintf("%d and %d units are committed, want 2 and 1", a, b)
		return a == 2 && b == 1
	}) {
		t.Fatal(seen)
	}
}

// A unit is left out because its session has ended: what follows in its batch is left out, too, and the batch is not marked.
func TestNothingBeginsAfterASessionHasEnded(t *testing.T) {
	g := newGate()
	ended := make(chan struct{})
	close(ended)
	g.Lock()
	if g.LockUnless(ended) {
		t.Fatal("the gate was given twice")
	}
	p := &Partition{mu: g, over: true, s: &session{}}
	g.Unlock()
	if p.begin(&Unit{Last: true}) {
		t.Error("a unit begins after one was left out")
	}
	if p.mark(); p.unit != nil || p.inUnit {
		t.Error("a batch that has not begun is marked")
	}
}
