package alerts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Page is what templates are given.
type Page struct {
	Name, Status, Severity, Owner string
	Owners                        []string
	What                          string // is the matter, in a sentence
	Users                         string // what they feel
	Shares                        []PageShare
	Decisions, Open               int64    // blast radius: decisions taken, and open workflows
	More                          bool     // there may be more open workflows
	Workflows                     []string // some of them
	Evidence                      []PageEvidence
	Runbook, Dashboard, Explain   string
	TraceID                       string
	Labels                        map[string]string
	Starts                        event.Time
}

// PageShare is a cause's share as a page shows it.
type PageShare struct {
	Cause, Owner, Percent string
}

// PageEvidence is a piece of evidence with the page that explains it.
type PageEvidence struct {
	Evidence
	Explain string
}

// Text writes pages.
type Text struct{ t *template.Template }

// defaultText has the templates that hold where a file of templates does not define them anew.
const defaultText = `
{{- define "summary" -}}
{{ .What }}
{{- end -}}

{{- define "description" -}}
{{ .What }}
{{ with .Users }}
Users: {{ . }}
{{ end }}
{{- with .Shares }}
Causes:{{ range . }}
  {{ .Percent }} {{ .Cause }}{{ with .Owner }} ({{ . }}){{ end }}{{ end }}
{{ end }}
{{- with .Owner }}
Owner: {{ . }}{{ range $i, $o := $.Owners }}{{ if $i }}, also told: {{ $o }}{{ end }}{{ end }}
{{ end }}
{{- if or .Decisions .Open }}
Reach: {{ with .Decisions }}{{ count . "bad decision" }}{{ end }}{{ if and .Decisions .Open }}, {{ end }}{{ with .Open }}{{ if $.More }}at least {{ end }}{{ count . "open workflow" }}{{ end }}{{ with .Workflows }}, such as {{ range $i, $w := . }}{{ if $i }}, {{ end }}{{ $w }}{{ end }}{{ end }}
{{ end }}
{{- with .Evidence }}
Evidence:{{ range . }}
  {{ .Topic }}/{{ .Partition }}@{{ .Offset }}{{ with .Workflow }} workflow {{ . }}{{ end }}{{ with .DecisionID }} decision {{ . }}{{ end }}{{ with .Explain }} {{ . }}{{ end }}{{ end }}
{{ end }}
{{- with .TraceID }}
Trace: {{ . }}
{{- end }}
{{- with .Runbook }}
Runbook: {{ . }}
{{- end }}
{{- with .Dashboard }}
Dashboard: {{ . }}
{{- end }}
{{- end -}}
`

// NewText returns the usual text, with the templates "summary" and "description" replaced by those that override defines. An empty
// override changes nothing.
func NewText(override string) (*Text, error) {
	t := template.Must(template.New("page").Funcs(template.FuncMap{"count": count}).Option("missingkey=zero").Parse(defaultText))
	if override != "" {
		if _, err := t.Parse(override); err != nil {
			return nil, fmt.Errorf("templates of alerts: %w", err)
		}
	}
	for _, name := range []string{"summary", "description"} { // so that a template that cannot work is refused before it is needed
		if _, err := render(t, name, &Page{Labels: map[string]string{}, Evidence: make([]PageEvidence, 1), Shares: make([]PageShare, 1)}); err != nil {
			return nil, err
		}
	}
	return &Text{t}, nil
}

// mostText bounds what a template writes.
const mostText = 8 << 10

func render(t *template.Template, name string, p *Page) (string, error) {
	var b strings.Builder
	if err := t.ExecuteTemplate(&b, name, p); err != nil {
		return "", fmt.Errorf("template %q of alerts: %w", name, err)
	}
	text := strings.TrimSpace(b.String())
	if len(text) > mostText {
		text = strings.ToValidUTF8(text[:mostText], "") + "…"
	}
	return text, nil
}

// text renders a page. A template that fails on this page must not keep the page back: then it says what is the matter, and why no more.
func (t *Text) text(name string, p *Page) string {
	text, err := render(t.t, name, p)
	if err != nil {
		return p.What + " (" + err.Error() + ")"
	}
	return text
}

