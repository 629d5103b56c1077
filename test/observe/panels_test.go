package observe

import (
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/dashboards"
)

// choices are what Grafana puts for the variables of a query.
var choices = strings.NewReplacer("$__rate_interval", "30s", "$__range", "5m")

// asGrafana is the query as Grafana sends it with every variable on "All".
func asGrafana(d *dashboards.Dashboard, expr string) string {
	expr = choices.Replace(expr)
	for _, v := range d.Variables {
		expr = strings.ReplaceAll(expr, "$"+v.Name, ".*")
	}
	return expr
}

// panels asks what every panel asks: the answer must not be empty, unless the panel says why it may be.
func (s *stage) panels(t *testing.T, server *server) {
	to := time.Now()
	asked, empty, limits := 0, 0, 0
	for _, d := range dashboards.All() {
		for _, v := range d.Variables {
			if found, err := server.instant("count by ("+v.Name+") ("+v.Series+")", to); err != nil || len(found) == 0 {
				t.Errorf("%s: variable %s has no values (%v)", d.UID, v.Name, err)
			}
		}
		for _, row := range d.Rows {
			for i := range row.Panels {
				p := &row.Panels[i]
				some := false
				for _, q := range p.Queries {
					expr := asGrafana(&d, q.Expr)
					found, err := show(server, p.Shape, expr, s.began, to)
					if err != nil || strings.Contains(expr, "$") {
						t.Errorf("%s, %q: %s: %v", d.UID, p.Title, expr, err)
						continue
					}
					asked++
					if q.Limit { // the contract need not have one
						limits += len(found)
						continue
					}
					if some = some || len(found) > 0; len(found) == 0 && p.Idle == "" {
						t.Errorf("%s, %q has nothing to show, and does not say why: %s", d.UID, p.Title, expr)
					}
				}
				if !some {
					empty++
					t.Logf("%s, %q is empty: %s", d.UID, p.Title, p.Idle)
				}
			}
		}
	}
	t.Logf("%d queries asked, %d panels empty that may be", asked, empty)
	if limits < 4 {
		t.Errorf("%d limits of the contract are drawn", limits)
	}
	if asked < 60 {
		t.Errorf("only %d queries were asked", asked)
	}
}

// show evaluates a query as its panel does.
func show(s *server, shape dashboards.Shape, expr string, from, to time.Time) ([]series, error) {
	switch shape {
	case dashboards.Number, dashboards.Bars, dashboards.List:
		return s.instant(expr, to)
	}
	return s.span(expr, from, to, 5*time.Second)
}
