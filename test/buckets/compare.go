package buckets

import (
	"fmt"
	"math"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/slo/budget"
)

// Verdict is the last revision of a verdict, and the partition that its record lies in.
type Verdict struct {
	Partition int32
	Data      map[string]any // of the record
}

// Sums are what the verdicts of each objective come to.
type Sums map[string]budget.Counts

// span is the coarsest size of buckets: all others divide it.
const span = freshness.Duration(6 * 60 * 60 * 1000)

// cell is where sums are compared: an objective, a partition, six hours.
type cell struct {
	objective string
	partition int32
	from      event.Time
}

// batch is what the verdicts say.
type batch struct {
	counts map[cell]budget.Counts
	shares map[string]map[string]int64 // by objective, cause and owner
	uses   map[string]map[string]bool  // by workflow and decision: what was said of its uses
}

// Compare returns the differences between the last values of all keys of the topic of buckets and what the last revisions of all verdicts
// come to, and that. Not a word of it is taken from the engine.
func Compare(file *slo.File, verdicts []Verdict, values map[string][]byte) (differences []string, sums Sums) {
	differ := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }
	want := batchOf(file, verdicts, differ)
	got, shared := map[cell]budget.Counts{}, map[string]map[string]int64{}
	for key, value := range values {
		objective, partition, b, err := budget.ParseRecord(value)
		if err != nil {
			differ("%s: %v", value, err)
			continue
		}
		if again := budget.Key(objective, partition, b.Start, b.Size); again != key {
			differ("key %s of %s", key, value)
		}
		if b.Good < 0 || b.Bad < 0 || b.Unknown < 0 {
			differ("negative: %s", value)
		}
		c := cell{objective, partition, budget.Start(b.Start, span)}
		got[c] = got[c].Plus(b.Counts)
		for _, s := range b.Shares {
			add(shared, objective, s.Cause+" "+s.Owner, s.Parts)
		}
		for _, e := range b.Evidence {
			if use := want.uses[e.Workflow+" "+e.DecisionID]; !use[e.Verdict.String()+" "+e.Time.String()] {
				differ("evidence %+v: the decision's uses are %v", e, use)
			}
		}
	}
	sums = Sums{}
	for c, counts := range want.counts {
		if got[c] != counts {
			differ("%+v: the buckets say %+v, the verdicts %+v", c, got[c], counts)
		}
		sums[c.objective] = sums[c.objective].Plus(counts)
	}
	for c, counts := range got {
		if _, ok := want.counts[c]; !ok && counts != (budget.Counts{}) {
			differ("%+v: the buckets say %+v, the verdicts nothing", c, counts)
		}
	}
	for name, list := range want.shares {
		for who, n := range list {
			if got := shared[name][who]; got != n {
				differ("%s: %d parts for %q in the buckets, %d in the verdicts", name, got, who, n)
			}
		}
	}
	return differences, sums
}

func add(shares map[string]map[string]int64, objective, who string, parts int64) {
	if shares[objective] == nil {
		shares[objective] = map[string]int64{}
	}
	shares[objective][who] += parts
}

// batchOf adds the verdicts up.
func batchOf(file *slo.File, verdicts []Verdict, differ func(string, ...any)) batch {
	kinds := map[any]freshness.UseKind{"decision.proposed": freshness.Proposed, "action.executed": freshness.Executed}
	named := map[any]freshness.VerdictKind{"fresh": freshness.IsFresh, "stale": freshness.IsStale, "unknown": freshness.IsUnknown}
	b := batch{map[cell]budget.Counts{}, map[string]map[string]int64{}, map[string]map[string]bool{}}
	for _, v := range verdicts {
		d := v.Data
		text, _ := d["used_at"].(string)
		at, ok := event.ParseTime(text)
		if !ok {
			differ("used_at %v", d["used_at"])
			continue
		}
		decision := fmt.Sprint(d["workflow"], " ", d["decision_id"])
		if b.uses[decision] == nil {
			b.uses[decision] = map[string]bool{}
		}
		b.uses[decision][fmt.Sprint(d["verdict"], " ", at)] = true
		if d["traffic_class"] != "live" {
			continue
		}
		class, classed := d["class"].(string)
		for i := range file.SLOs {
			s := &file.SLOs[i]
			if s.Workflow != d["workflow_type"] || s.Use != kinds[d["use"]] || s.Class != "" && (!classed || class != s.Class) {
				continue
			}
			c := cell{s.Name, v.Partition, budget.Start(at, span)}
			b.counts[c] = b.counts[c].Plus(budget.Of(named[d["verdict"]]))
			whose(d, func(who string, parts int64) { add(b.shares, s.Name, who, parts) })
		}
	}
	return b
}

// whose adds one use to the shares, if it was not fresh: divided as the seconds of the item are that it was longest stale for, else for its
// first reason.
func whose(d map[string]any, add func(who string, parts int64)) {
	if d["verdict"] == "fresh" {
		return
	}
	var worst []freshness.Share
	var longest float64
	for _, it := range d["items"].([]any) {
		it := it.(map[string]any)
		if it["verdict"] != "stale" {
			continue
		}
		var causes []freshness.Share
		sum := 0.0
		for _, c := range it["causes"].([]any) {
			c := c.(map[string]any)
			seconds := c["seconds"].(float64)
			sum += seconds
			causes = append(causes, freshness.Share{Cause: causeOf(c["cause"]), Owner: c["owner"].(string), For: freshness.Duration(math.Round(seconds * 1000))})
		}
		if sum > longest+1e-6 { // items are sorted by kind and key
			worst, longest = causes, sum
		}
	}
	if d["verdict"] == "stale" && longest > 0 {
		for _, s := range budget.SharesOf(worst) {
			add(s.Cause+" "+s.Owner, s.Parts)
		}
		return
	}
	add(fmt.Sprint(d["reasons"].([]any)[0], " "), budget.Whole)
}

func causeOf(name any) freshness.Cause {
	for c := freshness.SourceLate; c <= freshness.SilentSource; c++ {
		if c.String() == name {
			return c
		}
	}
	return freshness.NoCause
}
