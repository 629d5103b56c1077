package alerts

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
)

// condition is one thing that is the matter at an instant, or would be.
type condition struct {
	id, name string
	severity slo.Severity
	owner    string
	also     []string // told, too
	labels   map[string]string
	group    string   // id of the row that would stand for it
	rests    []string // nil: all partitions

	fires bool
	why   Reason // if it does not
	what  string // in a sentence
	rule  string // what was compared with what

	causes    []Share
	evidence  []Evidence
	decisions int64
	open      int64
	more      bool // there may be more open workflows
	workflows []string
	runbook   string
	members   int // of a condition that stands for many
}

// conditions returns everything that the snapshot shows, sorted by id, and which groups stand for their members.
func (a *Alerts) conditions(s *Snapshot) (all []*condition, grouped map[string]bool) {
	grouped = map[string]bool{}
	all = append(all, a.watchdog(s), a.blind(s))
	if s.Contract != nil {
		if s.BurnsKnown {
			all = append(all, a.burns(s)...)
		}
		if s.HoldingsKnown {
			all = append(all, a.fold(a.holdings(s), grouped)...)
		}
		if s.SourcesKnown {
			all = append(all, a.fold(a.silences(s), grouped)...)
		}
	}
	slices.SortFunc(all, func(x, y *condition) int { return strings.Compare(x.id, y.id) })
	return all, grouped
}

func (a *Alerts) watchdog(*Snapshot) *condition {
	return &condition{id: Watchdog, name: Watchdog, owner: a.cfg.EngineOwner, fires: true, rests: []string{},
		what: "Freshet evaluates and dispatches alerts. If this one stops coming, it does not.", rule: "always"}
}

