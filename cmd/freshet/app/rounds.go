package app

import (
	"context"
	"errors"
	"sync"
	"time"
)

// rounds ask brokers on behalf of many callers. Of one question one round is under way at a time, however many ask; its answer is for all
// who asked before it began, since what is known of an earlier instant may be too little.
type rounds struct {
	mu  sync.Mutex
	all map[string]*round // by question; gone once nobody asks
}

// round is one question that is asked again and again.
type round struct {
	next *asked // of those who wait for the one under way to end; nil if nobody does
}

// asked is one asking.
type asked struct {
	done  chan struct{}
	value map[int32]int64
	err   error
}

// roundTime is how long a round may take.
const roundTime = time.Second

var errNoAnswer = errors.New("no broker has answered in time")

// ask returns the answer of a round that begins from now on. It is read-only.
func (r *rounds) ask(name string, question func(ctx context.Context) (map[int32]int64, error)) (map[int32]int64, error) {
	a := r.join(name, question)
	over := time.NewTimer(roundTime)
	defer over.Stop()
	select {
	case <-a.done:
		return a.value, a.err
	case <-over.C:
		return nil, errNoAnswer
	}
}

func (r *rounds) join(name string, question func(ctx context.Context) (map[int32]int64, error)) *asked {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[string]*round{}
	}
	one := r.all[name]
	if one == nil {
		one = &round{}
		r.all[name] = one
		defer func() { go r.run(name, one, question) }()
	}
	if one.next == nil {
		one.next = &asked{done: make(chan struct{})}
	}
	return one.next
}

// run asks until nobody wants to know any more.
func (r *rounds) run(name string, one *round, question func(ctx context.Context) (map[int32]int64, error)) {
	for {
		r.mu.Lock()
		a := one.next
		one.next = nil
		if a == nil {
			delete(r.all, name)
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), roundTime)
		a.value, a.err = question(ctx)
		cancel()
		close(a.done)
	}
}
