package honest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Report is what a comparison has found.
type Report struct {
	Events, Answers       int
	Fresh, Stale, Unknown int
	Reasons               map[string]int // of the unknown
	WrongFresh            int            // said to be fresh, and was not
	WrongStale            int            // said to be stale, and was not
	WrongUntil            int            // fresh, but not for as long as said
	Examples              []string
}

// Wrong is how many answers were.
func (r *Report) Wrong() int { return r.WrongFresh + r.WrongStale + r.WrongUntil }

func (r *Report) String() string {
	var why []string
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		why = append(why, fmt.Sprintf("%s %d", reason, r.Reasons[reason]))
	}
	return fmt.Sprintf("%d events, %d answers: %d fresh, %d stale, %d unknown (%s); wrong: %d fresh, %d stale, %d valid_until",
		r.Events, r.Answers, r.Fresh, r.Stale, r.Unknown, strings.Join(why, ", "), r.WrongFresh, r.WrongStale, r.WrongUntil)
}

// mostExamples is how many wrong answers are shown.
const mostExamples = 5

func (r *Report) wrong(n *int, a *Answer, why string) {
	*n++
	if len(r.Examples) < mostExamples {
		asked := *a.Check
		r.Examples = append(r.Examples, fmt.Sprintf("%s: %s, asked %+v, came at %s: %s", why, a.By, asked, a.Received, a.Text))
	}
}

// Compare compares all answers with what was so.
func (l *Log) Compare() *Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &Report{Reasons: map[string]int{}, Answers: len(l.answers)}
	for _, s := range l.subjects {
		r.Events += len(s.told)
	}
	for _, a := range l.answers {
		switch a.Verdict {
		case "fresh":
			r.Fresh++
			if why := l.wrongFresh(a); why != "" {
				r.wrong(&r.WrongFresh, a, why)
			} else if t := l.truth(a); !t.find(freshness.IsFresh, t.until()...) {
				r.wrong(&r.WrongUntil, a, "not fresh until valid_until")
			}
		case "stale":
			r.Stale++
			if !l.truth(a).find(freshness.IsStale) {
				r.wrong(&r.WrongStale, a, "it was not stale")
			}
		default:
			r.Unknown++
			for _, reason := range a.Reasons {
				r.Reasons[reason]++
			}
		}
	}
	return r
}

// wrongFresh says what is wrong with a fresh answer, "" if nothing.
func (l *Log) wrongFresh(a *Answer) string {
	lag, most := 0.0, 2.0
	if a.Check.MaxLag != nil {
		most = *a.Check.MaxLag
	}
	if a.Applied == nil || a.Lag == nil {
		return "it is not said what it rests on"
	}
	applied, _ := event.ParseTime(*a.Applied)
	at, _ := event.ParseTime(a.At)
	if lag = float64(max(0, at-applied)) / 1000; lag > most+1e-9 || *a.Lag != lag {
		return fmt.Sprintf("the engine is %v s behind, it says %v s, %v s are allowed", lag, *a.Lag, most)
	}
	if !l.truth(a).find(freshness.IsFresh) {
		return "it was not fresh"
	}
	return ""
}

// truth is what an answer can have rested on: beginnings of what was told of each subject.
type truth struct {
	l       *Log
	a       *Answer
	through event.Time
	v       freshness.Verdict
	chosen  map[string]int // subject → length of the beginning of an item
}

func (l *Log) truth(a *Answer) *truth {
	t := &truth{l: l, a: a, through: 0}
	if a.Applied != nil {
		t.through, _ = event.ParseTime(*a.Applied)
	}
	return t
}

// seen returns how many of a subject's events the answer must rest on, and on how many it can.
func (t *truth) seen(subject string) (must, may int) {
	s := t.l.subjects[subject]
	if s == nil {
		return 0, 0
	}
	return s.seen(t.through, t.a.Received, t.a.Check.Least[subject])
}

// Item returns an item as the beginning has it that is looked at.
func (t *truth) Item(kind, key string) *freshness.Item {
	name := kind + "/" + key
	s := t.l.subjects[name]
	if s == nil {
		return nil
	}
	n, ok := t.chosen[name]
	if !ok {
		n, _ = t.seen(name)
	}
	return s.item(n)
}

// KindLife returns nothing: no heartbeat is told of a whole kind.
func (t *truth) KindLife(string) (event.Time, bool) { return 0, false }

// find looks for beginnings by which the verdict is as wanted at the answer's instant, and at more of them.
func (t *truth) find(want freshness.VerdictKind, also ...event.Time) bool {
	s := t.l.subjects[t.a.Check.Workflow]
	if s == nil {
		return false
	}
	at, _ := event.ParseTime(t.a.At)
	instants := append([]event.Time{at}, also...)
	must, may := t.seen(t.a.Check.Workflow)
	for n := must; n <= may; n++ {
		if w := s.workflow(t.a.Check.Workflow, n); w != nil && t.choose(w, want, instants) {
			return true
		}
	}
	return false
}

// choose looks for beginnings of the items by which a workflow's verdict is as wanted. What an item comes to depends on its own alone.
func (t *truth) choose(w *freshness.Workflow, want freshness.VerdictKind, instants []event.Time) bool {
	t.chosen = map[string]int{}
	q := t.l.question(t.a, w)
	names := map[string]bool{}
	for _, q.At = range instants {
		w.Ask(&q, t, t.l.contract, &t.v)
		for i := range t.v.Items {
			names[t.v.Items[i].Kind+"/"+t.v.Items[i].Key] = true
		}
	}
	all := func(is func() bool) bool {
		for _, q.At = range instants {
			if w.Ask(&q, t, t.l.contract, &t.v); !is() {
				return false
			}
		}
		return true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		must, may := t.seen(name)
		for n := must; n <= may; n++ {
			if t.chosen[name] = n; all(func() bool { return t.is(name, want) }) {
				break
			}
		}
	}
	return all(func() bool { return t.v.Kind == want })
}

// is says whether the judged items of a name are as wanted: all of them fresh, or one of them stale.
func (t *truth) is(name string, want freshness.VerdictKind) bool {
	for i := range t.v.Items {
		it := &t.v.Items[i]
		if it.Kind+"/"+it.Key != name {
			continue
		}
		if it.Verdict != want && want == freshness.IsFresh {
			return false
		}
		if it.Verdict == want && want == freshness.IsStale {
			return true
		}
	}
	return want == freshness.IsFresh
}

// foreseen is how far an answer without valid_until is looked ahead, in milliseconds; looks is how often.
const (
	foreseen = 3_600_000
	looks    = 8
)

// until are instants up to the last at which a fresh answer says that its context will be fresh still.
func (t *truth) until() []event.Time {
	at, _ := event.ParseTime(t.a.At)
	last := at + foreseen
	if t.a.ValidUntil != nil {
		end, _ := event.ParseTime(*t.a.ValidUntil)
		last = end - 1
	}
	var all []event.Time
	for i := event.Time(1); i <= looks; i++ {
		all = append(all, at+(last-at)*i/looks)
	}
	return all
}
