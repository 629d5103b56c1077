package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// upkeep works on a log's files while no broker runs: it repairs what a killed broker has left, compacts, and drops what is past its
// retention. It never changes a file in place (directory.saveBefore).
type upkeep struct {
	log   string
	now   time.Time
	undo  func(marker batchRef) bool // nil: no commit was cut short
	sizes map[string]int64           // what partitions held after their last compaction, by directory name
	did   upkept
}

// upkept counts what an upkeep has done.
type upkept struct {
	torn, aborted, undone, compacted, expired int
	freed                                     int64
}

const (
	segmentBytes = 32 << 20
	sizesFile    = "compacted.json"
)

// repair makes every partition what it would be had the broker aborted the open transactions and stopped in order. The broker can do
// most of it itself, but holds whole partitions in memory for it, forgets how far records have been deleted, and leaves no trace of the
// transactions it aborts: after a second kill they would count as committed.
func (u *upkeep) repair() error {
	list, _, err := partitions(u.log)
	if err != nil {
		return err
	}
	for i := range list {
		if err := u.repairPartition(&list[i]); err != nil {
			return fmt.Errorf("repair partition %d of %s: %w", list[i].number, list[i].topic, err)
		}
	}
	// It says which batches producers sent last, as of the last stop in order. Without it, a retry of what was stored in the last moment
	// is stored twice; with it, what producers send next would be refused.
	return removeIfThere(filepath.Join(u.log, "seq_windows.json"))
}

// keepOffsets writes a marker into every partition that has had records and has no segment left, because all were deleted: the broker
// would begin such a partition at offset 0 again, below what its consumers have committed.
func (u *upkeep) keepOffsets() error {
	list, _, err := partitions(u.log)
	if err != nil {
		return err
	}
	for i := range list {
		p := &list[i]
		if len(p.segments) > 0 || !p.hasOld || p.old.HighWatermark == 0 {
			continue
		}
		b := abortMarker(p.old.HighWatermark, p.old.Epoch, noProducer, noProducer, u.now.UnixMilli())
		if err := errors.Join(writeFile(p.segment(b.first()), b), writeFile(p.index(b.first()), b.indexEntry())); err != nil {
			return fmt.Errorf("keep the offsets of partition %d of %s: %w", p.number, p.topic, err)
		}
		p.segments = []int64{b.first()}
		c, err := p.scan(nil)
		if err == nil {
			err = p.writeSnapshot(c)
		}
		if err != nil {
			return fmt.Errorf("keep the offsets of partition %d of %s: %w", p.number, p.topic, err)
		}
	}
	return nil
}

func (u *upkeep) repairPartition(p *partition) error {
	if len(p.segments) == 0 {
		return nil
	}
	undo := func(marker batchRef) bool {
		undone := u.undo != nil && u.undo(marker)
		if undone {
			u.did.undone++
		}
		return undone
	}
	c, err := p.scan(undo)
	if err != nil {
		return err
	}
	for i := range c.segments {
		if err := u.repairSegment(p, &c.segments[i]); err != nil {
			return err
		}
	}
	c.segments = slices.DeleteFunc(c.segments, func(s segmentContents) bool { return s.size == 0 })
	if c.count == 0 {
		return p.writeSnapshot(c)
	}
	if err := u.abortOpen(p, c); err != nil {
		return err
	}
	return p.writeSnapshot(c)
}

// repairSegment cuts off what is not a batch and writes the index anew where it differs: it is read by position, and a kill between the
// two writes of a batch shifts every later entry.
func (u *upkeep) repairSegment(p *partition, s *segmentContents) error {
	if s.size == 0 {
		if err := removeIfThere(p.segment(s.base)); err != nil {
			return err
		}
		return removeIfThere(p.index(s.base))
	}
	if s.torn {
		raw, err := os.ReadFile(p.segment(s.base))
		if err != nil {
			return err
		}
		u.did.torn++
		if err := writeFile(p.segment(s.base), raw[:s.size]); err != nil {
			return err
		}
	}
	have, err := os.ReadFile(p.index(s.base))
	if err == nil && sameIndex(have, s.index) {
		return nil
	}
	return writeFile(p.index(s.base), s.index)
}

// sameIndex compares what of an index is read: everything but the running maximum and the checksum over it.
func sameIndex(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i += indexEntrySize {
		if !bytes.Equal(a[i+2:i+6], b[i+2:i+6]) || a[i+14] != b[i+14] {
			return false
		}
	}
	return true
}

