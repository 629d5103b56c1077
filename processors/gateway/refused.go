package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/tail"
	"github.com/go-kit/log/level"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A broker may refuse a record for what it is: its size, or that we may not write it. No session heals that, and all partitions of the
// group share a transaction. So whose records are refused is held back: what the barrier has taken of the partition is kept as it is, its
// next unit waits, and what is kept is sent again by itself until it is taken. The others go on.

// refusalOf returns under which name an error counts as a refusal of the record, "" if it does not.
func refusalOf(err error) metrics.Refusal {
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return metrics.RefusedTooLarge
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return metrics.RefusedNoPermission
	case errors.Is(err, kerr.InvalidRecord), errors.Is(err, kerr.InvalidTimestamp), errors.Is(err, kerr.PolicyViolation):
		return metrics.RefusedInvalid
	}
	return ""
}

// refusal is why a partition's records were not taken.
type refusal struct {
	topic  string
	reason metrics.Refusal
	err    error
}

// refusedError says whose records the broker has refused in a transaction.
type refusedError struct{ by map[int32]refusal }

func (e *refusedError) Error() string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(e.by)) {
		r := e.by[id]
		all = append(all, fmt.Sprintf("%s does not take a record of partition %d (%s): %v", r.topic, id, r.reason, r.err))
	}
	return strings.Join(all, "; ")
}

// Held says why a partition is held back.
type Held struct {
	Topic  string // that does not take its records
	Reason metrics.Refusal
	Err    error
	Since  time.Time
	Tries  int // how often it was sent by itself; until the first time it may be another's record that was refused
}

// hold is a partition that is held back, and what it has to send. It belongs to the committer, but for Held.
type hold struct {
	Held
	taken    taken
	wait     time.Duration
	next     time.Time
	released chan struct{}
}

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// Held says whether the partition is held back because its records are refused, and why. One that is not there is not.
func (p *Partition) Held() (Held, bool) {
	if p == nil {
		return Held{}, false
	}
	if h := p.held.Load(); h != nil {
		return h.Held, true
	}
	return Held{}, false
}

// hold holds back the partitions whose records were refused and returns what was taken of the others.
func (s *session) hold(all []taken, refused *refusedError) ([]taken, error) {
	if err := s.renew(); err != nil {
		return nil, errors.Join(refused, err)
	}
	others := make([]taken, 0, len(all))
	for _, t := range all {
		t.again()
		r, held := refused.by[t.p.ID]
		if !held {
			others = append(others, t)
			continue
		}
		t.p.held.Store(&hold{
			Held:  Held{Topic: r.topic, Reason: r.reason, Err: r.err, Since: time.Now()},
			taken: t, wait: firstRetry, released: make(chan struct{}),
		})
	}
	return others, nil
}

// renew replaces the client: what it has of a transaction that failed is not to be trusted, nor what it remembers of permissions. The
// new one ends the transaction if the abort did not.
func (s *session) renew() error {
	s.g.m.CommitAborts.WithLabelValues(s.g.spec.Name, "refused").Inc()
	ctx, cancel := context.WithTimeout(s.Context(), s.g.cfg.TxnTimeout)
	defer cancel()
	return s.g.connect(ctx)
}

// again makes the records fit to be sent once more.
func (t *taken) again() {
	for _, r := range t.recs {
		r.Context = nil // else it is the last transaction's
	}
}

// retryHeld sends what is held back, each partition's by itself, if it is time to.
func (s *session) retryHeld() error {
	for _, p := range s.order {
		h := p.held.Load()
		if h == nil || time.Now().Before(h.next) {
			continue
		}
		err := s.send([]taken{h.taken}, max(smallestBatch, int(s.g.spec.BatchBytes)>>(2*h.Tries)))
		var refused *refusedError
		switch {
		case errors.As(err, &refused):
			if err := s.renew(); err != nil {
				return errors.Join(refused, err)
			}
			s.refusedAgain(p, h, refused.by[p.ID])
		case err != nil:
			return err
		default:
			s.release(p, h)
		}
	}
	return nil
}

// smallestBatch bounds how small batches get that are tried: a topic that takes less than that takes no record of ours.
const smallestBatch = 512

func (s *session) refusedAgain(p *Partition, h *hold, r refusal) {
	label := metrics.Partition(s.g.spec.Name, p.ID)
	next := *h
	next.Topic, next.Reason, next.Err, next.Tries = r.topic, r.reason, r.err, h.Tries+1
	next.wait = min(2*h.wait, lastRetry)
	next.next = time.Now().Add(h.wait)
	next.taken.again()
	s.g.m.Refused.WithLabelValues(r.topic, string(r.reason)).Inc()
	if h.Tries > 0 {
		s.g.m.HeldSince.DeleteLabelValues(label, h.Topic, string(h.Reason))
	}
	s.g.m.HeldSince.WithLabelValues(label, r.topic, string(r.reason)).Set(float64(h.Since.UnixMilli()) / 1000)
	_ = level.Error(s.g.logger).Log("msg", "partition held back: a record of it is refused", "partition", p.ID, "topic", r.topic, "reason", string(r.reason),
		"since", h.Since, "tries", next.Tries, "next_try_in", h.wait, "err", r.err)
	p.held.Store(&next)
	s.tell(p, event.Of(time.Now().Add(h.wait+holdMargin)))
	time.AfterFunc(h.wait, s.kicked)
}

// holdMargin is for how long beyond its next try a partition counts as held back, unless more is heard of it.
const holdMargin = 20 * time.Second

// tell tells other instances that a partition is held back: their clocks do not wait for it. If it fails, they do.
func (s *session) tell(p *Partition, until event.Time) {
	offsets := map[string]map[int32]tail.Committed{}
	for input, topic := range s.g.spec.Inputs {
		if next := p.committed[input].Load(); next >= 0 {
			offsets[topic] = map[int32]tail.Committed{p.ID: {Next: next, HeldUntil: until, Topic: s.g.ids[topic]}}
		}
	}
	ctx, cancel := context.WithTimeout(s.Context(), s.g.cfg.TxnTimeout)
	defer cancel()
	if err := s.sendOffsets(ctx, s.g.client.Load(), offsets); err != nil {
		_ = level.Warn(s.g.logger).Log("msg", "cannot say that a partition is held back", "partition", p.ID, "err", err)
	}
}

func (s *session) release(p *Partition, h *hold) {
	p.held.Store(nil)
	close(h.released)
	s.kicked() // for what its units did while the transaction that failed was on its way
	if h.Tries == 0 {
		return // another partition's record was refused
	}
	s.g.m.HeldSince.DeleteLabelValues(metrics.Partition(s.g.spec.Name, p.ID), h.Topic, string(h.Reason))
	_ = level.Info(s.g.logger).Log("msg", "partition goes on: what was refused has been taken", "partition", p.ID, "topic", h.Topic, "held_for", time.Since(h.Since).Round(time.Millisecond))
}

// pacer says when records that are sent by little and little have to be waited for.
type pacer struct {
	topic string
	bytes int
}

func (p *pacer) full(topic string, n, limit int) bool {
	if p.bytes > 0 && (topic != p.topic || p.bytes+n > limit) {
		p.topic, p.bytes = topic, n
		return true
	}
	p.topic, p.bytes = topic, p.bytes+n
	return false
}