// blind looks at the clocks: the engine cannot say what is fresh on a partition whose clock stands.
func (a *Alerts) blind(s *Snapshot) *condition {
	c := &condition{id: EngineBlind, name: EngineBlind, severity: slo.Page, owner: a.cfg.EngineOwner, why: NotHolding, rests: []string{},
		rule: fmt.Sprintf("now − applied_through > %s on a partition that has been live", span(a.cfg.BlindAfter))}
	behind, worst := 0, -1
	for i := range s.Partitions {
		p := &s.Partitions[i]
		if !a.isBlind(s, p) {
			continue
		}
		behind++
		c.rests = append(c.rests, p.Name)
		if worst < 0 || p.Applied < s.Partitions[worst].Applied {
			worst = i
		}
	}
	if behind == 0 {
		c.what = "The clocks of all partitions follow."
		return c
	}
	p := &s.Partitions[worst]
	c.fires = true
	slices.Sort(c.rests)
	c.what = fmt.Sprintf("The clock of %s has stood since %s%s.", p.Name, p.Applied, because(p.Why))
	if behind > 1 {
		c.what += fmt.Sprintf(" So have those of %s.", count(int64(behind-1), "other partition"))
	}
	return c
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

func (a *Alerts) isBlind(s *Snapshot, p *Partition) bool {
	return p.Live && s.Now-p.Applied > event.Time(a.cfg.BlindAfter)
}

// burns makes one condition of the rules of an objective with the same severity: the first that holds speaks for all.
func (a *Alerts) burns(s *Snapshot) []*condition {
	best := map[string]*Burn{}
	for i := range s.Burns {
		b := &s.Burns[i]
		key := id(FreshnessSLOBurn, b.SLO, b.Rule.Severity.String())
		old := best[key]
		if old == nil || !old.Holds && (b.Holds || b.Few && !old.Few) {
			best[key] = b
		}
	}
	var all []*condition
	for i := range s.Contract.SLOs {
		o := &s.Contract.SLOs[i]
		for _, severity := range []slo.Severity{slo.Ticket, slo.Page} {
			key := id(FreshnessSLOBurn, o.Name, severity.String())
			if b := best[key]; b != nil {
				all = append(all, a.burn(s, o, b, key))
			}
		}
	}
	return all
}

func (a *Alerts) burn(s *Snapshot, o *slo.SLO, b *Burn, key string) *condition {
	c := &condition{id: key, name: FreshnessSLOBurn, severity: b.Rule.Severity, owner: o.Owner, fires: b.Holds, runbook: o.Runbook,
		labels: map[string]string{"slo": o.Name, "workflow_type": o.Workflow}, causes: b.Causes, evidence: b.Evidence, decisions: b.Short.Bad, open: b.Open}
	if o.Class != "" {
		c.labels["class"] = o.Class
	}
	if largest := largest(b.Causes); largest.Owner != "" && s.Contract.Owners[largest.Owner] != nil && largest.Owner != o.Owner {
		c.owner, c.also = largest.Owner, []string{o.Owner}
	}
	c.rule = fmt.Sprintf("burn rate %s over %s and %s over %s, rule %s; %d of %d and %d of %d events bad, min_events %d",
		number(b.Long.Burn), span(b.Rule.Long), number(b.Short.Burn), span(b.Rule.Short), number(b.Rule.Burn),
		b.Long.Bad, b.Long.Bad+b.Long.Good, b.Short.Bad, b.Short.Bad+b.Short.Good, o.MinEvents)
	c.what = fmt.Sprintf("%s: the error budget is spent %s times as fast as the objective of %s allows (over %s; %s over %s).",
		o.Name, number(b.Long.Burn), percent(o.Objective), span(b.Rule.Long), number(b.Short.Burn), span(b.Rule.Short))
	switch {
	case b.Holds:
	case b.Few:
		c.why = MinEvents
	default:
		c.why = NotHolding
	}
	return c
}

// largest returns the share that names the owner; of equal ones the first.
func largest(shares []Share) Share {
	var best Share
	for _, s := range shares {
		if s.Parts > best.Parts {
			best = s
		}
	}
	return best
}

func (a *Alerts) holdings(s *Snapshot) []*condition {
	entries := map[string]*slo.Detection{}
	for i := range s.Contract.Detections {
		entries[s.Contract.Detections[i].Name] = &s.Contract.Detections[i]
	}
	var all []*condition
	for i := range s.Holdings {
		h := &s.Holdings[i]
		d := entries[h.Detection]
		w := s.Contract.Workflows[h.Workflow]
		if d == nil || w == nil {
			continue // of a contract that is no longer in force
		}
		c := &condition{
			id:   id(StaleContextHeld, h.Detection, h.Workflow, h.Kind, h.Key, strconv.FormatInt(h.Seq, 10)),
			name: StaleContextHeld, severity: d.Severity, owner: w.Owner, group: id(StaleContextHeld, h.Detection, h.Workflow, h.Kind),
			labels: map[string]string{"detection": h.Detection, "workflow_type": h.Workflow, "kind": h.Kind, "key": h.Key, "seq": strconv.FormatInt(h.Seq, 10)},
			causes: h.Causes, evidence: h.Evidence, open: h.Count, workflows: h.Workflows, rests: append([]string{}, h.Rests...),
			rule: fmt.Sprintf("%d open workflows for longer than %s, %d for less", h.Count, span(d.For), h.Waiting),
			what: fmt.Sprintf("%s of type %s %s held a stale %s/%s for longer than %s; version %d is current, and has been due since %s.",
				count(h.Count, "open workflow"), h.Workflow, have(h.Count), h.Kind, h.Key, span(d.For), h.Seq, h.Since),
		}
		if l := largest(h.Causes); l.Owner != "" && s.Contract.Owners[l.Owner] != nil {
			c.owner = l.Owner
		}
		switch {
		case h.Traffic != event.Live:
			c.why = TrafficClass
		case h.Count == 0:
			c.why = NotYet
		default:
			c.fires = true
		}
		all = append(all, c)
	}
	return all
}

func (a *Alerts) silences(s *Snapshot) []*condition {
	var all []*condition
	for i := range s.Sources {
		src := &s.Sources[i]
		k := s.Contract.Contexts[src.Kind]
		if k == nil || k.MaxSilence == 0 {
			continue
		}
		c := &condition{id: id(SourceSilent, src.Kind, src.Key), name: SourceSilent, owner: k.Owner, fires: true, group: id(SourceSilent, src.Kind),
			labels: map[string]string{"kind": src.Kind, "key": src.Key}, evidence: src.Evidence, open: src.Open, more: src.More, rests: append([]string{}, src.Rests...),
			rule: fmt.Sprintf("no sign of life for longer than %s", span(k.MaxSilence))}
		name := src.Kind + "/" + src.Key
		if src.Key == "" {
			c.id, c.group, name = c.group, "", "the sources of kind "+src.Kind
			delete(c.labels, "key")
		}
		if src.HasLife {
			c.what = fmt.Sprintf("Nothing has been heard of %s since %s; max_silence is %s.", name, src.Life, span(k.MaxSilence))
		} else {
			c.what = fmt.Sprintf("Nothing has ever been heard of %s; max_silence is %s.", name, span(k.MaxSilence))
		}
		if objectives := dependents(s.Contract, src.Kind); len(objectives) > 0 {
			c.severity = slo.Page
			c.rule += "; objectives that depend on it: " + strings.Join(objectives, ", ")
		}
		c.causes = []Share{{Cause: freshness.SourceSilent.String(), Owner: k.Owner, Parts: 1}}
		all = append(all, c)
	}
	return all
}

// dependents returns the names of the objectives whose workflows are judged by items of a kind, or require one. An objective of no class counts
// decisions of all classes, so it depends on what any of them is judged by.
func dependents(f *slo.File, kind string) []string {
	var names []string
	for i := range f.SLOs {
		o := &f.SLOs[i]
		classes := f.Contract().Classes[o.Workflow]
		counted := []string{o.Class}
		switch {
		case o.Class == "":
			counted = slices.Collect(maps.Keys(classes))
		case classes[o.Class] == nil:
			counted[0] = ""
		}
		if slices.ContainsFunc(counted, func(class string) bool { return judgedBy(classes[class], kind) }) {
			names = append(names, o.Name)
		}
	}
	return names
}

// judgedBy says whether decisions are judged by items of a kind, or require one.
func judgedBy(rules *freshness.Rules, kind string) bool {
	if rules == nil {
		return false
	}
	bounds, named := rules.Kinds[kind]
	if !named {
		bounds = rules.Kinds["*"]
	}
	return bounds.Judged || slices.Contains(rules.Require, kind)
}

// fold lets one condition stand for the members of a group where there are too many of them, or where one stood for them before and
// not all is over.
func (a *Alerts) fold(all []*condition, grouped map[string]bool) []*condition {
	members := map[string][]*condition{}
	for _, c := range all {
		if c.group != "" && c.fires {
			members[c.group] = append(members[c.group], c)
		}
	}
	for _, g := range slices.Sorted(maps.Keys(members)) {
		row := a.rows[g]
		if n := len(members[g]); n > a.cfg.Group || row != nil && row.Status == Firing && row.Annotations["grouped"] != "" {
			grouped[g] = true
		}
	}
	if len(grouped) == 0 {
		return all
	}
	var out []*condition
	for _, c := range all {
		if !grouped[c.group] && !grouped[c.id] {
			out = append(out, c)
		}
	}
	for _, g := range slices.Sorted(maps.Keys(grouped)) {
		if len(members[g]) > 0 {
			out = append(out, merge(g, members[g]))
		}
	}
	return out
}

// merge makes one condition of the members of a group.
func merge(group string, members []*condition) *condition {
	slices.SortFunc(members, func(x, y *condition) int { return cmp.Or(-cmp.Compare(x.open, y.open), strings.Compare(x.id, y.id)) })
	c := *members[0]
	c.id, c.group, c.open, c.rests, c.evidence, c.causes, c.workflows = group, "", 0, []string{}, nil, nil, nil
	c.labels = maps.Clone(c.labels)
	delete(c.labels, "key")
	delete(c.labels, "seq")
	shares := map[[2]string]*Share{}
	var examples []string
	for _, m := range members {
		c.open += m.open
		c.more = c.more || m.more
		c.severity = max(c.severity, m.severity)
		c.rests = append(c.rests, m.rests...)
		if len(c.evidence) < mostEvidence {
			c.evidence = append(c.evidence, m.evidence[:min(1, len(m.evidence))]...)
		}
		if len(examples) < 5 {
			examples = append(examples, m.labels["key"])
			c.workflows = append(c.workflows, m.workflows[:min(1, len(m.workflows))]...)
		}
		for _, s := range m.causes {
			k := [2]string{s.Cause, s.Owner}
			if shares[k] == nil {
				shares[k] = &Share{Cause: s.Cause, Owner: s.Owner}
			}
			shares[k].Parts += s.Parts
		}
	}
	for _, s := range shares {
		c.causes = append(c.causes, *s)
	}
	sortShares(c.causes)
	if o := largest(c.causes).Owner; o != "" && c.name == StaleContextHeld {
		c.owner = o
	}
	c.workflows = slices.Compact(c.workflows)
	slices.Sort(c.rests)
	c.rests = slices.Compact(c.rests)
	c.members = len(members)
	such := strings.Join(examples, ", ")
	if c.name == SourceSilent {
		c.what = fmt.Sprintf("%d sources of kind %s are silent, such as %s.", len(members), c.labels["kind"], such)
	} else {
		c.what = fmt.Sprintf("%d stale versions of kind %s are held by open workflows of type %s, such as %s.", len(members), c.labels["kind"], c.labels["workflow_type"], such)
	}
	return &c
}

func sortShares(s []Share) {
	slices.SortFunc(s, func(x, y Share) int {
		return cmp.Or(-cmp.Compare(x.Parts, y.Parts), strings.Compare(x.Cause, y.Cause), strings.Compare(x.Owner, y.Owner))
	})
}
