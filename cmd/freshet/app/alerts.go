package app

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/alerts/dispatch"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/query"
	"github.com/freshet-io/freshet/query/auth"
	"github.com/freshet-io/freshet/query/problem"
)

// alertRoutes are the routes of alerts.
func (a *App) alertRoutes() []query.Route {
	return []query.Route{
		{Pattern: "GET /v1/alerts", Scope: auth.Read, Handler: a.atEvaluator(a.serveAlerts)},
		{Pattern: "GET /v1/alerts/why", Scope: auth.Read, Handler: a.atEvaluator(a.serveWhy)},
		{Pattern: "POST /v1/alerts/test", Scope: auth.Admin, Handler: a.atEvaluator(a.serveTest)},
	}
}

const (
	evaluatorTime = 2 * time.Second  // for the evaluator to answer another instance
	testTime      = 45 * time.Second // for a test page to be delivered
)

// atEvaluator lets the instance answer that evaluates alerts. If that cannot be asked this one does, and says that it is not here.
func (a *App) atEvaluator(h query.Handler) query.Handler {
	return func(w http.ResponseWriter, r *http.Request, c *auth.Client) {
		select {
		case <-a.running:
			within := evaluatorTime
			if r.Method == http.MethodPost {
				within += testTime
			}
			if (a.alerts == nil || !a.alerts.Here()) && a.query.PassOn(w, r, c, a.evaluators, 0, within) {
				return
			}
		default:
		}
		h(w, r, c)
	}
}

// Alerts is the answer of GET /v1/alerts.
type Alerts struct {
	Alerts []Alert    `json:"alerts"`
	At     event.Time `json:"at"`
}

// Alert is the data of an alert's record, with who has been told.
type Alert struct {
	json.RawMessage
	Told []Told
}

// MarshalJSON writes the record with one member more.
func (a Alert) MarshalJSON() ([]byte, error) {
	told, err := json.Marshal(a.Told)
	if err != nil {
		return nil, err
	}
	b := slices.Clip(a.RawMessage[:len(a.RawMessage)-1])
	return append(append(append(b, `,"told":`...), told...), '}'), nil
}

// Told is who has acknowledged an alert where.
type Told struct {
	Target   string     `json:"target"`
	Owner    string     `json:"owner,omitempty"`
	Resolved bool       `json:"resolved"`
	At       event.Time `json:"at"`
}

// seesAlert says whether a client may see alerts about a type of workflow; "" is about none.
func seesAlert(c *auth.Client, workflowType string) bool {
	return workflowType == "" || c.Sees(workflowType)
}

func (a *App) serveAlerts(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	p := query.ReadParameters(r, "status")
	status := p.OneOf("status", "firing", "resolved")
	if p.Refused(w) || !a.evaluates(w) {
		return
	}
	rows, here := a.alerts.Rows()
	if !here {
		problem.NotHere.Write(w, "another instance evaluates alerts", "")
		return
	}
	out := Alerts{Alerts: []Alert{}, At: a.mono.Now()}
	for _, row := range rows {
		if status != "" && status != row.Status.String() || !seesAlert(c, row.Labels["workflow_type"]) {
			continue
		}
		one := Alert{RawMessage: row.JSON(), Told: []Told{}}
		for _, t := range row.Heard() {
			one.Told = append(one.Told, Told{Target: t.To, Owner: t.Owner, Resolved: t.Told.Resolved, At: t.Told.At})
		}
		out.Alerts = append(out.Alerts, one)
	}
	a.query.List(w, r, out, out.Alerts)
}

func (a *App) serveWhy(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	p := query.ReadParameters(r, "name")
	name := p.OneOf("name", alerts.Names()...)
	if name == "" {
		p.Fail("name must be one of the alerts' names: %v", alerts.Names())
	}
	if p.Refused(w) || !a.evaluates(w) {
		return
	}
	findings, here := a.alerts.Why(name)
	if !here {
		problem.NotHere.Write(w, "another instance evaluates alerts", "")
		return
	}
	findings = slices.DeleteFunc(findings, func(f alerts.Finding) bool { return !seesAlert(c, f.Type) })
	a.query.Answer(w, r, struct {
		Name     string           `json:"name"`
		Findings []alerts.Finding `json:"findings"`
	}{name, append([]alerts.Finding{}, findings...)})
}

func (a *App) serveTest(w http.ResponseWriter, r *http.Request, _ *auth.Client) {
	if !a.evaluates(w) {
		return
	}
	p := query.ReadParameters(r, "owner")
	owner := p.Get("owner")
	if a.owners()[owner] == nil {
		p.Fail("owner %q: the contract in force has no such owner", owner)
	}
	if p.Refused(w) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), testTime)
	defer cancel()
	a.query.Answer(w, r, struct {
		Owner   string            `json:"owner"`
		Results []dispatch.Result `json:"results"`
	}{owner, a.dispatcher.Test(ctx, owner)})
}

// evaluates says whether alerts are evaluated by this process at all.
func (a *App) evaluates(w http.ResponseWriter) bool {
	select {
	case <-a.running:
		if a.alerts != nil {
			return true
		}
	default:
	}
	problem.NotHere.Write(w, "this server does not evaluate alerts", "")
	return false
}
