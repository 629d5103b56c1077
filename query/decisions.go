package query

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/freshet-io/freshet/checkid"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/query/auth"
	"github.com/freshet-io/freshet/query/problem"
)

// Limits of an explanation.
const (
	explainFacts = 500 // events that are read back
	explainTime  = 10 * time.Second
)

// explanation is why a decision has its verdicts.
type explanation struct {
	Workflow     string            `json:"workflow"`
	WorkflowType *string           `json:"workflow_type"`
	DecisionID   string            `json:"decision_id"`
	Uses         []usage           `json:"uses"`
	Tools        []fact            `json:"tools"`
	Approvals    []fact            `json:"approvals"`
	Override     *fact             `json:"override"`
	Evidence     []fact            `json:"evidence"`
	Revisions    []json.RawMessage `json:"revisions"`
	Completeness completeness      `json:"completeness"`
}

// usage is one use of a decision: the data of its verdict record as it would be written now, and how its items stand now.
type usage struct {
	Verdict json.RawMessage `json:"verdict"`
	Final   bool            `json:"final"`
	CheckID *string         `json:"check_id"`
	By      []superseding   `json:"superseded_by"`
	Now     now             `json:"now"`
}

// superseding is the version that came into force first of those newer than the one an item was used in, by the instant of the use.
type superseding struct {
	Kind        string      `json:"kind"`
	Key         string      `json:"key"`
	Used        *int64      `json:"used_seq"`
	Version     *version    `json:"version"`
	AvailableAt *event.Time `json:"available_at"` // when it, or a later one, began to be served; null: nobody has said so
	AvailableBy *place      `json:"available_by"` // of the record that says so; null: there is none, or a release of before has not kept it
}

// now is how the items of a use stand at present.
type now struct {
	At      event.Time      `json:"at"`
	Verdict string          `json:"verdict"`
	Reasons []string        `json:"reasons"`
	Items   json.RawMessage `json:"items"`
}

// completeness says what of the evidence is no longer there.
type completeness struct {
	Records struct {
		Cited int     `json:"cited"`
		Read  int     `json:"read"`
		Gone  []place `json:"gone"` // by retention
		Left  int     `json:"left"` // more than are read back for one answer
	} `json:"records"`
	Revisions struct {
		Said  int32 `json:"said"` // of both uses
		Found int   `json:"found"`
		Whole bool  `json:"whole"` // the topic was searched to its end
	} `json:"revisions"`
	Row struct { // what limits have left out of what is known of the workflow
		Loads  int64 `json:"loads"`
		Uses   int64 `json:"uses"`
		Steps  int64 `json:"steps"`
		Events int64 `json:"events"`
		Items  int64 `json:"items"`
	} `json:"row"`
}

// serveDecision explains a decision.
func (s *Server) serveDecision(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	if ReadParameters(r).Refused(w) {
		return
	}
	e, row := s.workflow(w, r, c, r.PathValue("workflow"))
	if row == nil {
		return
	}
	id := r.PathValue("decision")
	var uses []*freshness.Use
	for _, kind := range []freshness.UseKind{freshness.Proposed, freshness.Executed} {
		if u := row.Use(id, kind); u != nil {
			uses = append(uses, u)
		}
	}
	if len(uses) == 0 {
		problem.NotFound.Write(w, "the workflow has no such decision, or a limit has left it out", "")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), explainTime)
	defer cancel()
	x := explaining{Engine: e, row: row, id: id, at: s.Now(), key: s.key, facts: map[freshness.Position]int{}}
	x.WorkflowType, x.Workflow, x.DecisionID = nameOrNull(row.Type.Name), row.ID, id
	for _, u := range uses {
		x.use(u)
	}
	x.events(uses)
	if err := x.read(ctx, s); err != nil {
		s.failed(w, err)
		return
	}
	x.classify(uses)
	if err := x.revisions(ctx, uses); err != nil {
		s.failed(w, err)
		return
	}
	s.Answer(w, r, &x.explanation)
}

