package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/freshet-io/freshet/state"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	errFenced = errors.New("another instance has taken over")
	errRows   = errors.New("rows")
)

// taken is what a barrier has taken of one partition.
type taken struct {
	p      *Partition
	writes []state.Write
	recs   []*kgo.Record
	next   []int64 // positions that become committed
	newest []int64
	marked []bool

	barrier uint64
}

// barrier takes what each partition has, between units: a partition's lock is held from the start of a unit to its mark. Partitions are taken one
// after the other and the others work on, for a transaction needs no common instant of them: it has a whole number of units of each.
func (s *session) barrier() ([]taken, error) {
	all := make([]taken, 0, len(s.order))
	for _, p := range s.order {
		t, err := s.take(p)
		if err != nil {
			return nil, err
		}
		if t.p != nil {
			all = append(all, t)
		}
	}
	return all, nil
}

// take takes what a partition has, nothing if it is held back.
func (s *session) take(p *Partition) (t taken, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.size.Add(-int64(p.sized))
	s.bytes.Add(-int64(p.weighed))
	p.sized, p.weighed = 0, 0
	if p.broken || p.held.Load() != nil {
		return t, nil
	}
	if len(p.recs) > 0 || p.Rows != nil && p.Rows.Dirty() > 0 || slices.Contains(p.marked, true) {
		s.g.group.Seal(p)
	}
	p.barriers++
	t = taken{p: p, barrier: p.barriers, recs: p.recs, next: slices.Clone(p.next), newest: slices.Clone(p.newest), marked: slices.Clone(p.marked)}
	p.recs = nil
	clear(p.marked)
	if p.Rows != nil {
		if t.writes, err = p.Rows.Seal(); err != nil {
			return t, fmt.Errorf("%w: %w", errRows, err)
		}
		p.Rows.Evict()
	}
	p.counted = 0
	p.cut()
	return t, nil
}

// commit makes what the partitions have done since the last one visible, durable and final, all together; then it tries again what was
// refused before.
func (s *session) commit() error {
	all, err := s.barrier()
	if err != nil {
		return err
	}
	s.relieve()
	for {
		err := s.send(all, 0)
		var refused *refusedError
		if !errors.As(err, &refused) || s.g.off.unisolated {
			if err != nil {
				return err
			}
			return s.retryHeld()
		}
		// Nothing of the transaction is committed. Whose records are refused is held back, and the others go without them.
		if all, err = s.hold(all, refused); err != nil {
			return err
		}
	}
}

// stopTime is how long brokers may take with what is being committed while the instance is to stop: less than the process has in all. What is not
// committed is done again at the next start.
const stopTime = 4 * time.Second

// send commits what a barrier has taken of some partitions. A limit other than 0 is how many bytes are in flight at once.
func (s *session) send(all []taken, limit int) error {
	rows, outputs := 0, 0
	marks := false
	for i := range all {
		rows += len(all[i].writes)
		outputs += len(all[i].recs)
		marks = marks || slices.Contains(all[i].marked, true)
	}
	if rows+outputs == 0 && !marks {
		return s.finish(all, nil)
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), s.g.cfg.TxnTimeout)
	defer cancel()
	defer context.AfterFunc(s.g.run, func() { time.AfterFunc(stopTime, cancel) })()
	client := s.g.client.Load()
	// kgo does not give up a record that may have been sent, whatever ctx says; closing the client does.
	defer context.AfterFunc(ctx, client.Close)()
	var (
		ends map[int32]int64
		err  error
	)
	if rows+outputs == 0 {
		err = s.offsetsOnly(ctx, client, all)
	} else {
		ends, err = s.transaction(ctx, client, all, limit)
	}
	if err != nil {
		return err
	}
	if err := s.finish(all, ends); err != nil {
		return err
	}
	name := s.g.spec.Name
	s.g.m.CommitDuration.WithLabelValues(name).Observe(time.Since(begin).Seconds())
	s.g.m.CommitRecords.WithLabelValues(name, "row").Add(float64(rows))
	s.g.m.CommitRecords.WithLabelValues(name, "output").Add(float64(outputs))
	return nil
}

// finish writes the committed rows to Pebble and tells the group.
func (s *session) finish(all []taken, ends map[int32]int64) error {
	for i := range all {
		p := all[i].p
		if p.Rows == nil {
			continue
		}
		end, ok := ends[p.ID]
		if !ok {
			end = -1
		}
		if err := p.Rows.Commit(end); err != nil {
			return fmt.Errorf("%w: %w", errRows, err)
		}
	}
	for i := range all {
		t := &all[i]
		for input, next := range t.next {
			if next >= 0 {
				t.p.committed[input].Store(next)
			}
		}
		s.g.group.Committed(t.p, t.barrier, t.next, t.newest)
	}
	return nil
}
