package client

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// budget bounds retries to a share of the requests that succeed, so that clients do not keep a server down that cannot keep up.
type budget struct {
	mu     sync.Mutex
	tokens float64
}

const (
	budgetMost  = 10.0 // retries in a row, if all was well before
	budgetShare = 0.1  // of a retry, that a success gives back
)

func newBudget() *budget { return &budget{tokens: budgetMost} }

func (b *budget) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(budgetMost, b.tokens+budgetShare)
}

func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

const (
	attempts     = 4
	firstWait    = 20 * time.Millisecond
	longestSleep = 2 * time.Second
)

// retryAfter says whether trying again may help, and when. Questions change nothing, so any of them may be asked again.
func retryAfter(err error, attempt int) (time.Duration, bool) {
	if attempt+1 >= attempts {
		return 0, false
	}
	wait := firstWait << (2 * attempt)
	wait = wait/2 + rand.N(wait)
	var p *Problem
	switch {
	case errors.As(err, &p):
		if p.Status != http.StatusTooManyRequests && p.Status != http.StatusServiceUnavailable && p.Status != http.StatusBadGateway && p.Status != http.StatusGatewayTimeout {
			return 0, false
		}
		return min(longestSleep, max(wait, p.retryAfter)), true
	case Unreachable(err):
		return wait, true
	}
	return 0, false
}

func parseRetryAfter(s string) time.Duration {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}
