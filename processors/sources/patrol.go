package sources

import (
	"context"
	"fmt"
	"time"

	"github.com/freshet-io/freshet/processors/tail"
	"github.com/go-kit/log/level"
)

// patrolPace is how often it is looked whether each partition of the table is still being read. Clock rows come more often.
const patrolPace = 5 * time.Second

// patrol ends the reading, by stall, when a partition stands still although its log goes on. It is a precaution: a reading that ends
// without a word has not been reproduced.
func (v *View) patrol(ctx context.Context, logs *tail.Logs, ready func() bool, stall func(error)) {
	tick := time.NewTicker(v.pace)
	defer tick.Stop()
	stood := v.Offsets()
	idle := make([]int, len(stood)) // looks since it has moved
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !ready() {
			continue
		}
		for q, offset := range v.Offsets() {
			if offset != stood[q] {
				stood[q], idle[q] = offset, 0
				continue
			}
			if idle[q]++; idle[q] < 2 {
				continue
			}
			next, more, err := logs.Next(ctx, v.table, int32(q), offset+1)
			if err == nil && more && v.clocks[q].offset.Load() == offset {
				stall(fmt.Errorf("%s/%d is not read behind %d, and there is a record at %d", v.table, q, offset, next))
				return
			}
		}
	}
}

// lost are the partitions of which the log has been cut off above where the view stands, and where they begin now.
func (v *View) lost(ctx context.Context, logs *tail.Logs) (map[int32]int64, error) {
	tps := make([]tail.TopicPartition, v.partitions)
	for q := range tps {
		tps[q] = tail.TopicPartition{Topic: v.table, Partition: int32(q)}
	}
	starts, err := logs.Starts(ctx, tps)
	if err != nil {
		return nil, fmt.Errorf("starts of %s: %w", v.table, err)
	}
	lost := map[int32]int64{}
	for tp, start := range starts {
		if o := v.clocks[tp.Partition].offset.Load(); o >= 0 && o+1 < start {
			lost[tp.Partition] = start
		}
	}
	return lost, nil
}

// sweep forgets what the log of a partition no longer tells of: its deletion may be among the records that were never read.
func (v *View) sweep(partition int32, start int64) {
	var gone []itemKey
	for i := range v.shards {
		s := &v.shards[i]
		s.mu.RLock()
		for k, e := range s.items {
			if e.partition.Load() == partition && e.offset.Load() < start && e.item.Load().Len() > 0 {
				gone = append(gone, k)
			}
		}
		s.mu.RUnlock()
	}
	for _, k := range gone {
		_ = level.Warn(v.logger).Log("msg", "item is forgotten: the table no longer has it", "item", k.kind+"/"+k.key, "partition", partition)
		for _, c := range v.forget(k.kind, k.key, v.clocks[partition].offset.Load()) {
			v.listeners.tell(c)
		}
	}
}

// sweepWhen sweeps the partitions that were cut off once they have been read to their ends.
func (v *View) sweepWhen(ctx context.Context, logs *tail.Logs, lost map[int32]int64) {
	for q, start := range lost {
		end, err := logs.Usable(ctx, v.table, q)
		for err == nil && v.clocks[q].offset.Load() < end-1 {
			select {
			case <-ctx.Done():
				return // read again, and looked at again
			case <-time.After(50 * time.Millisecond):
			}
		}
		if err != nil {
			if ctx.Err() == nil {
				_ = level.Warn(v.logger).Log("msg", "it is not known what the table no longer has", "partition", q, "err", err)
			}
			return
		}
		v.sweep(q, start)
	}
}
