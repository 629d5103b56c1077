package freshness_test

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// The flags of the random histories: which to begin with, and how many.
var (
	randomSeed      = flag.Uint64("seed", 1, "seed of the first random history")
	randomHistories = flag.Int("histories", 4000, "how many random histories to judge")
)

// randomRecord is one event as it arrives: a structured CloudEvent, and the Kafka timestamp of its record.
type randomRecord struct {
	Line     string
	Appended event.Time
}

// randomHistory is a set of events and a contract to judge them by.
type randomHistory struct {
	Seed     uint64
	Contract naiveContract
	Records  []randomRecord
}

// TestRandomHistories holds the package to the naive judgement, on small histories in which everything that can clash does: instants,
// seqs, ids, bounds. In another order, and with records repeated, the package has to say the same.
func TestRandomHistories(t *testing.T) {
	reached := map[string]int{}
	failed := 0
	for i := range *randomHistories {
		h := newRandomHistory(*randomSeed + uint64(i))
		if h.difference(1, reached) == "" {
			continue
		}
		h = h.shrink()
		t.Errorf("%s\nseed %d, shrunk; repeat with\n\tgo test ./freshness -run 'TestRandomHistories$' -seed %d -histories 1", h, h.Seed, h.Seed)
		if failed++; failed == 5 {
			t.Fatal("further histories are left out")
		}
	}
	if *randomHistories < 4000 {
		return
	}
	for _, clause := range randomClauses() {
		if reached[clause] == 0 {
			t.Errorf("no history reached the clause: %s", clause)
		}
	}
	for _, clause := range slices.Sorted(maps.Keys(reached)) {
		t.Logf("%8d × %s", reached[clause], clause)
	}
}

// randomClauses are what the histories have to come upon, so that agreement means something.
func randomClauses() []string {
	clauses := []string{
		"a based_on REF that is not resolved, with a share", "a based_on REF that was loaded", "a closing while closed",
		"a heartbeat after the use", "a version newer than the retraction in use", "age equal to its bound", "ahead",
		"an item that is not judged", "an item twice in a use", "an item twice in a use with the same seq", "an opening while open",
		"as_of after the load it is of", "as_of later than it can be", "based_on inherited", "based_on inherited from a later proposal",
		"class inherited", "decision conflict", "dropped at the instant of the load, after it",
		"dropped at the instant of the load, before it", "dropped at the instant of the use", "empty based_on",
		"empty based_on inherited", "equal shares", "equally long items", "in force from the instant of the use on",
		"loaded at the instant from which it could have been newer", "loads at the same instant, one resolved", "loads at the same instant, by seq", "loads at the same instant, by a resolved seq",
		"loads at the same instant, by id", "loads at the same instant, by as_of", "loads at the same instant, one with as_of",
		"decision conflict up to the data", "workflow type conflict at the same time and id", "alive by a heartbeat of the whole kind",
		"a later version below the cut", "a cut in a long history", "retracted, judged by age only", "silent and stale",
		"truncated, and its age not known", "steps with the same time and id", "an item shielded from the bounds of all kinds", "never served",
		"no sign of life ever", "not resolved, judged by age only", "repeated with another p", "served before it was published",
		"several reasons of an item", "shares of an item that is not stale", "silent for exactly as long as may be", "source conflict",
		"stale for its age only, and superseded", "staleness equal to its bound", "superseded twice at the same instant",
		"the retraction itself in use", "the task's end closes", "truncated and stale", "truncated because not resolved",
		"truncated, judged by age only", "version string of future versions only", "version string of future versions only, truncated",
		"version string of past and future versions", "version string of several versions", "workflow type conflict",
	}
	for _, reason := range naiveReasons() {
		clauses = append(clauses, "use "+reason)
	}
	for _, cause := range naiveCauses() {
		clauses = append(clauses, "share "+cause, "cause "+cause)
	}
	return clauses
}

// events decodes the records.
func (h randomHistory) events() []event.Event {
	events := make([]event.Event, 0, len(h.Records))
	for _, r := range h.Records {
		e, err := naiveEvent([]byte(r.Line))
		if err != nil {
			panic(fmt.Sprintf("the generator wrote what cannot be read: %v", err))
		}
		e.Appended = r.Appended
		events = append(events, e)
	}
	return events
}

