package gateway

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
)

// standing is a session that does nothing.
type standing struct {
	sarama.ConsumerGroupSession
	ctx context.Context
}

func (s standing) Context() context.Context { return s.ctx }

func TestARestoreThatComesNoFurtherEnds(t *testing.T) { synctest.Test(t, testStuckRestore) }

func testStuckRestore(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	g := &Gateway{logger: testLogger()}
	p := &Partition{}
	s := &session{ConsumerGroupSession: standing{ctx: ctx}, g: g, parts: map[int32]*Partition{0: p}}
	h := &handler{g: g, end: cancel}
	const patience = 200 * time.Millisecond
	watched := h.watchRestore(s, patience)
	defer watched()

	// As long as it comes further it goes on, however long it takes.
	p.left.Store(1000)
	for until := time.Now().Add(3 * patience); time.Now().Before(until); {
		p.left.Add(-1)
		<-time.After(patience / 20)
	}
	if err := ctx.Err(); err != nil {
		t.Fatalf("a restore that went on was ended: %v", context.Cause(ctx))
	}
	select {
	case <-ctx.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("a restore that stands still is waited for")
	}
	if cause := context.Cause(ctx); !strings.Contains(cause.Error(), "no further") {
		t.Errorf("ended with %v", cause)
	}
	if !g.failed.Load() {
		t.Error("the next session would begin with the same client")
	}
}
