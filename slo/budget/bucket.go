package budget

import (
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
)

const (
	second freshness.Duration = 1000
	minute                    = 60 * second
	hour                      = 60 * minute
)

// exactness is how many buckets of the size at its far end a window has at least.
const exactness = 30

// sizes are the sizes of buckets, each a multiple of the one before.
var sizes = [...]freshness.Duration{second, 10 * second, minute, 6 * minute, hour, 6 * hour}

// Sizes returns the sizes of buckets, the finest first.
func Sizes() []freshness.Duration { return append([]freshness.Duration(nil), sizes[:]...) }

// Keeps returns for how long buckets of a size stay as they are; after that they are added to those of the next size. The coarsest are
// kept to the end of the window: ok is false.
func Keeps(size freshness.Duration) (keep freshness.Duration, ok bool) {
	for i := range len(sizes) - 1 {
		if sizes[i] == size {
			return exactness * sizes[i+1], true
		}
	}
	return 0, false
}

// Coarser returns the size that buckets of a size are added to, 0 if there is none.
func Coarser(size freshness.Duration) freshness.Duration {
	for i := range len(sizes) - 1 {
		if sizes[i] == size {
			return sizes[i+1]
		}
	}
	return 0
}

// Finest returns the size that an objective's uses are counted in while they are young.
func Finest(s *slo.SLO) freshness.Duration {
	shortest := s.Window
	for i := range s.Rules {
		shortest = min(shortest, s.Rules[i].Short)
	}
	fine := sizes[0]
	for _, size := range sizes {
		if size*exactness <= shortest {
			fine = size
		}
	}
	return fine
}

// SizeAt returns the size of the bucket that a use of a certain age is counted in.
func SizeAt(finest, age freshness.Duration) freshness.Duration {
	size := finest
	for {
		keep, ok := Keeps(size)
		if !ok || age < keep {
			return size
		}
		size = Coarser(size)
	}
}

// Start returns where the bucket of a size begins that holds an instant.
func Start(t event.Time, size freshness.Duration) event.Time {
	return t - event.Time(mod(int64(t), int64(size)))
}

func mod(a, b int64) int64 { return ((a % b) + b) % b }

// Bucket is what one partition has counted of an objective's uses in [Start, Start+Size).
type Bucket struct {
	Start event.Time
	Size  freshness.Duration
	Counts
	Shares   []Share    // of those that are not fresh
	Evidence []Evidence // the latest that are not fresh
}

// End returns the instant after the bucket.
func (b *Bucket) End() event.Time { return b.Start + event.Time(b.Size) }

// Empty says that nothing is counted.
func (b *Bucket) Empty() bool { return b.Counts == Counts{} && len(b.Shares) == 0 }

// Absorb adds what a finer bucket has counted.
func (b *Bucket) Absorb(o *Bucket) {
	b.Counts = b.Plus(o.Counts)
	b.Shares = AddShares(b.Shares, o.Shares, 1)
	for _, e := range o.Evidence {
		b.Evidence = AddEvidence(b.Evidence, e)
	}
}
