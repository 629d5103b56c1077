package answers

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/test/harness"
)

// One change that many depend on: once it is in one answer, it is in all, whoever of them is asked about; and who watches is told. freshet
// bench fanout does it with a million, and says how soon.
func TestOneChangeIsInEveryAnswer(t *testing.T) {
	const dependants, watched = 400, 5
	e := start(t, refunds, harness.Options{Partitions: 4, HTTP: true})
	e.policy(1)
	lines := make([][]byte, 0, 2*dependants)
	for i := range dependants {
		id := fmt.Sprint("w", i)
		lines = append(lines, line("task.started", id, now(), `{}`), line("context.loaded", id, now(), `{"refs":[{"kind":"policy","key":"p","seq":1}]}`))
	}
	e.Load(e.ctx, lines)
	e.AwaitNow(e.ctx)
	for i := range dependants {
		e.until("fresh", `{"workflow":"w%d"}`, i)
	}
	told := make(chan error, watched)
	ready := make(chan struct{}, watched)
	for i := range watched {
		go func() { told <- e.toldStale(e.ctx, fmt.Sprint("w", i*dependants/watched), ready) }()
	}
	for range watched {
		select {
		case <-ready:
		case err := <-told:
			t.Fatal(err)
		}
	}
	published := e.policy(2)
	if answer := e.check(`{"workflow":"w0","at_least":[%s],"wait_s":20,"max_engine_lag_s":60}`, published); says(answer) != "stale versions" {
		t.Fatalf("%v", answer)
	}
	for i := range dependants {
		if answer := e.check(`{"workflow":"w%d","max_engine_lag_s":60}`, i); says(answer) != "stale versions" {
			t.Fatalf("w%d: %v", i, answer)
		}
	}
	for range watched {
		if err := <-told; err != nil {
			t.Error(err)
		}
	}
}

// toldStale watches a workflow until it is told that it is stale.
func (e *engine) toldStale(ctx context.Context, workflow string, ready chan<- struct{}) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.App.HTTPAddr()+"/v1/watch?workflow="+workflow, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(resp.Body)
	said := false
	for sc.Scan() {
		switch {
		case strings.HasPrefix(sc.Text(), `data: {"verdict":"fresh"`):
			if !said { // where the engine is behind for a moment it is fresh again afterwards
				ready <- struct{}{}
			}
			said = true
		case strings.HasPrefix(sc.Text(), `data: {"verdict":"stale"`):
			return nil
		}
	}
	return fmt.Errorf("the events of %s have ended: %w", workflow, sc.Err())
}
