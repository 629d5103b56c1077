package query

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/query/auth"
	"github.com/freshet-io/freshet/query/check"
)

// summary is a workflow in a list.
type summary struct {
	Workflow string      `json:"workflow"`
	Type     *string     `json:"workflow_type"`
	State    string      `json:"state"`
	Verdict  string      `json:"verdict"`
	Reasons  []string    `json:"reasons"`
	Cause    *string     `json:"cause"` // of what is stale
	Owner    *string     `json:"owner"` // of the cause
	Items    int         `json:"items"`
	Uses     int         `json:"decisions"`
	First    event.Time  `json:"first_event_at"`
	Last     event.Time  `json:"last_event_at"`
	Ended    *event.Time `json:"ended_at"`
}

// workflowStates are the states a list can be asked for.
func workflowStates() []string { return []string{"open", "ended", "abandoned", "seen"} }

// stateOf says how far a workflow has come: seen before its start, open, ended, or without an event for too long.
func stateOf(w *freshness.Workflow) string {
	switch {
	case w.Over.Set:
		return "ended"
	case w.Abandoned:
		return "abandoned"
	case w.Open():
		return "open"
	}
	return "seen"
}

// serveWorkflows lists the workflows of this instance by partition and id.
func (s *Server) serveWorkflows(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	e := s.engineOr(w)
	if e == nil {
		return
	}
	p := ReadParameters(r, "state", "verdict", "type", "limit", "cursor")
	l := listing{gathering: gather(s, e, r, c, p), now: s.Now(), kind: p.Get("type"),
		state: p.OneOf("state", workflowStates()...), verdict: p.OneOf("verdict", "fresh", "stale", "unknown")}
	from := p.cursor(e.Rows.Partitions())
	if p.Refused(w) {
		return
	}
	if err := l.run(from); err != nil {
		s.failed(w, err)
		return
	}
	said := map[string]any{"workflows": l.found, "next": l.next, "partitions": l.partitions()}
	s.List(w, r, said, said)
}

// listing is a page of workflows that is being put together.
type listing struct {
	gathering
	state, verdict, kind string
	now                  event.Time
	v                    freshness.Verdict
}

// run looks at rows from a place on until the page is full, or enough rows have been looked at: then it ends where it has come to.
func (l *listing) run(from *cursor) error {
	looked := 0
	return l.gather("workflows", from, func(p int32, after []byte) error {
		first := ""
		if after != nil {
			first = string(after) + "\x00"
		}
		return l.Rows.Scan(p, first, func(w *freshness.Workflow) bool {
			l.add(w)
			if looked++; looked >= scanLimit || len(l.found) >= l.limit {
				l.next = &cursor{partition: p, at: []byte(w.ID)}
			}
			return l.next == nil
		})
	})
}

// add adds a workflow to the page if it is one that was asked for.
func (l *listing) add(w *freshness.Workflow) {
	state := stateOf(w)
	if l.state != "" && state != l.state || l.kind != "" && w.Type.Name != l.kind || !l.client.Sees(w.Type.Name) {
		return
	}
	w.JudgeAt(l.now, "", l.Sources, l.Contracts.At(l.now), &l.v)
	if l.verdict != "" && l.v.Kind.String() != l.verdict {
		return
	}
	one := summary{
		Workflow: w.ID, Type: nameOrNull(w.Type.Name), State: state, Verdict: l.v.Kind.String(), Reasons: l.v.Reasons.Names(),
		Items: len(w.Items), Uses: len(w.Uses), First: w.First, Last: w.Last,
	}
	if l.v.Cause != freshness.NoCause {
		cause := l.v.Cause.String()
		one.Cause, one.Owner = &cause, nameOrNull(l.v.Owner)
	}
	if w.Over.Set {
		one.Ended = &w.Over.Time
	}
	l.found = append(l.found, one)
}

// held is what a workflow has of an item.
type held struct {
	Kind     string      `json:"kind"`
	Key      string      `json:"key"`
	Version  *string     `json:"version"`
	Seq      *int64      `json:"seq"`
	LoadedAt *event.Time `json:"loaded_at"`
	At       *place      `json:"at"`
	Loads    int         `json:"loads"`
	Dropped  *event.Time `json:"dropped_at"`
}

