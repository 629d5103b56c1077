package freshness

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/freshet-io/freshet/event"
)

// TestScripts runs the scenarios of testdata; -rewrite writes what they now say. The language is small:
//
//	contract                                what the contract says, one thing a line; forgets all events
//	  context KIND [owner=O] [serving=O] [basis=published] [reported] [silence=S] [history=N]
//	  workflow TYPE [owner=O] [require=KIND,…]
//	  KIND [staleness=S] [versions=N] [age=S]   bounds of the workflow above, resolved; none: not judged
//	  class NAME                            the same workflow's rules for a class, from here on
//	limits [items=N] [loads=N] [repeats=N] [uses=N] [refs=N] [steps=N]
//	events                                  one a line, of workflow "wf" or of a source; more= starts the next id
//	  source KIND/KEY VERSION seq=N at=S [e=S] [p=S] [retracted|rolled_back] [id=I]
//	  available KIND/KEY seq=N at=S · heartbeat KIND/[KEY] through=S at=S
//	  load KIND/KEY [VERSION] [seq=N] [as_of=S] at=S [id=I] · result … (the same, of a tool) · drop KIND/KEY at=S
//	  propose DECISION at=S [class=C] [based_on=KIND/KEY:VERSION:SEQ:AS_OF,…] · execute … (the same)
//	  task|approval|tool VERB [CALL] at=S
//	judge [DECISION]                        every verdict, or one decision's
//	live at=S [class=C]                     the live verdict · deadline at=S [class=C]
//	golden                                  the golden lines
//
// Times are seconds.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{limits: DefaultLimits()}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := s.run(d)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			return out
		})
	})
}

type script struct {
	batch    *Batch
	contract *Contract
	limits   Limits
	n        int
}

func (s *script) run(d *datadriven.TestData) (string, error) {
	args := words{named: map[string]string{}}
	for _, a := range d.CmdArgs {
		if len(a.Vals) > 0 {
			args.named[a.Key] = a.Vals[0]
		} else {
			args.plain = append(args.plain, a.Key)
		}
	}
	switch d.Cmd {
	case "contract":
		c, err := readContract(d.Input)
		s.contract = c
		s.batch = NewBatch(c, s.limits)
		return "", err
	case "limits":
		for name, p := range map[string]*int{"items": &s.limits.Items, "loads": &s.limits.LoadsPerItem, "repeats": &s.limits.Loads, "refs": &s.limits.Refs, "uses": &s.limits.Uses, "steps": &s.limits.Steps} {
			if v, ok := args.named[name]; ok {
				*p, _ = strconv.Atoi(v)
			}
		}
		s.batch = NewBatch(s.contract, s.limits)
		return "", nil
	case "events":
		for line := range strings.Lines(d.Input) {
			e, err := s.event(strings.Fields(line))
			if err != nil {
				return "", fmt.Errorf("%s: %w", line, err)
			}
			s.n++
			s.batch.Add(e, Position{Topic: "t", Offset: int64(s.n)})
		}
		return "", nil
	case "judge":
		return s.judge(args.plain), nil
	case "golden":
		var b strings.Builder
		err := s.batch.Golden(func(line []byte) error { b.Write(line); b.WriteByte('\n'); return nil })
		return b.String(), err
	case "live", "deadline":
		q := Question{At: event.Time(millis(args.named["at"])), Class: args.named["class"], HasClass: args.named["class"] != ""}
		w := s.batch.Workflow("wf")
		var v Verdict
		w.Ask(&q, s.batch.facts, s.contract, &v)
		if d.Cmd == "live" {
			return show(&v), nil
		}
		at, ok := w.NextDeadline(&q, s.batch.facts, s.contract, &v)
		if !ok {
			return "none\n", nil
		}
		return seconds(Duration(at)) + "\n", nil
	}
	return "", fmt.Errorf("no such command: %s", d.Cmd)
}

func (s *script) judge(only []string) string {
	var b strings.Builder
	var v Verdict
	w := s.batch.Workflow("wf")
	for _, u := range w.byDecision() {
		if len(only) > 0 && u.DecisionID != only[0] {
			continue
		}
		w.Judge(u, s.batch.facts, s.contract, &v)
		fmt.Fprintf(&b, "%s %s: %s", u.DecisionID, u.Kind, show(&v))
	}
	return b.String()
}

