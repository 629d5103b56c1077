package gateway

import (
	"testing"
	"time"
)

// An instance that is to stop does not wait for brokers that do not answer as long as a transaction may take: orchestrators kill what does.
func TestAStopDoesNotWaitForATransactionWithoutAnswer(t *testing.T) {
	c, addr := startCluster(t)
	g, stop := run(t, addr, "a", memory(t), &counter{output}, func(g *Gateway) { g.cfg.TxnTimeout = 5 * time.Minute })
	if !until(t, inTime, g.Running) {
		t.Fatal("the group does not run")
	}
	defer stallCommit(t, c, addr)()
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