// abortOpen ends the transactions that nothing ends, with markers in a segment of their own.
func (u *upkeep) abortOpen(p *partition, c *contents) error {
	if len(c.open) == 0 {
		return nil
	}
	producers := make([]int64, 0, len(c.open))
	for id := range c.open {
		producers = append(producers, id)
	}
	slices.Sort(producers)
	s := segmentContents{base: c.last.last + 1}
	s.info = snapshotSegment{Base: s.base, MinEpoch: c.last.leaderEpoch, MaxEpoch: c.last.leaderEpoch}
	var raw []byte
	for _, id := range producers {
		o := c.open[id]
		b := abortMarker(c.last.last+1, c.last.leaderEpoch, id, o.epoch, u.now.UnixMilli())
		raw = append(raw, b...)
		s.index = append(s.index, b.indexEntry()...)
		c.aborted = append(c.aborted, abortedTxn{Producer: id, First: o.first, Last: b.first()})
		c.last = batchRef{first: b.first(), last: b.last(), leaderEpoch: c.last.leaderEpoch, control: true, time: b.maxTime()}
		c.count++
		c.maxTime = max(c.maxTime, b.maxTime())
		u.did.aborted++
	}
	clear(c.open)
	s.size = int64(len(raw))
	s.info.Size = s.size
	c.segments = append(c.segments, s)
	if err := writeFile(p.segment(s.base), raw); err != nil {
		return err
	}
	return writeFile(p.index(s.base), s.index)
}

// writeSnapshot says of a partition without open transactions what its segments hold.
func (p *partition) writeSnapshot(c *contents) error {
	s := snapshot{Version: 1, MaxTimestamp: c.maxTime, CreatedAt: time.UnixMilli(c.maxTime)}
	if p.hasOld {
		s.HighWatermark, s.LogStartOffset, s.Epoch, s.CreatedAt = p.old.HighWatermark, p.old.LogStartOffset, p.old.Epoch, p.old.CreatedAt
	}
	for i := range c.segments {
		s.Segments = append(s.Segments, c.segments[i].info)
	}
	if c.count > 0 {
		s.HighWatermark, s.Epoch = c.last.last+1, c.last.leaderEpoch
		s.LogStartOffset = min(max(s.LogStartOffset, c.segments[0].base), s.HighWatermark)
	}
	s.LastStableOffset = s.HighWatermark
	s.AbortedTxns = slices.Clone(c.aborted)
	slices.SortFunc(s.AbortedTxns, func(a, b abortedTxn) int { return int(a.Last - b.Last) })
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(p.dir, "snapshot.json"), raw)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// due lists the partitions that are worth compacting, and those that may have segments past their retention.
func (u *upkeep) due() (compact, expire []partition, configs map[string]topicFile, err error) {
	list, topics, err := partitions(u.log)
	if err != nil {
		return nil, nil, nil, err
	}
	u.sizes = make(map[string]int64)
	if raw, err := os.ReadFile(filepath.Join(u.log, sizesFile)); err == nil && json.Unmarshal(raw, &u.sizes) != nil {
		u.sizes = make(map[string]int64) // torn: the next compaction comes earlier than it has to
	}
	for _, p := range list {
		var size int64
		for _, base := range p.segments {
			info, err := os.Stat(p.segment(base))
			if err != nil {
				return nil, nil, nil, err
			}
			size += info.Size()
		}
		policy := topics[p.topic].Configs["cleanup.policy"]
		if strings.Contains(policy, "compact") && size > worthCompacting && size > 2*u.sizes[filepath.Base(p.dir)] {
			compact = append(compact, p)
		}
		if !strings.Contains(policy, "compact") || strings.Contains(policy, "delete") {
			if _, ok := retentionOf(topics[p.topic]); ok && len(p.segments) > 1 {
				expire = append(expire, p)
			}
		}
	}
	return compact, expire, topics, nil
}

func retentionOf(t topicFile) (time.Duration, bool) {
	ms, err := strconv.ParseInt(t.Configs["retention.ms"], 10, 64)
	if err != nil || ms < 0 || ms > int64(maxRetention/time.Millisecond) {
		return 0, false
	}
	return time.Duration(ms) * time.Millisecond, true
}

const maxRetention = 100 * 365 * 24 * time.Hour

// expire removes the segments at the beginning of a partition that hold only records past their retention. A segment counts from its
// latest record or from when it was last written, whichever is later: past events that are loaded today are kept for the whole time.
// The last segment stays.
func (u *upkeep) expire(p *partition, retention time.Duration) error {
	limit := u.now.Add(-retention)
	gone := 0
	for _, base := range p.segments[:len(p.segments)-1] {
		info, err := os.Stat(p.segment(base))
		if err != nil {
			return err
		}
		if !info.ModTime().Before(limit) {
			break
		}
		raw, err := os.ReadFile(p.segment(base))
		if err != nil {
			return err
		}
		var latest int64
		for b, rest := next(raw); b != nil; b, rest = next(rest) {
			latest = max(latest, b.maxTime())
		}
		if latest >= limit.UnixMilli() {
			break
		}
		if err := os.Remove(p.segment(base)); err != nil {
			return err
		}
		if err := removeIfThere(p.index(base)); err != nil {
			return err
		}
		u.did.expired++
		u.did.freed += info.Size()
		gone++
	}
	if gone == 0 {
		return nil
	}
	p.segments = p.segments[gone:]
	c, err := p.scan(nil)
	if err != nil {
		return err
	}
	return p.writeSnapshot(c)
}

// saveSizes remembers what the compacted partitions hold now.
func (u *upkeep) saveSizes() error {
	raw, err := json.Marshal(u.sizes)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(u.log, sizesFile), raw)
}