// show writes a verdict for people.
func show(v *Verdict) string {
	var b strings.Builder
	measures := func(verdict VerdictKind, reasons Reason, st, ag Duration, k int64, hasS, hasA, hasK bool) {
		b.WriteString(strings.ToUpper(verdict.String()))
		if reasons != 0 {
			fmt.Fprintf(&b, "(%s)", strings.Join(reasons.Names(), " "))
		}
		if hasS {
			fmt.Fprintf(&b, " staleness %s", seconds(st))
		}
		if hasK {
			fmt.Fprintf(&b, " behind %d", k)
		}
		if hasA {
			fmt.Fprintf(&b, " age %s", seconds(ag))
		}
	}
	measures(v.Kind, v.Reasons, v.Staleness, v.Age, v.Behind, v.HasStaleness, v.HasAge, v.HasBehind)
	if v.Cause != NoCause {
		fmt.Fprintf(&b, " because of %s, owner %s", v.Cause, v.Owner)
	}
	b.WriteByte('\n')
	for i := range v.Items {
		iv := &v.Items[i]
		fmt.Fprintf(&b, "  %s/%s", iv.Kind, iv.Key)
		if iv.HasSeq {
			fmt.Fprintf(&b, " seq %d", iv.Seq)
		}
		b.WriteString(" ")
		measures(iv.Verdict, iv.Reasons, iv.Staleness, iv.Age, iv.Behind, iv.HasStaleness, iv.HasAge, iv.HasBehind)
		b.WriteByte('\n')
		for _, c := range iv.Causes {
			fmt.Fprintf(&b, "    %s %s %s\n", c.Cause, seconds(c.For), c.Owner)
		}
	}
	return b.String()
}

func seconds(d Duration) string {
	return strconv.FormatFloat(float64(d)/1000, 'f', -1, 64)
}

func millis(s string) int64 {
	f, err := strconv.ParseFloat(strings.TrimSuffix(s, "s"), 64)
	if err != nil {
		panic(fmt.Sprintf("%q is no number of seconds", s))
	}
	return int64(math.Round(f * 1000))
}

// words are a line's plain words and those with a name.
type words struct {
	plain []string
	named map[string]string
}

func wordsOf(fields []string) words {
	w := words{named: map[string]string{}}
	for _, f := range fields {
		if k, v, ok := strings.Cut(f, "="); ok {
			w.named[k] = v
		} else {
			w.plain = append(w.plain, f)
		}
	}
	return w
}

func (w words) has(word string) bool {
	for _, p := range w.plain {
		if p == word {
			return true
		}
	}
	return false
}

func (w words) millis(name string) (int64, bool) {
	v, ok := w.named[name]
	if !ok {
		return 0, false
	}
	return millis(v), true
}

func (w words) number(name string) (int64, bool) {
	n, err := strconv.ParseInt(w.named[name], 10, 64)
	return n, err == nil
}

func readContract(text string) (*Contract, error) {
	c := &Contract{Contexts: map[string]*Context{}, Classes: map[string]map[string]*Rules{}}
	var rules, base *Rules
	var classes map[string]*Rules
	for line := range strings.Lines(text) {
		w := wordsOf(strings.Fields(line))
		if len(w.plain) == 0 {
			return nil, fmt.Errorf("cannot read %q", line)
		}
		switch w.plain[0] {
		case "context":
			x := &Context{Owner: w.named["owner"], ServingOwner: w.named["serving"], Reported: w.has("reported")}
			if w.named["basis"] == "published" {
				x.Basis = ByPublished
			}
			if d, ok := w.millis("silence"); ok {
				x.MaxSilence, x.HasMaxSilence = Duration(d), true
			}
			if n, ok := w.number("history"); ok {
				x.History = int(n)
			}
			if n, ok := w.number("limit"); ok {
				x.VersionsLimit = int(n)
			}
			c.Contexts[w.plain[1]] = x
		case "workflow":
			base = &Rules{Owner: w.named["owner"], Kinds: map[string]KindBounds{}}
			if r := w.named["require"]; r != "" {
				base.Require = strings.Split(r, ",")
			}
			rules, classes = base, map[string]*Rules{"": base}
			c.Classes[w.plain[1]] = classes
		case "class":
			rules = &Rules{Owner: base.Owner, Require: base.Require, Kinds: map[string]KindBounds{}}
			classes[w.plain[1]] = rules
		default:
			rules.Kinds[w.plain[0]] = boundsOf(w)
		}
	}
	return c, nil
}

func boundsOf(w words) KindBounds {
	var k KindBounds
	if d, ok := w.millis("staleness"); ok {
		k = judged(both(k.Bounds, staleness(Duration(d))))
	}
	if n, ok := w.number("versions"); ok {
		k = judged(both(k.Bounds, versions(n)))
	}
	if d, ok := w.millis("age"); ok {
		k = judged(both(k.Bounds, age(Duration(d))))
	}
	return k
}