// workflow returns the row of a workflow; it has answered if there is none that the client may see here.
func (s *Server) workflow(w http.ResponseWriter, r *http.Request, c *auth.Client, id string) (*Engine, *freshness.Workflow) {
	e := s.engineOr(w)
	if e == nil {
		return nil, nil
	}
	p, ok := e.here(w, id)
	if !ok {
		return nil, nil
	}
	row, err := e.Rows.Workflow(p, id)
	switch {
	case err != nil:
		problem.NotHere.Write(w, "the workflow's partition has just gone", "")
		return nil, nil
	case row == nil:
		problem.NotFound.Write(w, "nothing is known of a workflow of this id", "")
		return nil, nil
	case !c.Sees(row.Type.Name):
		s.Foreign(w, r, c)
		return nil, nil
	}
	return e, row
}

func nameOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// explaining is an explanation that is being put together.
type explaining struct {
	explanation
	*Engine
	row   *freshness.Workflow
	id    string
	at    event.Time // now
	key   []byte     // that signs checks
	all   []fact
	facts map[freshness.Position]int // where in all
	roles map[int]event.Type         // facts that are steps of the workflow
}

// use adds what is said of a use: at its instant, and now.
func (x *explaining) use(u *freshness.Use) {
	var v, present freshness.Verdict
	contract := x.Contracts.At(u.Time)
	x.row.Judge(u, x.Sources, contract, &v)
	q := freshness.Question{At: x.at, Class: v.Class, HasClass: v.HasClass, HasItems: true}
	for i := range v.Items {
		it := &v.Items[i]
		q.Items = append(q.Items, event.Ref{Kind: it.Kind, Key: it.Key, Version: it.Version, Seq: it.Seq, HasSeq: it.HasSeq, AsOf: it.AsOf, HasAsOf: it.HasAsOf})
	}
	x.row.Ask(&q, x.Sources, x.Contracts.At(x.at), &present)
	act := checkid.ActOf(x.key, x.row, u, &v)
	items := []byte{'['}
	for i := range present.Items {
		if i > 0 {
			items = append(items, ',')
		}
		items = freshness.AppendItemVerdict(items, x.row, &present.Items[i], present.Kind == freshness.IsStale)
	}
	x.Uses = append(x.Uses, usage{
		Verdict: freshness.AppendVerdict(nil, x.row, u, &v, act.Text()), Final: u.Said.Revision > 0, CheckID: nameOrNull(u.CheckID), By: x.superseding(contract, &v),
		Now: now{At: x.at, Verdict: present.Kind.String(), Reasons: present.Reasons.Names(), Items: append(items, ']')},
	})
	x.cite(u.Time, u.Kind.String(), x.row.TopicOf(u.At))
	for i := range v.Items {
		it := &v.Items[i]
		if it.HasLoad {
			x.cite(it.LoadedAt, event.ContextLoaded.String(), x.row.TopicOf(it.LoadAt))
		}
		if item := x.Sources.Item(it.Kind, it.Key); it.HasSeq && item.Len() > 0 {
			x.version(item.Version(it.Seq))
		}
		x.version(it.SupersededBy())
		x.version(it.Current)
	}
	for i := range present.Items {
		x.version(present.Items[i].Current)
	}
}

// superseding returns what superseded the items of a use, and since when that was served where the contract says that this is reported.
func (x *explaining) superseding(c *freshness.Contract, v *freshness.Verdict) []superseding {
	all := []superseding{}
	for i := range v.Items {
		it := &v.Items[i]
		by := it.SupersededBy()
		if by == nil {
			continue
		}
		one := superseding{Kind: it.Kind, Key: it.Key, Version: versionOf(by)}
		if it.HasSeq {
			one.Used = &it.Seq
		}
		if said := c.Contexts[it.Kind]; said != nil && said.Reported {
			if a, ok := x.Sources.Item(it.Kind, it.Key).Served(by.Seq); ok {
				one.AvailableAt = &a.Time
				if a.At.Topic != "" {
					at := placeOf(a.At)
					one.AvailableBy = &at
					x.cite(a.Time, event.SourceAvailable.String(), a.At)
				}
			}
		}
		all = append(all, one)
	}
	return all
}

