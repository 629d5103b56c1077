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

// hub reads the feed once for all who watch, and not while nobody does.
type hub struct {
	joining sync.Mutex    // held by who asks where the feed ends
	come    chan struct{} // somebody watches

	mu       sync.Mutex
	feed     Feed      // nil while it is not run
	at       Positions // nil while nobody watches
	watchers map[*watcher]bool
	turn     int    // a new one each time the last watcher has gone
	idle     func() // ends the reading of this turn
}

func newHub() *hub {
	return &hub{come: make(chan struct{}, 1), watchers: map[*watcher]bool{}, idle: func() {}}
}

// watcherBuffer is how many records wait for a watcher that is slow; then it is let go, and comes back with the id of the last it had.
const watcherBuffer = 1024

// watcher is somebody who watches.
type watcher struct {
	said chan Said // closed when it has been too slow
}

// run reads the feed for those who watch until ctx ends.
func (h *hub) run(ctx context.Context, s *Server, feed Feed) {
	h.open(feed)
	defer h.open(nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.come:
		}
		for ctx.Err() == nil && h.watched() {
			err := h.follow(ctx, feed)
			if err == nil || ctx.Err() != nil {
				continue
			}
			_ = level.Warn(s.Logger).Log("msg", "what is said cannot be read for those who watch", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// open sets the feed that is read; without one, all who watch are let go.
func (h *hub) open(feed Feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feed = feed
	if feed == nil {
		for w := range h.watchers {
			h.drop(w)
		}
	}
}

func (h *hub) watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at != nil
}

// follow reads the feed from where it has been passed on until nobody watches, or it fails.
func (h *hub) follow(ctx context.Context, feed Feed) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h.mu.Lock()
	h.idle = cancel
	at, turn := slices.Clone(h.at), h.turn
	h.mu.Unlock()
	if at == nil {
		return nil
	}
	if err := feed.Follow(ctx, at, func(s Said) { h.tell(turn, s) }); ctx.Err() == nil {
		return err
	}
	return nil
}

// tell passes a record on to all who watch.
func (h *hub) tell(turn int, s Said) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if turn != h.turn || s.Offset < h.at[s.Slot] {
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

// reachTime is how long who comes waits for where the feed ends.
const reachTime = 5 * time.Second

// join adds a watcher and returns the positions from which it will hear; nil if the feed cannot be reached, full if there are too many.
func (h *hub) join(ctx context.Context, w *watcher, limit int) (from Positions, full bool) {
	ctx, cancel := context.WithTimeout(ctx, reachTime) // those who wait for their turn wait no longer than the first
	defer cancel()
	h.joining.Lock()
	defer h.joining.Unlock()
	if from, full = h.add(w, nil, limit); from != nil || full {
		return from, full
	}
	h.mu.Lock()
	feed := h.feed
	h.mu.Unlock()
	if feed == nil {
		return nil, false
	}
	_, ends, err := feed.Range(ctx)
	if err != nil {
		return nil, false
	}
	return h.add(w, ends, limit)
}

// add adds a watcher to those that there are. If there are none, it will hear from ends on; without ends it is not added then.
func (h *hub) add(w *watcher, ends Positions, limit int) (from Positions, full bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.feed == nil, h.at == nil && ends == nil:
		return nil, false
	case len(h.watchers) >= limit:
		return nil, true
	case h.at == nil:
		h.at = slices.Clone(ends)
		select {
		case h.come <- struct{}{}:
		default:
		}
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

// drop lets a watcher go, and the feed with the last one. The hub is locked.
func (h *hub) drop(w *watcher) {
	delete(h.watchers, w)
	close(w.said)
	if len(h.watchers) == 0 {
		h.at = nil
		h.turn++
		h.idle()
	}
}
