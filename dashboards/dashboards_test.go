package dashboards_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/dashboards"
	"github.com/freshet-io/freshet/internal/metrics"
)

var rewrite = flag.Bool("rewrite", false, "write the files in grafana/ anew")

func TestFilesAreCurrent(t *testing.T) {
	var names []string
	for _, d := range dashboards.All() {
		want, err := d.JSON(dashboards.Defaults())
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(want) {
			t.Errorf("%s is no JSON", d.UID)
		}
		path := filepath.Join("grafana", d.UID+".json")
		names = append(names, path)
		if *rewrite {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != string(want) {
			t.Errorf("%s is not what the code says (%v); go test ./dashboards -run Current -rewrite", path, err)
		}
	}
	have, _ := filepath.Glob("grafana/*.json")
	slices.Sort(names)
	if !slices.Equal(have, names) {
		t.Errorf("files %v, dashboards %v", have, names)
	}
}

// series are the names of Freshet's series in a query, with the suffixes of histograms taken off.
var (
	series   = regexp.MustCompile(`freshet_[a-z_]+`)
	selector = regexp.MustCompile(`(freshet_[a-z_]+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
	grouping = regexp.MustCompile(`by \(([a-z_, ]+)\) \(.*?(freshet_[a-z_]+)`)
	choice   = regexp.MustCompile(`\$([a-z_]+)`)
)

func base(name string, known map[string]metrics.Series) string {
	if _, ok := known[name]; ok {
		return name
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if s, ok := strings.CutSuffix(name, suffix); ok && strings.HasPrefix(known[s].Type, "histogram") {
			return s
		}
	}
	return ""
}

// Every series that a panel asks for exists, with the labels and the values that it names; every series has a panel, or a reason why not.
func TestPanelsAndSeriesAgree(t *testing.T) {
	known := map[string]metrics.Series{}
	for _, s := range metrics.Reference() {
		known[s.Name] = s
	}
	shown := map[string]bool{}
	for _, d := range dashboards.All() {
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				for _, query := range p.Queries {
					where := d.UID + ", " + p.Title + ": " + query.Expr
					for _, name := range series.FindAllString(query.Expr, -1) {
						b := base(name, known)
						if b == "" {
							t.Errorf("%s: there is no series %s", where, name)
						}
						shown[b] = true
					}
					for _, sel := range selector.FindAllStringSubmatch(query.Expr, -1) {
						s := known[base(sel[1], known)]
						for _, m := range matcher.FindAllStringSubmatch(sel[2], -1) {
							if !slices.Contains(s.Labels, m[1]) {
								t.Errorf("%s: %s has no label %s", where, s.Name, m[1])
							}
							if values := s.Values[m[1]]; values != nil && m[2] != "=~" && !slices.Contains(values, m[3]) {
								t.Errorf("%s: label %s of %s is never %q", where, m[1], s.Name, m[3])
							}
						}
					}
					for _, g := range grouping.FindAllStringSubmatch(query.Expr, -1) {
						for _, label := range strings.Split(g[1], ", ") {
							if s := known[base(g[2], known)]; label != "le" && !slices.Contains(s.Labels, label) {
								t.Errorf("%s: %s has no label %s", where, s.Name, label)
							}
						}
					}
					for _, c := range choice.FindAllStringSubmatch(query.Expr, -1) {
						if !strings.HasPrefix(c[1], "__") && !slices.ContainsFunc(d.Variables, func(v dashboards.Variable) bool { return v.Name == c[1] }) {
							t.Errorf("%s: the dashboard has no variable %s", where, c[1])
						}
					}
					for _, pair := range []string{"()", "{}", "[]"} {
						if strings.Count(query.Expr, pair[:1]) != strings.Count(query.Expr, pair[1:]) {
							t.Errorf("%s: %s are not in pairs", where, pair)
						}
					}
				}
			}
		}
		for _, v := range d.Variables {
			if !slices.Contains(known[v.Series].Labels, v.Name) {
				t.Errorf("%s: %s has no label %s for the variable", d.UID, v.Series, v.Name)
			}
		}
	}
	reasons := dashboards.Unshown()
	for name := range known {
		if !shown[name] && reasons[name] == "" {
			t.Errorf("%s has no panel and no reason why not", name)
		}
	}
	for name := range reasons {
		if _, ok := known[name]; !ok {
			t.Errorf("a reason is given for %s, which is no series", name)
		}
	}
}

// Of several instances, of which each exports what it sees, a panel shows one line, unless it is about the instances.
func TestInstancesAreTakenTogether(t *testing.T) {
	together := regexp.MustCompile(`(sum|min|max)( by \([a-z_, ]+\))? ?\(`)
	each := regexp.MustCompile(`process_|freshet_build_info|freshet_contract_info`)
	for _, d := range dashboards.All() {
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				for _, q := range p.Queries {
					if !each.MatchString(q.Expr) && !together.MatchString(q.Expr) {
						t.Errorf("%s, %s shows a line for each instance: %s", d.UID, p.Title, q.Expr)
					}
				}
			}
		}
	}
}

func TestRowsAreFilled(t *testing.T) {
	uids := map[string]bool{}
	for _, d := range dashboards.All() {
		if uids[d.UID] || d.About == "" || d.Title == "" {
			t.Errorf("%s: twice, or without a word about it", d.UID)
		}
		uids[d.UID] = true
		for _, row := range d.Rows {
			wide := 0
			for _, p := range row.Panels {
				wide += p.Width
				if p.Title == "" || p.About == "" || p.Unit == "" || len(p.Queries) == 0 {
					t.Errorf("%s: panel %q lacks a title, a word about it, a unit or a query", d.UID, p.Title)
				}
			}
			if wide%24 != 0 {
				t.Errorf("%s: the panels of %q are %d columns wide, not lines of 24", d.UID, row.Title, wide)
			}
		}
	}
}
