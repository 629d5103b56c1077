package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/grafana/dskit/backoff"
)

// refusedPause is how long a notification rests that was refused: it is tried again, for what was wrong may be put right.
const refusedPause = time.Minute

// queue is what waits to be delivered to one place.
type queue struct {
	to     alerts.Target
	sender sender
	cfg    Config
	now    func() time.Time
	m      *metrics.Metrics
	logger log.Logger
	acked  func(alerts.Ack)
	frozen func() bool
	wake   chan struct{}

	mu    sync.Mutex
	items map[string]*item
	order []string              // keys, oldest first
	done  map[string]alerts.Ack // delivered: a tick that began before does not know it yet
}

type item struct {
	n       alerts.Notification
	first   event.Time // when it was due first
	rest    time.Time  // it rests until then
	sending bool
	gone    bool // it is no longer due, and being sent
}

// offer takes what is due. Whole says that it is everything: what waits and is no longer due is forgotten.
func (q *queue) offer(due []alerts.Notification, whole bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	wanted := make(map[string]bool, len(due))
	for i := range due {
		n := &due[i]
		key := n.Key()
		wanted[key] = true
		if ack, ok := q.done[key]; ok && q.delivered(&ack, n) {
			continue
		}
		if it := q.items[key]; it != nil {
			if !same(&it.n, n) {
				it.first, it.rest = n.Since, time.Time{}
			}
			it.n, it.gone = *n, false
			continue
		}
		q.items[key] = &item{n: *n, first: n.Since}
		q.order = append(q.order, key)
	}
	if whole {
		for key, it := range q.items {
			if it.gone = !wanted[key]; it.gone && !it.sending {
				delete(q.items, key)
			}
		}
		for key := range q.done {
			if !wanted[key] {
				delete(q.done, key)
			}
		}
	}
	q.tidy()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// delivered says whether what is offered has been delivered already, which the tick that offers it did not know. It is told again.
func (q *queue) delivered(ack *alerts.Ack, n *alerts.Notification) bool {
	fresh := alerts.AckOf(n, ack.At)
	if fresh != *ack || n.Since > ack.At && n.Purpose != alerts.Tell && n.Purpose != alerts.Resolve {
		return false
	}
	q.acked(*ack)
	return true
}

// same says whether two notifications tell the same.
func same(a, b *alerts.Notification) bool { return alerts.AckOf(a, 0) == alerts.AckOf(b, 0) }

func (q *queue) tidy() {
	kept := q.order[:0]
	for _, key := range q.order {
		if q.items[key] != nil {
			kept = append(kept, key)
		}
	}
	q.order = kept
}

// take marks the next notifications as being sent. If there are none, wait says how long the first of those that rest will.
func (q *queue) take() (batch []alerts.Notification, keys []string, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.frozen() {
		return nil, nil, time.Second
	}
	wait = time.Hour
	now := q.now()
	for _, key := range q.order {
		it := q.items[key]
		if it == nil {
			continue
		}
		if rest := it.rest.Sub(now); rest > 0 {
			wait = min(wait, rest)
			continue
		}
		it.sending = true
		batch, keys = append(batch, it.n), append(keys, key)
		if len(batch) == q.sender.most() {
			break
		}
	}
	return batch, keys, wait
}

// run delivers until ctx ends.
func (q *queue) run(ctx context.Context) {
	retry := backoff.New(ctx, backoff.Config{MinBackoff: q.cfg.MinBackoff, MaxBackoff: q.cfg.MaxBackoff})
	for ctx.Err() == nil {
		batch, keys, wait := q.take()
		if len(batch) == 0 {
			q.sleep(ctx, wait, true)
			continue
		}
		attempt, cancel := context.WithTimeout(ctx, q.cfg.Timeout)
		err := q.sender.send(attempt, batch)
		cancel()
		pause := q.settle(batch, keys, err)
		if pause < 0 {
			retry.Reset()
			continue
		}
		q.sleep(ctx, max(pause, retry.NextDelay()), false)
	}
}

// settle notes what became of an attempt. It returns how long the receiver wants to be left alone, negative if all is well.
func (q *queue) settle(batch []alerts.Notification, keys []string, err error) time.Duration {
	kind := q.to.Kind.String()
	var f *failure
	refused := errors.As(err, &f) && f.refused
	result := metrics.Delivered
	switch {
	case refused:
		result = metrics.Refused
	case err != nil:
		result = metrics.FailedAttempt
	}
	q.m.Notifications.WithLabelValues(kind, result).Add(float64(len(batch)))
	if err != nil {
		_ = level.Warn(q.logger).Log("msg", "alert not delivered", "destination", q.to.ID, "result", result, "alert", batch[0].Row.ID, "owner", batch[0].Owner, "count", len(batch), "err", err)
	}
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, key := range keys {
		it := q.items[key]
		it.sending = false
		switch {
		case err == nil:
			ack := alerts.AckOf(&batch[i], event.Of(now))
			q.done[key] = ack
			q.acked(ack)
			if batch[i].Purpose == alerts.Tell {
				metrics.Observe(q.m.NotificationDelay, now.Sub(it.first.Go()).Seconds(), trail(batch[i].Row).Exemplar())
			}
			if same(&it.n, &batch[i]) {
				delete(q.items, key)
			}
		case it.gone:
			delete(q.items, key)
		case refused && same(&it.n, &batch[i]):
			it.rest = now.Add(refusedPause)
		}
	}
	q.tidy()
	switch {
	case err == nil, refused && f.after == 0:
		return -1
	case f != nil:
		return f.after
	}
	return 0
}

// trail leads to the first decision, or workflow, that an alert has for evidence.
func trail(r *alerts.Row) metrics.Trail {
	for _, e := range r.Evidence {
		if e.Workflow != "" {
			return metrics.Trail{Workflow: e.Workflow, Decision: e.DecisionID}
		}
	}
	return metrics.Trail{}
}

// sleep waits, until it is woken if early is set.
func (q *queue) sleep(ctx context.Context, d time.Duration, early bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	wake := q.wake
	if !early {
		wake = nil
	}
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}