var scriptTypes = map[string]event.Type{
	"source": event.SourceUpdated, "available": event.SourceAvailable, "heartbeat": event.SourceHeartbeat,
	"load": event.ContextLoaded, "result": event.ToolResult, "drop": event.ContextDropped,
	"propose": event.DecisionProposed, "execute": event.ActionExecuted, "approve": event.ActionApproved,
	"task created": event.TaskCreated, "task started": event.TaskStarted, "task waiting": event.TaskWaiting, "task resumed": event.TaskResumed,
	"task completed": event.TaskCompleted, "task failed": event.TaskFailed, "task cancelled": event.TaskCancelled,
	"approval requested": event.ApprovalRequested, "approval granted": event.ApprovalGranted, "approval denied": event.ApprovalDenied,
	"tool called": event.ToolCalled, "tool result": event.ToolResult, "tool retry": event.ToolRetryScheduled,
}

func (s *script) event(fields []string) (*event.Event, error) {
	w := wordsOf(fields)
	if len(w.plain) < 2 {
		return nil, fmt.Errorf("an event needs a type and what it is about")
	}
	name := w.plain[0]
	rest := w.plain[1:]
	if name == "task" || name == "approval" || name == "tool" {
		name, rest = name+" "+rest[0], rest[1:]
	}
	t, ok := scriptTypes[name]
	if !ok {
		return nil, fmt.Errorf("no such event: %s", name)
	}
	at, ok := w.millis("at")
	if e, hasE := w.millis("e"); !ok && hasE {
		at = e
	}
	e := &event.Event{Type: t, Subject: "wf", ID: fmt.Sprintf("e%03d", s.n), Source: "src", Time: event.Time(at), Appended: event.Time(at), EffectiveAt: event.Time(at)}
	if id, ok := w.named["id"]; ok {
		e.ID = id
	}
	if src, ok := w.named["from"]; ok {
		e.Source = src
	}
	e.WorkflowType = w.named["type"]
	switch name {
	case "source", "available", "heartbeat":
		s.sourceEvent(e, w, rest)
	case "load", "result", "drop":
		r := refOf(rest[0])
		if len(rest) > 1 {
			r.Version = rest[1]
		}
		r.Seq, r.HasSeq = w.number("seq")
		if a, ok := w.millis("as_of"); ok {
			r.AsOf, r.HasAsOf = event.Time(a), true
		}
		e.Refs = []event.Ref{r}
		e.CallID = w.named["call"]
	case "propose", "execute", "approve":
		e.DecisionID = rest[0]
		e.Class, e.HasClass = w.named["class"]
		on, has := w.named["based_on"]
		if e.HasBasedOn = has; on != "" {
			for _, r := range strings.Split(on, ",") {
				e.Refs = append(e.Refs, refOf(r))
			}
		}
	default:
		if len(rest) > 0 {
			e.CallID = rest[0]
		}
	}
	for _, f := range fields {
		if !strings.HasPrefix(f, "p=") { // recordedtime is no part of the data
			e.Data += f + " "
		}
	}
	return e, nil
}

func (s *script) sourceEvent(e *event.Event, w words, rest []string) {
	e.Subject = rest[0]
	e.Kind, e.Key, _ = strings.Cut(rest[0], "/")
	e.Seq, _ = w.number("seq")
	if len(rest) > 1 {
		e.Version = rest[1]
	}
	if t, ok := w.millis("e"); ok {
		e.EffectiveAt = event.Time(t)
	}
	if t, ok := w.millis("p"); ok {
		e.Recorded, e.HasRecorded = event.Time(t), true
	}
	if t, ok := w.millis("through"); ok {
		e.Through = event.Time(t)
	}
	e.WholeKind = e.Type == event.SourceHeartbeat && e.Key == ""
	if w.has("retracted") {
		e.Change = event.Retracted
	} else if w.has("rolled_back") {
		e.Change = event.RolledBack
	}
}

// refOf reads kind/key:version:seq:as_of; what is empty is absent.
func refOf(s string) event.Ref {
	p := strings.Split(s+":::", ":")
	var r event.Ref
	r.Kind, r.Key, _ = strings.Cut(p[0], "/")
	r.Version = p[1]
	if n, err := strconv.ParseInt(p[2], 10, 64); err == nil {
		r.Seq, r.HasSeq = n, true
	}
	if p[3] != "" {
		r.AsOf, r.HasAsOf = event.Time(millis(p[3])), true
	}
	return r
}