// difference says where the package and the naive judgement differ, or the package from itself in another order; "" if nowhere.
func (h randomHistory) difference(orders int, reached map[string]int) string {
	j := newNaiveJudge(h.Contract, h.events())
	want := j.lines()
	for clause, n := range j.reached {
		reached[clause] += n
	}
	got, err := randomBatch(h.Contract.resolve(), h.Records)
	if err != nil {
		return err.Error()
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("want %s\n got nothing", want[i])
		case i >= len(want):
			return fmt.Sprintf("want nothing\n got %s", got[i])
		}
		line, err := readNaiveLine([]byte(got[i]))
		if err != nil {
			return err.Error()
		}
		if !reflect.DeepEqual(line, want[i]) {
			return fmt.Sprintf("want %s\n got %s", want[i], line)
		}
	}
	r := rand.New(rand.NewPCG(h.Seed, 1))
	for order := range orders + 1 {
		other := slices.Clone(h.Records)
		if order == 0 {
			slices.Reverse(other)
		} else {
			for range r.IntN(len(h.Records) + 1) {
				other = append(other, h.Records[r.IntN(len(h.Records))])
			}
			r.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		}
		again, err := randomBatch(h.Contract.resolve(), other)
		if err != nil {
			return "in another order: " + err.Error()
		}
		for i := range max(len(got), len(again)) {
			if i >= len(got) || i >= len(again) || got[i] != again[i] {
				return fmt.Sprintf("in another order, with repetitions:\n  one %v\nother %v", got[min(i, len(got)):], again[min(i, len(again)):])
			}
		}
	}
	return ""
}

// randomBatch judges records as the package does, read by the decoder of package event. A panic is an error, so that a history that leads
// to one can be shrunk.
func randomBatch(c *freshness.Contract, records []randomRecord) (lines []string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	b, err := randomEvents(c, records)
	if err != nil {
		return nil, err
	}
	err = b.Golden(func(line []byte) error {
		lines = append(lines, string(line))
		return nil
	})
	return lines, err
}

// randomEvents is the batch of records, with limits that leave nothing out.
func randomEvents(c *freshness.Contract, records []randomRecord) (*freshness.Batch, error) {
	const limit = 1 << 20
	b := freshness.NewBatch(c, freshness.Limits{Items: limit, LoadsPerItem: limit, Loads: limit, Uses: limit, Refs: limit, Steps: limit, Lines: limit})
	topics := [...]string{"workflow.other", "workflow.control", "workflow.context", "workflow.tool", "workflow.decision", "context.source"}
	d := event.NewDecoder(event.Config{MaxSkew: math.MaxInt64})
	var e event.Event
	var record []byte
	for i, r := range records {
		// The event and the record are used again for the next one: folding keeps nothing of either.
		record = append(record[:0], r.Line...)
		if reason := d.DecodeStructured(record, r.Appended, &e); reason != event.OK || e.BadRefs > 0 {
			return nil, fmt.Errorf("decode %s: %v, %d bad REFs", r.Line, reason, e.BadRefs)
		}
		b.Add(&e, freshness.Position{Topic: topics[e.Type.Category()], Offset: int64(i)})
	}
	return b, nil
}

// shrink returns the smallest history it finds that still makes a difference: first of the records, then of the contract.
func (h randomHistory) shrink() randomHistory {
	const orders = 8
	differs := func(h randomHistory) bool { return h.difference(orders, map[string]int{}) != "" }
	if !differs(h) {
		return h
	}
	for size := len(h.Records) / 2; size > 0; {
		smaller := false
		for at := 0; at < len(h.Records); {
			less := h
			less.Records = slices.Delete(slices.Clone(h.Records), at, min(at+size, len(h.Records)))
			if differs(less) {
				h, smaller = less, true
			} else {
				at += size
			}
		}
		if !smaller || size > 1 {
			size /= 2
		}
	}
	for again := true; again; {
		again = false
		for _, less := range h.Contract.less() {
			candidate := h
			candidate.Contract = less
			if differs(candidate) {
				h, again = candidate, true
				break
			}
		}
	}
	return h
}