// describe fills in what a row says of a condition.
func (a *Alerts) describe(s *Snapshot, row *Row, c *condition) {
	row.refreshed = s.Now
	row.Causes = slices.Clone(c.causes)
	sortShares(row.Causes)
	row.Causes = row.Causes[:min(len(row.Causes), mostShares)]
	row.Evidence = slices.Clone(c.evidence[:min(len(c.evidence), mostEvidence)])
	row.Rests = c.rests
	row.Runbook, row.Dashboard = c.runbook, a.cfg.DashboardURL
	if row.Runbook == "" {
		row.Runbook = a.cfg.runbook(c.name)
	}
	p := a.page(row, c)
	row.Annotations = map[string]string{"summary": a.text.text("summary", p), "description": a.text.text("description", p), "rule": c.rule}
	put := func(key, value string) {
		if value != "" {
			row.Annotations[key] = value
		}
	}
	put("users", p.Users)
	put("explain_url", p.Explain)
	put("trace_id", p.TraceID)
	if c.decisions > 0 {
		put("decisions", strconv.FormatInt(c.decisions, 10))
	}
	if c.open > 0 {
		put("open_workflows", strconv.FormatInt(c.open, 10))
	}
	if c.members > 0 {
		put("grouped", strconv.Itoa(c.members))
	}
}

func (a *Alerts) page(row *Row, c *condition) *Page {
	p := &Page{Name: row.Name, Status: row.Status.String(), Severity: row.Severity.String(), Owner: row.Owner, Owners: row.Owners, What: c.what,
		Decisions: c.decisions, Open: c.open, More: c.more, Workflows: c.workflows[:min(len(c.workflows), 5)], Runbook: row.Runbook, Dashboard: row.Dashboard,
		Labels: row.Labels, Starts: row.Starts, Users: users(c)}
	total := whole(row.Causes)
	for _, s := range row.Causes {
		p.Shares = append(p.Shares, PageShare{Cause: s.Cause, Owner: s.Owner, Percent: percent(ratio(s.Parts, total))})
	}
	for i := range row.Evidence {
		e := PageEvidence{Evidence: row.Evidence[i], Explain: a.cfg.explain(&row.Evidence[i])}
		p.Evidence = append(p.Evidence, e)
		if p.Explain == "" {
			p.Explain = e.Explain
		}
		if p.TraceID == "" {
			p.TraceID = e.TraceID
		}
	}
	return p
}

// users says what users feel.
func users(c *condition) string {
	switch c.name {
	case EngineBlind:
		return "Checks answer unknown, so agents that ask wait or abstain; whether the others act on stale context cannot be said."
	case SourceSilent:
		return "Decisions that rest on it cannot be called fresh any more: checks answer unknown, and what has changed in the meantime reaches no agent."
	case Watchdog:
		return ""
	}
	felt := "Agents act on context that is no longer true: "
	if c.name == StaleContextHeld {
		felt = "Agents are about to act on context that is no longer true: "
	}
	switch largest(c.causes).Cause {
	case freshness.SourceLate.String():
		return felt + "its owner had changed it and not published the change yet."
	case freshness.ConsumerLag.String():
		return felt + "the change had been published, and the index, cache or feature store did not serve it yet."
	case freshness.ServingStale.String():
		return felt + "the new version was there, and the old one was served all the same."
	case freshness.HoldApproval.String():
		return felt + "it changed while they waited for an approval, and what was approved is no longer what is executed upon."
	case freshness.HoldTool.String():
		return felt + "it changed while they waited for a tool."
	case freshness.HoldRetry.String():
		return felt + "it changed while they waited to try a tool again."
	case freshness.HoldWaiting.String():
		return felt + "it changed while their task was waiting."
	case freshness.HoldOther.String():
		return felt + "it changed after they had loaded it, and they did not load it again."
	case freshness.SourceSilent.String():
		return "Agents act on context that nobody has confirmed: its source is silent."
	}
	return "Agents act on context of which it cannot be said that it is true."
}

// ---- numbers for people

func span(d freshness.Duration) string {
	if d < 0 || d%second != 0 {
		return (time.Duration(d) * time.Millisecond).String()
	}
	var b strings.Builder
	for _, u := range []struct {
		of   freshness.Duration
		name string
	}{{24 * hour, "d"}, {hour, "h"}, {minute, "m"}, {second, "s"}} {
		if n := d / u.of; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.of
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

func percent(x float64) string { return strconv.FormatFloat(x*100, 'g', 5, 64) + "%" }

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(n, 10) + " " + noun + "s"
}

func have(n int64) string {
	if n == 1 {
		return "has"
	}
	return "have"
}
