package budget

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
)

// Counts are uses by their verdict. What unknown ones count as is the objective's to say.
type Counts struct {
	Good    int64 `json:"good"`    // fresh
	Bad     int64 `json:"bad"`     // stale
	Unknown int64 `json:"unknown"` // unknown
}

// Of returns the counts of one use.
func Of(v freshness.VerdictKind) Counts {
	switch v {
	case freshness.IsFresh:
		return Counts{Good: 1}
	case freshness.IsStale:
		return Counts{Bad: 1}
	}
	return Counts{Unknown: 1}
}

// Plus returns the sum.
func (c Counts) Plus(o Counts) Counts {
	return Counts{c.Good + o.Good, c.Bad + o.Bad, c.Unknown + o.Unknown}
}

// Minus returns the difference.
func (c Counts) Minus(o Counts) Counts {
	return Counts{c.Good - o.Good, c.Bad - o.Bad, c.Unknown - o.Unknown}
}

// All returns how many uses there are.
func (c Counts) All() int64 { return c.Good + c.Bad + c.Unknown }

// Against returns how many uses count against an objective, and how many count at all.
func (c Counts) Against(u slo.OnUnknown) (bad, all int64) {
	if u == slo.Exclude {
		return c.Bad, c.Good + c.Bad
	}
	return c.Bad + c.Unknown, c.All()
}

// ratio is a share of a whole, NaN where there is no whole.
func ratio(part, whole int64) float64 {
	if whole <= 0 {
		return math.NaN()
	}
	return float64(part) / float64(whole)
}

// Whole is how many parts one use has. Parts are integers, so that what is added can be taken out exactly.
const Whole = 1_000_000

// Share is one cause's part of the uses that were not fresh. Each stale use is one, divided among the causes of the item that it was
// longest stale for as that item's seconds are: a use that was stale for a week weighs as much as one that was stale for a minute. An
// unknown use counts for its first reason; that is nobody's.
type Share struct {
	Cause string
	Owner string
	Parts int64 // in Whole of a use
}

// SharesOf divides a stale use. The parts add up to Whole; what rounding leaves over goes to the first of the largest.
func SharesOf(causes []freshness.Share) []Share {
	var sum freshness.Duration
	for _, c := range causes {
		sum += c.For
	}
	if sum <= 0 {
		return nil
	}
	shares := make([]Share, 0, len(causes))
	left, most := int64(Whole), 0
	for _, c := range causes {
		high, low := bits.Mul64(uint64(c.For), Whole)
		quotient, _ := bits.Div64(high, low, uint64(sum))
		parts := int64(quotient)
		left -= parts
		shares = append(shares, Share{c.Cause.String(), c.Owner, parts})
		if parts > shares[most].Parts {
			most = len(shares) - 1
		}
	}
	shares[most].Parts += left
	return AddShares(nil, shares, 1)
}

// AddShares adds shares to a list, sign times, and returns it: sorted by cause and owner, without those of nothing. The list is changed in
// place.
func AddShares(list, more []Share, sign int64) []Share {
	for _, s := range more {
		i, found := slices.BinarySearchFunc(list, s, compareShares)
		if !found {
			list = slices.Insert(list, i, Share{Cause: s.Cause, Owner: s.Owner})
		}
		if list[i].Parts += sign * s.Parts; list[i].Parts == 0 {
			list = slices.Delete(list, i, i+1)
		}
	}
	return list
}

func compareShares(a, b Share) int {
	return cmp.Or(strings.Compare(a.Cause, b.Cause), strings.Compare(a.Owner, b.Owner))
}

// largestFirst orders shares for people.
func largestFirst(shares []Share) {
	slices.SortStableFunc(shares, func(a, b Share) int { return cmp.Compare(b.Parts, a.Parts) })
}

// EvidenceLimit is how many bad uses a bucket names.
const EvidenceLimit = 3

// Evidence is where one bad use lies.
type Evidence struct {
	Time       event.Time            `json:"used_at"`
	Verdict    freshness.VerdictKind `json:"-"`
	Topic      string                `json:"topic"`
	Partition  int32                 `json:"partition"`
	Offset     int64                 `json:"offset"`
	Workflow   string                `json:"workflow"`
	DecisionID string                `json:"decision_id"`
	Trace      string                `json:"trace_id,omitempty"`
}

// AddEvidence puts one use among the latest, latest first.
func AddEvidence(list []Evidence, e Evidence) []Evidence {
	i, found := slices.BinarySearchFunc(list, e, compareEvidence)
	if found {
		return list
	}
	list = slices.Insert(list, i, e)
	return list[:min(len(list), EvidenceLimit)]
}

// DropEvidence takes a decision's use at an instant out.
func DropEvidence(list []Evidence, e Evidence) []Evidence {
	return slices.DeleteFunc(list, func(x Evidence) bool {
		return x.Time == e.Time && x.Workflow == e.Workflow && x.DecisionID == e.DecisionID
	})
}

// Names says whether a workflow's uses are among evidence.
func Names(list []Evidence, workflow string) bool {
	return slices.ContainsFunc(list, func(x Evidence) bool { return x.Workflow == workflow })
}

// DropWorkflow takes all uses of a workflow out.
func DropWorkflow(list []Evidence, workflow string) []Evidence {
	return slices.DeleteFunc(list, func(x Evidence) bool { return x.Workflow == workflow })
}

func compareEvidence(a, b Evidence) int {
	return cmp.Or(cmp.Compare(b.Time, a.Time), strings.Compare(a.Workflow, b.Workflow), strings.Compare(a.DecisionID, b.DecisionID))
}