func (x *explaining) version(v *freshness.Version) {
	if v != nil {
		x.cite(v.Time, event.SourceUpdated.String(), v.At)
	}
}

// cite adds a record to the evidence, once, and returns where it stands.
func (x *explaining) cite(t event.Time, kind string, at freshness.Position) int {
	if i, known := x.facts[at]; known {
		return i
	}
	x.facts[at] = len(x.all)
	x.all = append(x.all, fact{Time: t, Type: kind, At: placeOf(at)})
	return len(x.all) - 1
}

// events cites the approvals, overrides and tools around the decision: those up to its last use, and what was said of it later.
func (x *explaining) events(uses []*freshness.Use) {
	x.roles = map[int]event.Type{}
	last := uses[len(uses)-1].Time
	for i := len(x.row.Lines) - 1; i >= 0; i-- {
		l := &x.row.Lines[i]
		switch l.Type {
		case event.ToolCalled, event.ToolResult, event.ToolRetryScheduled, event.ApprovalRequested, event.ApprovalGranted, event.ApprovalDenied:
			if l.Time > last {
				continue
			}
		case event.ActionApproved, event.ActionRejected, event.ActionOverridden, event.CompensationTriggered:
		default:
			continue
		}
		if len(x.all) >= explainFacts {
			x.Completeness.Records.Left++
			continue
		}
		x.roles[x.cite(l.Time, l.Type.String(), x.row.TopicOf(l.At))] = l.Type
	}
}

// read reads the cited records back.
func (x *explaining) read(ctx context.Context, s *Server) error {
	if err := s.facts(ctx, x.Records, x.all); err != nil {
		return err
	}
	n := &x.Completeness.Records
	n.Cited, n.Gone = len(x.all)+n.Left, []place{}
	for i := range x.all {
		if x.all[i].Gone {
			n.Gone = append(n.Gone, x.all[i].At)
		} else {
			n.Read++
		}
	}
	cut := &x.row.Cut
	x.Completeness.Row.Loads, x.Completeness.Row.Uses, x.Completeness.Row.Steps = cut.Loads, cut.Uses, cut.Steps
	x.Completeness.Row.Events, x.Completeness.Row.Items = cut.Lines, cut.Items
	return nil
}

// classify puts each fact where it belongs, in the order of event time.
func (x *explaining) classify([]*freshness.Use) {
	x.Tools, x.Approvals, x.Evidence = []fact{}, []fact{}, []fact{}
	order := sortedFacts(x.all)
	for _, i := range order {
		f := x.all[i]
		kind, step := x.roles[i]
		ours := f.Gone || f.event.DecisionID == "" || f.event.DecisionID == x.id
		switch {
		case !step:
			x.Evidence = append(x.Evidence, f)
		case kind == event.ToolCalled || kind == event.ToolResult || kind == event.ToolRetryScheduled:
			x.Tools = append(x.Tools, f)
		case !ours:
		case kind == event.ActionOverridden:
			x.Override = &f
		case kind == event.CompensationTriggered:
			x.Evidence = append(x.Evidence, f)
		default:
			x.Approvals = append(x.Approvals, f)
		}
	}
}

// revisions reads every revision of the decision's verdicts that is still there.
func (x *explaining) revisions(ctx context.Context, uses []*freshness.Use) error {
	x.Revisions = []json.RawMessage{}
	from, to := uses[0].Time, event.Time(0)
	for _, u := range uses {
		x.Completeness.Revisions.Said += u.Said.Revision
		from = min(from, u.Time)
		if u.Said.Revision > 0 {
			to = max(to, u.Said.JudgedAt)
		}
	}
	if x.Completeness.Revisions.Whole = to == 0; to == 0 {
		return nil
	}
	whole, err := x.Records.Verdicts(ctx, x.row.ID, from, to, func(data []byte) {
		var of struct {
			DecisionID string `json:"decision_id"`
		}
		if json.Unmarshal(data, &of) == nil && of.DecisionID == x.id {
			x.Revisions = append(x.Revisions, data)
		}
	})
	x.Completeness.Revisions.Found, x.Completeness.Revisions.Whole = len(x.Revisions), whole
	return err
}
