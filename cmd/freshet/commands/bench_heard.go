package commands

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/cmd/freshet/app"
)

// heard is how soon a change is in every answer, and heard of by those who watch.
type heard struct {
	Applied  float64 `json:"applied_s"`    // from when the change was sent until this instance had applied it
	Checks   int64   `json:"checks"`       // of those who hold the item, asked from then on
	Wrong    int64   `json:"checks_wrong"` // of them
	Right    float64 `json:"all_right_s"`  // from when it was applied until the last check began that did not know of it
	Watchers int     `json:"watchers"`
	WatchP50 float64 `json:"watch_p50_s"` // from when it was applied until a watcher had been told
	WatchMax float64 `json:"watch_max_s"`
}

const (
	heldWatchers = 50 // workflows that are watched
	heldAskers   = 2
	heldAskedFor = time.Second // after the change
)

// knows is what an answer holds that knows of the change.
const knows = `"versions_behind":1`

// hearing looks for the change at many of those who hold the item.
type hearing struct {
	engine     *app.App
	dependants int
	now        func() time.Time

	applied atomic.Pointer[time.Time]
	mu      sync.Mutex
	asked   []askedOnce
	told    []time.Time
}

type askedOnce struct {
	began time.Time
	right bool
}

// hear measures one change.
func (h *hearing) hear(ctx context.Context, change func() error) (m heard, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := h.engine.OnSourceChange(func(kind, _ string) {
		if at := h.now(); kind == "policy" {
			h.applied.CompareAndSwap(nil, &at)
		}
	})
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	ready := make(chan error, heldWatchers)
	for range heldWatchers {
		id := bench.HeldID(rand.IntN(h.dependants))
		all.Go(func() { h.watch(ctx, id, ready) })
	}
	for range heldWatchers {
		if err := <-ready; err != nil {
			return m, fmt.Errorf("watch: %w", err)
		}
	}
	for range heldAskers {
		all.Go(func() { h.ask(ctx) })
	}
	if err := pause(ctx, 200*time.Millisecond); err != nil {
		return m, err
	}
	sent := h.now()
	if err := change(); err != nil {
		return m, err
	}
	for h.applied.Load() == nil || h.now().Sub(*h.applied.Load()) < heldAskedFor || h.heardBy() < heldWatchers {
		if h.now().Sub(sent) > time.Minute {
			return m, fmt.Errorf("%d of %d watchers have heard of the change within a minute", h.heardBy(), heldWatchers)
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return m, err
		}
	}
	cancel()
	all.Wait()
	return h.sum(sent), nil
}

func (h *hearing) heardBy() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.told)
}

// written keeps an answer.
type written struct {
	h http.Header
	b bytes.Buffer
}

func (w *written) Header() http.Header         { return w.h }
func (w *written) Write(b []byte) (int, error) { return w.b.Write(b) }
func (w *written) WriteHeader(int)             {}

// ask asks about those who hold the item, one after the other.
func (h *hearing) ask(ctx context.Context) {
	handler := h.engine.Query()
	for ctx.Err() == nil {
		body := fmt.Sprintf(`{"workflow":%q}`, bench.HeldID(rand.IntN(h.dependants)))
		began := h.now()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/v1/check", strings.NewReader(body))
		if err != nil {
			return
		}
		w := &written{h: http.Header{}}
		handler.ServeHTTP(w, r)
		one := askedOnce{began, bytes.Contains(w.b.Bytes(), []byte(knows))}
		h.mu.Lock()
		h.asked = append(h.asked, one)
		h.mu.Unlock()
	}
}

// watch watches one of them until it is told of the change.
func (h *hearing) watch(ctx context.Context, id string, ready chan<- error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.engine.HTTPAddr()+"/v1/watch?workflow="+id, nil)
	if err != nil {
		ready <- err
		return
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		ready <- err
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		ready <- fmt.Errorf("%s", resp.Status)
		return
	}
	lines, known := bufio.NewScanner(resp.Body), false
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), `data: {"verdict"`) {
			continue
		}
		if !known { // the state that it is in
			known = true
			ready <- nil
		}
		if strings.Contains(lines.Text(), knows) {
			h.mu.Lock()
			h.told = append(h.told, h.now())
			h.mu.Unlock()
			return
		}
	}
	if !known {
		ready <- fmt.Errorf("the stream has ended: %w", lines.Err())
	}
}

func (h *hearing) sum(sent time.Time) (m heard) {
	applied := *h.applied.Load()
	m.Applied, m.Watchers = applied.Sub(sent).Seconds(), len(h.told)
	for _, a := range h.asked {
		if a.began.Before(applied) {
			continue
		}
		m.Checks++
		if !a.right {
			m.Wrong++
			m.Right = max(m.Right, a.began.Sub(applied).Seconds())
		}
	}
	var took []time.Duration
	for _, at := range h.told {
		took = append(took, at.Sub(applied))
	}
	p50, _, most := bench.Quantiles(took)
	m.WatchP50, m.WatchMax = p50/1e6, most/1e6
	return m
}
