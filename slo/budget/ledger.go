package budget

import (
	"cmp"
	"slices"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Ledger holds the buckets of one objective, of all partitions. The zero value is empty. It is not for concurrent use.
type Ledger struct {
	sizes []column
}

// column is the buckets of one size, by time.
type column struct {
	size    freshness.Duration
	buckets []sum
}

// sum is one bucket over all partitions.
type sum struct {
	start event.Time
	Counts
	cells []cell
}

// cell is what one partition has counted.
type cell struct {
	partition int32
	Counts
	more *more // nil where everything was fresh
}

type more struct {
	shares   []Share
	evidence []Evidence
}

// Set makes b what a partition has counted; what it said of the bucket before is forgotten. Worse says that more uses are
// not fresh than before. The ledger keeps b's lists.
func (l *Ledger) Set(partition int32, b Bucket) (worse bool) {
	if b.Empty() {
		l.Drop(partition, b.Start, b.Size)
		return false
	}
	c := l.column(b.Size, true)
	i, found := c.find(b.Start)
	if !found {
		c.buckets = slices.Insert(c.buckets, i, sum{start: b.Start})
	}
	s := &c.buckets[i]
	k, found := s.find(partition)
	if !found {
		s.cells = slices.Insert(s.cells, k, cell{partition: partition})
	}
	at := &s.cells[k]
	worse = b.Bad > at.Bad || b.Unknown > at.Unknown
	s.Counts = s.Minus(at.Counts).Plus(b.Counts)
	at.Counts, at.more = b.Counts, nil
	if len(b.Shares) > 0 || len(b.Evidence) > 0 {
		at.more = &more{b.Shares, b.Evidence}
	}
	return worse
}

// Drop forgets what a partition has counted in a bucket.
func (l *Ledger) Drop(partition int32, start event.Time, size freshness.Duration) {
	c := l.column(size, false)
	if c == nil {
		return
	}
	i, found := c.find(start)
	if !found {
		return
	}
	s := &c.buckets[i]
	k, found := s.find(partition)
	if !found {
		return
	}
	s.Counts = s.Minus(s.cells[k].Counts)
	s.cells = slices.Delete(s.cells, k, k+1)
	if len(s.cells) == 0 {
		c.buckets = slices.Delete(c.buckets, i, i+1)
	}
}

// Buckets returns how many buckets there are, over all partitions and of each by itself.
func (l *Ledger) Buckets() (together, apart int) {
	for i := range l.sizes {
		together += len(l.sizes[i].buckets)
		for k := range l.sizes[i].buckets {
			apart += len(l.sizes[i].buckets[k].cells)
		}
	}
	return together, apart
}

func (l *Ledger) column(size freshness.Duration, create bool) *column {
	i, found := slices.BinarySearchFunc(l.sizes, size, func(c column, s freshness.Duration) int { return cmp.Compare(c.size, s) })
	if !found {
		if !create {
			return nil
		}
		l.sizes = slices.Insert(l.sizes, i, column{size: size})
	}
	return &l.sizes[i]
}

func (c *column) find(start event.Time) (int, bool) {
	// New buckets come at the end.
	if n := len(c.buckets); n == 0 || c.buckets[n-1].start < start {
		return n, false
	}
	return slices.BinarySearchFunc(c.buckets, start, func(s sum, t event.Time) int { return cmp.Compare(s.start, t) })
}

func (s *sum) find(partition int32) (int, bool) {
	return slices.BinarySearchFunc(s.cells, partition, func(c cell, p int32) int { return cmp.Compare(c.partition, p) })
}

// Sums returns the counts over windows that end at an instant. Lengths are in ascending order; out has one entry for each. A bucket
// belongs to a window that it reaches into; what lies after the instant belongs to none.
func (l *Ledger) Sums(now event.Time, lengths []freshness.Duration, out []Counts) {
	clear(out)
	for i := range l.sizes {
		c := &l.sizes[i]
		k := 0
		for b := len(c.buckets) - 1; b >= 0; b-- {
			s := &c.buckets[b]
			if s.start >= now {
				continue
			}
			end := s.start + event.Time(c.size)
			for k < len(lengths) && end <= now-event.Time(lengths[k]) {
				k++
			}
			if k == len(lengths) {
				break
			}
			out[k] = out[k].Plus(s.Counts)
		}
	}
	for k := 1; k < len(lengths); k++ {
		out[k] = out[k].Plus(out[k-1])
	}
}

// Bad returns whose the stale uses of a window were, the largest share first, and where the latest lie that were not fresh.
func (l *Ledger) Bad(now event.Time, length freshness.Duration) ([]Share, []Evidence) {
	var shares []Share
	var evidence []Evidence
	for i := range l.sizes {
		c := &l.sizes[i]
		for b := len(c.buckets) - 1; b >= 0; b-- {
			s := &c.buckets[b]
			if s.start >= now {
				continue
			}
			if s.start+event.Time(c.size) <= now-event.Time(length) {
				break
			}
			for k := range s.cells {
				if m := s.cells[k].more; m != nil {
					shares = AddShares(shares, m.shares, 1)
					for _, e := range m.evidence {
						evidence = AddEvidence(evidence, e)
					}
				}
			}
		}
	}
	largestFirst(shares)
	return shares, evidence
}