func heldOf(w *freshness.Workflow) []held {
	all := make([]held, 0, len(w.Items))
	for i := range w.Items {
		h := &w.Items[i]
		one := held{Kind: h.Kind, Key: h.Key, Loads: len(h.Loads)}
		if n := len(h.Loads); n > 0 {
			l := &h.Loads[n-1]
			at := placeOf(w.TopicOf(l.At))
			one.Version, one.LoadedAt, one.At = nameOrNull(l.Ref.Version), &l.Time, &at
			if l.Ref.HasSeq {
				one.Seq = &l.Ref.Seq
			}
		}
		if n := len(h.Drops); n > 0 && (one.LoadedAt == nil || h.Drops[n-1].Time >= *one.LoadedAt) {
			one.Dropped = &h.Drops[n-1].Time
		}
		all = append(all, one)
	}
	return all
}

// decided is a use in the answer about its workflow.
type decided struct {
	DecisionID string      `json:"decision_id"`
	Use        string      `json:"use"`
	Class      *string     `json:"class"`
	UsedAt     event.Time  `json:"used_at"`
	Verdict    *string     `json:"verdict"` // null: not final
	Revision   int32       `json:"revision"`
	JudgedAt   *event.Time `json:"judged_at"`
	At         place       `json:"at"`
}

func decisionsOf(w *freshness.Workflow) []decided {
	uses := w.Uses
	if len(uses) > longestPage {
		uses = uses[len(uses)-longestPage:]
	}
	all := make([]decided, 0, len(uses))
	for i := range uses {
		u := &uses[i]
		d := decided{DecisionID: u.DecisionID, Use: u.Kind.String(), UsedAt: u.Time, Revision: u.Said.Revision, At: placeOf(w.TopicOf(u.At))}
		if u.HasClass {
			d.Class = &u.Class
		} else if p := w.Use(u.DecisionID, freshness.Proposed); p != nil && p.HasClass {
			d.Class = &p.Class // as it is judged
		}
		if u.Said.Revision > 0 {
			verdict := u.Said.Verdict.String()
			d.Verdict, d.JudgedAt = &verdict, &u.Said.JudgedAt
		}
		all = append(all, d)
	}
	return all
}

// serveWorkflow says all that is known of a workflow; "live" is the answer to a check of it.
func (s *Server) serveWorkflow(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	if ReadParameters(r).Refused(w) {
		return
	}
	e, row := s.workflow(w, r, c, r.PathValue("id"))
	if row == nil {
		return
	}
	x := s.borrow()
	defer s.giveBack(x)
	if err := s.ask(r, &check.Request{Workflow: row.ID, MaxLag: check.DefaultLag}, &x.answer); err != nil {
		s.failed(w, err)
		return
	}
	live := append(x.answer.Append([]byte{'{'}, s.key), '}')
	open := map[string]any{
		"workflow": row.ID, "workflow_type": nameOrNull(row.Type.Name), "state": stateOf(row), "events": len(row.Lines),
		"first_event_at": row.First, "last_event_at": row.Last, "started_at": markTime(row.Begun), "ended_at": markTime(row.Over), "ended_by": nil,
		"items": heldOf(row), "live": json.RawMessage(live), "decisions": decisionsOf(row), "decisions_total": len(row.Uses),
		"detections": detectionsOf(row), "left_out": leftOutOf(&row.Cut), "partition": e.Rows.Partition(row.ID),
	}
	if row.Over.Set {
		open["ended_by"] = row.Over.Type.String()
	}
	s.Answer(w, r, open)
}

// detection is a stale item that an open workflow holds.
type detection struct {
	Kind       string      `json:"kind"`
	Key        string      `json:"key"`
	Version    *string     `json:"version"`
	Seq        *int64      `json:"seq"`
	Bound      string      `json:"bound"`
	Since      event.Time  `json:"since"`
	DetectedAt *event.Time `json:"detected_at"` // null: not said yet
}