// less returns the contracts that lack one thing of c.
func (c naiveContract) less() []naiveContract {
	var all []naiveContract
	for kind, context := range c.Contexts {
		without := naiveContract{maps.Clone(c.Contexts), c.Workflows}
		delete(without.Contexts, kind)
		all = append(all, without)
		for _, simpler := range []func(*freshness.Context){
			func(x *freshness.Context) { x.MaxSilence, x.HasMaxSilence = 0, false },
			func(x *freshness.Context) { x.Basis = freshness.BySource },
			func(x *freshness.Context) { x.Reported = false },
			func(x *freshness.Context) { x.History = 1024 },
		} {
			changed := context
			if simpler(&changed); changed != context {
				with := naiveContract{maps.Clone(c.Contexts), c.Workflows}
				with.Contexts[kind] = changed
				all = append(all, with)
			}
		}
	}
	for name, w := range c.Workflows {
		without := naiveContract{c.Contexts, maps.Clone(c.Workflows)}
		delete(without.Workflows, name)
		all = append(all, without)
		with := func(w naiveWorkflow) {
			changed := naiveContract{c.Contexts, maps.Clone(c.Workflows)}
			changed.Workflows[name] = w
			all = append(all, changed)
		}
		if len(w.Require) > 0 {
			with(naiveWorkflow{w.Owner, w.Require[1:], w.Bounds, w.Classes})
		}
		for _, bounds := range lessBounds(w.Bounds) {
			with(naiveWorkflow{w.Owner, w.Require, bounds, w.Classes})
		}
		for class := range w.Classes {
			classes := maps.Clone(w.Classes)
			delete(classes, class)
			with(naiveWorkflow{w.Owner, w.Require, w.Bounds, classes})
			for _, bounds := range lessBounds(w.Classes[class]) {
				classes := maps.Clone(w.Classes)
				classes[class] = bounds
				with(naiveWorkflow{w.Owner, w.Require, w.Bounds, classes})
			}
		}
	}
	return all
}

// lessBounds returns the bounds that lack one thing of these.
func lessBounds(bounds map[string]naiveBounds) []map[string]naiveBounds {
	var all []map[string]naiveBounds
	for kind, b := range bounds {
		without := maps.Clone(bounds)
		delete(without, kind)
		all = append(all, without)
		for _, fewer := range []naiveBounds{
			{naiveBound{}, b.Versions, b.Age}, {b.Staleness, naiveBound{}, b.Age}, {b.Staleness, b.Versions, naiveBound{}},
		} {
			if fewer != b {
				with := maps.Clone(bounds)
				with[kind] = fewer
				all = append(all, with)
			}
		}
	}
	return all
}

func (h randomHistory) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\ncontexts", h.difference(8, map[string]int{}))
	for _, kind := range slices.Sorted(maps.Keys(h.Contract.Contexts)) {
		fmt.Fprintf(&b, "\n  %s: %+v", kind, h.Contract.Contexts[kind])
	}
	bounds := func(indent string, level map[string]naiveBounds) {
		for _, kind := range slices.Sorted(maps.Keys(level)) {
			fmt.Fprintf(&b, "\n%s%q: {%s}", indent, kind, level[kind])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(h.Contract.Workflows)) {
		w := h.Contract.Workflows[name]
		fmt.Fprintf(&b, "\nworkflow %s of %s requires %q", name, w.Owner, w.Require)
		bounds("  ", w.Bounds)
		for _, class := range slices.Sorted(maps.Keys(w.Classes)) {
			fmt.Fprintf(&b, "\n  class %s", class)
			bounds("    ", w.Classes[class])
		}
	}
	b.WriteString("\nevents, each after its append time")
	for _, r := range h.Records {
		fmt.Fprintf(&b, "\n  %s %s", r.Appended, r.Line)
	}
	return b.String()
}

func (b naiveBounds) String() string {
	var parts []string
	for _, one := range []struct {
		name  string
		bound naiveBound
	}{{"max_staleness", b.Staleness}, {"max_versions_behind", b.Versions}, {"max_age", b.Age}} {
		switch {
		case one.bound.Null:
			parts = append(parts, one.name+": null")
		case one.bound.Set:
			parts = append(parts, fmt.Sprintf("%s: %d", one.name, one.bound.Value))
		}
	}
	return strings.Join(parts, ", ")
}
