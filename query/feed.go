package query

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log/level"
)

// Feed reads the topics of what the engine says, of all instances: verdicts, detections, alerts.
type Feed interface {
	// Range returns the positions of the first records that there are and those behind the last, in an order that does not change.
	Range(ctx context.Context) (starts, ends Positions, err error)
	// Follow hands over what there is from positions on, and what comes, until ctx ends or it fails.
	Follow(ctx context.Context, from Positions, f func(Said)) error
}

// Said is a record of one of the topics.
type Said struct {
	Event    string // verdict, detection, alert
	Slot     int    // of its partition in Positions
	Offset   int64
	Workflow string // of a verdict
	Data     []byte // nil: nothing is said, but the position has moved
}

// Positions are how far the topics have been read, one for each partition.
type Positions []int64

// String returns the positions as the id of an event.
func (p Positions) String() string {
	b := binary.AppendUvarint(nil, uint64(len(p)))
	for _, n := range p {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parsePositions reads the id of an event; false if it is none of a feed with so many partitions.
func parsePositions(s string, slots int) (Positions, bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, false
	}
	var all []uint64
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > 1<<62 {
			return nil, false
		}
		all, b = append(all, n), b[size:]
	}
	if len(all) != slots+1 || all[0] != uint64(slots) {
		return nil, false
	}
	p := make(Positions, slots)
	for i := range p {
		p[i] = int64(all[i+1])
	}
	return p, true
}

// behind says whether some position is smaller than the other's.
func (p Positions) behind(o Positions) bool {
	for i := range p {
		if p[i] < o[i] {
			return true
		}
	}
	return false
}

// hub reads the feed once for all who watch.
type hub struct {
	mu       sync.Mutex
	at       Positions // nil until the feed has been reached
	watchers map[*watcher]bool
}

// watcherBuffer is how many records wait for a watcher that is slow; then it is let go, and comes back with the id of the last it had.
const watcherBuffer = 1024

// watcher is somebody who watches.
type watcher struct {
	said chan Said // closed when it has been too slow
}

// run reads the feed until ctx ends.
func (h *hub) run(ctx context.Context, s *Server, feed Feed) {
	for ctx.Err() == nil {
		err := h.follow(ctx, feed)
		if ctx.Err() != nil {
			break
		}
		_ = level.Warn(s.Logger).Log("msg", "what is said cannot be read for those who watch", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = nil
	for w := range h.watchers {
		h.drop(w)
	}
}

func (h *hub) follow(ctx context.Context, feed Feed) error {
	h.mu.Lock()
	at := slices.Clone(h.at)
	h.mu.Unlock()
	if at == nil {
		var err error
		if _, at, err = feed.Range(ctx); err != nil {
			return err
		}
		h.mu.Lock()
		h.at = slices.Clone(at)
		h.mu.Unlock()
	}
	return feed.Follow(ctx, at, h.tell)
}

// tell passes a record on to all who watch.
func (h *hub) tell(s Said) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.Offset < h.at[s.Slot] {
		return
	}
	h.at[s.Slot] = s.Offset + 1
	for w := range h.watchers {
		select {
		case w.said <- s:
		default:
			h.drop(w)
		}
	}
}

// join adds a watcher and returns the positions from which it will hear; nil if the feed has not been reached, full if there are too many.
func (h *hub) join(w *watcher, limit int) (from Positions, full bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == nil || len(h.watchers) >= limit {
		return nil, h.at != nil
	}
	if h.watchers == nil {
		h.watchers = map[*watcher]bool{}
	}
	h.watchers[w] = true
	return slices.Clone(h.at), false
}

func (h *hub) leave(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers[w] {
		h.drop(w)
	}
}

// drop lets a watcher go. The hub is locked.
func (h *hub) drop(w *watcher) {
	delete(h.watchers, w)
	close(w.said)
}
