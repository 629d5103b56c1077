package gateway

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// An instance that is to stop does not wait for brokers that do not answer as long as a transaction may take: orchestrators kill what does.
func TestAStopDoesNotWaitForATransactionWithoutAnswer(t *testing.T) {
	c, addr := startCluster(t)
	g, stop := run(t, addr, "a", memory(t), &counter{output}, func(g *Gateway) { g.cfg.TxnTimeout = 5 * time.Minute })
	if !until(t, inTime, g.Running) {
		t.Fatal("the group does not run")
	}
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	defer open()
	var stalled atomic.Bool
	c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the signature is kfake's
		c.KeepControl()
		stalled.Store(true)
		c.SleepControl(func() { <-gate })
		return nil, nil, false
	})
	tell(t, addr, inputA, 0, 1)
	if !until(t, inTime, stalled.Load) {
		t.Fatal("nothing was committed")
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	select {
	case <-stopped:
	case <-time.After(25 * time.Second): // the client gives such a request up after 30
		t.Fatal("it has not stopped")
	}
}