// detectionsOf returns the detections that are open.
func detectionsOf(w *freshness.Workflow) []detection {
	open := []detection{}
	for i := range w.Detections {
		d := &w.Detections[i]
		if !d.Open() {
			continue
		}
		one := detection{Kind: d.Kind, Key: d.Key, Version: nameOrNull(d.Version), Bound: d.Bound.String(), Since: d.Since}
		if d.HasSeq {
			one.Seq = &d.Seq
		}
		if d.Revision > 0 {
			one.DetectedAt = &d.DetectedAt
		}
		open = append(open, one)
	}
	return open
}

// leftOut is what limits have left out of a workflow: how many of each, and up to when.
type leftOut struct {
	Loads        int64       `json:"loads"`
	Uses         int64       `json:"uses"`
	Steps        int64       `json:"steps"`
	Events       int64       `json:"events"`
	Items        int64       `json:"items"`
	Refs         int64       `json:"refs"`
	LoadsThrough *event.Time `json:"loads_through"`
	UsesThrough  *event.Time `json:"uses_through"`
	StepsThrough *event.Time `json:"steps_through"`
}

// leftOutOf returns nil if nothing is.
func leftOutOf(c *freshness.Cut) *leftOut {
	if c.Loads|c.Uses|c.Steps|c.Lines|c.Items|c.Refs == 0 {
		return nil
	}
	through := func(n int64, t event.Time) *event.Time {
		if n == 0 {
			return nil
		}
		return &t
	}
	return &leftOut{
		Loads: c.Loads, Uses: c.Uses, Steps: c.Steps, Events: c.Lines, Items: c.Items, Refs: c.Refs,
		LoadsThrough: through(c.Items, c.LoadsThrough), UsesThrough: through(c.Uses, c.UsesThrough), StepsThrough: through(c.Steps, c.StepsThrough),
	}
}

func markTime(m freshness.Mark) *event.Time {
	if !m.Set {
		return nil
	}
	return &m.Time
}

// serveTimeline lists the events of a workflow in the order of event time, as their records have them.
func (s *Server) serveTimeline(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	e, row := s.workflow(w, r, c, r.PathValue("id"))
	if row == nil {
		return
	}
	p := ReadParameters(r, "limit", "cursor")
	limit, from := p.limit(), p.cursor(e.Rows.Partitions())
	if p.Refused(w) {
		return
	}
	first := 0
	if from != nil {
		first = afterLine(row, from.at)
	}
	lines := row.Lines[first:]
	var next *cursor
	if len(lines) > limit {
		lines = lines[:limit]
		next = &cursor{partition: e.Rows.Partition(row.ID), at: lineKey(&lines[limit-1])}
	}
	events := make([]fact, len(lines))
	for i := range lines {
		events[i] = fact{Time: lines[i].Time, Type: lines[i].Type.String(), At: placeOf(row.TopicOf(lines[i].At))}
	}
	ctx, cancel := context.WithTimeout(r.Context(), explainTime)
	defer cancel()
	if err := s.facts(ctx, e.Records, events); err != nil {
		s.failed(w, err)
		return
	}
	gone := 0
	for i := range events {
		if events[i].Gone {
			gone++
		}
	}
	said := map[string]any{
		"workflow": row.ID, "events": events, "total": len(row.Lines), "next": next,
		"completeness": map[string]any{"gone": gone, "left_out": row.Cut.Lines},
	}
	s.List(w, r, said, said)
}

// lineKey names a line so that the next page begins behind it, whatever comes before it meanwhile.
func lineKey(l *freshness.Line) []byte {
	b := make([]byte, 0, 20)
	for _, n := range []uint64{uint64(l.Time) ^ 1<<63, l.Ident} {
		for shift := 56; shift >= 0; shift -= 8 {
			b = append(b, byte(n>>shift))
		}
	}
	return append(b, byte(l.Digest>>24), byte(l.Digest>>16), byte(l.Digest>>8), byte(l.Digest))
}

// afterLine returns where the first line behind a key stands.
func afterLine(w *freshness.Workflow, key []byte) int {
	i, found := slices.BinarySearchFunc(w.Lines, key, func(l freshness.Line, key []byte) int { return slices.Compare(lineKey(&l), key) })
	if found {
		i++
	}
	return i
}

// sortedFacts returns the order of facts by event time, then by where they lie.
func sortedFacts(facts []fact) []int {
	order := make([]int, len(facts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(facts[a].Time - facts[b].Time) })
	return order
}
