package dashboards

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Markdown returns docs/dashboards.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# Dashboards\n\n<!-- Generated from dashboards/: go test ./dashboards -run Current -rewrite -->\n\n" + intro)
	for _, d := range All() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s\n\n| panel | what it shows |\n|---|---|\n", strings.TrimPrefix(d.Title, "Freshet / "), d.About, d.Paragraph)
		for _, row := range d.Rows {
			for i := range row.Panels {
				p := &row.Panels[i]
				fmt.Fprintf(&b, "| %s | %s%s |\n", p.Title, built{Panel: p}.about(), runbooks(p))
			}
		}
	}
	b.WriteString("\n## Series without a panel\n\n| series | why |\n|---|---|\n")
	unshown := Unshown()
	for _, name := range slices.Sorted(maps.Keys(unshown)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, unshown[name])
	}
	return b.String()
}

func runbooks(p *Panel) string {
	var links []string
	for _, name := range p.Alerts {
		links = append(links, "["+name+"](runbooks/"+name+".md)")
	}
	if len(links) == 0 {
		return ""
	}
	return " Alerts: " + strings.Join(links, ", ") + "."
}

const intro = "Six Grafana dashboards, for Prometheus with classic or with native histograms. `docker compose up` has them provisioned; elsewhere\n\n" +
	"```sh\nfreshet dashboards -dir /etc/grafana/provisioning/dashboards/freshet -server.url https://freshet.example.com -runbooks.url https://wiki.example.com/runbooks/\n```\n\n" +
	"writes them, with links to where your server and your runbooks are. Each has a variable for the data source, marks alerts as annotations, and links the runbooks of the alerts that a panel shows the reason of. " +
	"What the contract bounds is drawn as dashed lines, from `freshet_bound_seconds`, `freshet_bound_versions`, `freshet_max_silence_seconds`, `freshet_slo_burn_threshold` and `freshet_slo_objective_ratio`, so it changes with the contract.\n\n" +
	"Points on the lines of histograms are exemplars: a workflow, and mostly a decision, that was there. They need Prometheus with `--enable-feature=exemplar-storage`, and a data source that says where `workflow` leads " +
	"(`exemplarTraceIdDestinations`, as in `deploy/grafana/datasources/prometheus.yml`); `freshet explain WORKFLOW DECISION` explains one.\n"
