package peer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// Member is an instance as its group knows it.
type Member struct {
	Instance   string
	Addr       string // where it listens for its peers, "" if it does not
	Partitions []int32
}

// Book knows who has which partition. It asks the group at most once a pace, however many ask it.
type Book struct {
	own     string // instance
	members func(ctx context.Context) ([]Member, error)
	now     func() time.Time
	logger  log.Logger

	page atomic.Pointer[page]
	mu   sync.Mutex
	busy chan struct{} // closed when the question under way is answered, nil if there is none
}

// page is what the group has said.
type page struct {
	owners map[int32]Member
	peers  []Member // the others that listen
	at     time.Time
}

const (
	pace     = time.Second            // between questions
	patience = 500 * time.Millisecond // that who asks waits, if nothing is known
	longest  = 5 * time.Second        // of a question
)

// NewBook returns the book of an instance. Members asks its group.
func NewBook(own string, members func(context.Context) ([]Member, error), now func() time.Time, logger log.Logger) *Book {
	b := &Book{own: own, members: members, now: now, logger: logger}
	b.page.Store(&page{})
	return b
}

// Owner returns the address of the other instance that has a partition, "" if none is known to. What it says may be a pace old.
func (b *Book) Owner(ctx context.Context, partition int32) string {
	m := b.read(ctx).owners[partition]
	if m.Instance == b.own {
		return ""
	}
	return m.Addr
}

// Peers returns the other instances that listen.
func (b *Book) Peers(ctx context.Context) []Member { return b.read(ctx).peers }

// read returns the page; it waits for one only if there is none that is young enough to be of use.
func (b *Book) read(ctx context.Context) *page {
	p := b.page.Load()
	age := b.now().Sub(p.at)
	if age < pace {
		return p
	}
	answered := b.ask()
	if age < 3*pace {
		return p
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-answered:
	case <-timer.C:
	case <-ctx.Done():
	}
	return b.page.Load()
}

// ask asks the group, unless it is being asked or has answered since the caller looked.
func (b *Book) ask() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy != nil {
		return b.busy
	}
	answered := make(chan struct{})
	if b.now().Sub(b.page.Load().at) < pace {
		close(answered)
		return answered
	}
	b.busy = answered
	go func() {
		defer close(answered)
		ctx, cancel := context.WithTimeout(context.Background(), longest)
		defer cancel()
		members, err := b.members(ctx)
		fresh := &page{owners: map[int32]Member{}, at: b.now()}
		if err != nil {
			// Nothing is known then: what was known before may send every question to who is gone.
			_ = level.Warn(b.logger).Log("msg", "the group does not say who has which partition", "err", err)
		}
		for _, m := range members {
			for _, p := range m.Partitions {
				fresh.owners[p] = m
			}
			if m.Instance != b.own && m.Addr != "" {
				fresh.peers = append(fresh.peers, m)
			}
		}
		b.mu.Lock()
		b.page.Store(fresh)
		b.busy = nil
		b.mu.Unlock()
	}()
	return answered
}
