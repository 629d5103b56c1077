package backtest

import (
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/slo/budget"
)

// page is the whole report as one file without anything from elsewhere.
var page = template.Must(template.New("backtest").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Backtest of objectives</title>
<style>
:root { color-scheme: light dark; } body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; } th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884; vertical-align: top; }
.page { color: #d1495b; } .ticket { color: #b87a12; } svg { width: 100%; height: auto; }
</style>
<h1>What these objectives would have paged</h1>
<p>Contract {{.Contract}}, {{.Events}} events, {{.From}} to {{.To}}, evaluated every {{.Step}}. Verdicts are the last revisions: as after everything has been applied.</p>
{{.Drawing}}
<h2>Alerts</h2>
<table><tr><th>objective<th>severity<th>from<th>for<th>rule<th>burn rate, at most<th>bad uses when it began<th>whose
{{range .Alerts}}<tr><td>{{.SLO}}<td class="{{.Severity}}">{{.Severity}}<td>{{.From}}<td>{{.For}}<td>{{.Rule}}<td>{{.Burn}}<td>{{.Decisions}}<td>{{.Owner}}: {{.Causes}}
{{else}}<tr><td colspan="8">none
{{end}}</table>
`))

// Row is an alert as tables show it.
type Row struct {
	SLO       string  `json:"slo"`
	Severity  string  `json:"severity"`
	From      string  `json:"from"`
	To        string  `json:"to"`
	For       string  `json:"for"`
	Rule      string  `json:"rule"`
	Burn      float64 `json:"burn_rate"` // the greatest
	Decisions int64   `json:"decisions"` // bad uses of the short window when it began
	Owner     string  `json:"owner"`
	Causes    string  `json:"causes"`
}

// Rows returns the alerts of a report.
func (rep *Report) Rows() []Row {
	rows := make([]Row, 0, len(rep.Alerts))
	for i := range rep.Alerts {
		a := &rep.Alerts[i]
		rows = append(rows, Row{
			SLO: rep.SLO.Name, Severity: a.Severity.String(), From: a.From.String(), To: a.To.String(), For: a.To.Go().Sub(a.From.Go()).Round(time.Second).String(),
			Rule: fmt.Sprintf("%g over %s and %s", a.Rule.Burn, slo.FormatDuration(a.Rule.Long), slo.FormatDuration(a.Rule.Short)),
			Burn: a.Burn, Decisions: a.Decisions, Owner: rep.Whose(a), Causes: causes(a.Shares),
		})
	}
	return rows
}

// causes writes shares as people read them.
func causes(shares []budget.Share) string {
	var all int64
	for _, s := range shares {
		all += s.Parts
	}
	var said []string
	for _, s := range shares {
		said = append(said, fmt.Sprintf("%s %.0f%%", s.Cause, 100*float64(s.Parts)/float64(all)))
	}
	return strings.Join(said, ", ")
}

// Page writes the report as HTML.
func Page(w io.Writer, contract string, events int64, step string, reports []Report) error {
	var drawing strings.Builder
	if err := SVG(&drawing, reports); err != nil {
		return err
	}
	data := struct {
		Contract, From, To, Step string
		Events                   int64
		Drawing                  template.HTML
		Alerts                   []Row
	}{Contract: contract, Events: events, Step: step, Drawing: template.HTML(drawing.String())} //nolint:gosec // SVG escapes the names
	for i := range reports {
		data.From, data.To = reports[i].From.String(), reports[i].To.String()
		data.Alerts = append(data.Alerts, reports[i].Rows()...)
	}
	if err := page.Execute(w, data); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
