package dashboards_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/dashboards"
)

// grafana is what of a dashboard's file is checked, read as Grafana reads it.
type grafana struct {
	UID           string `json:"uid"`
	Title         string
	Style         string // a theme of its own
	SchemaVersion int
	Panels        []struct {
		ID          int
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		Datasource  *ref
		Targets     []struct {
			RefID, Expr string
			Datasource  *ref
			Exemplar    bool
		}
		Links       []link
		FieldConfig struct {
			Defaults struct {
				Unit       string
				Links      []link
				Thresholds struct {
					Steps []struct {
						Value *float64
						Color string
					}
				}
			}
			Overrides []struct {
				Matcher    struct{ ID, Options string }
				Properties []struct{ ID string }
			}
		}
	}
	Templating struct {
		List []struct {
			Name, Type string
			Datasource *ref
		}
	}
	Annotations struct {
		List []struct {
			Name, Expr, TitleFormat string
			Enable                  bool
			Datasource              *ref
		}
	}
	Links []link
}

type ref struct{ Type, UID string }

func (r *ref) chosen() bool { return r != nil && r.Type == "prometheus" && r.UID == "${datasource}" }

type link struct{ Title, URL string }

func read(t *testing.T, path string) (g grafana) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return g
}

func files(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("grafana/*.json")
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	return all
}

// Addresses of dashboards are in pages, bookmarks and runbooks: they never change.
func TestAddressesStay(t *testing.T) {
	var uids []string
	for _, path := range files(t) {
		uids = append(uids, read(t, path).UID)
	}
	if want := []string{"freshet-agents", "freshet-causes", "freshet-engine", "freshet-overview", "freshet-slo", "freshet-sources"}; !slices.Equal(uids, want) {
		t.Errorf("dashboards %q, want %q", uids, want)
	}
}

// Panels have numbers of their own and places that do not overlap, and a schema that Grafana 11 and later reads.
func TestPanelsHaveAPlace(t *testing.T) {
	for _, path := range files(t) {
		g := read(t, path)
		if g.SchemaVersion < 39 || g.Style != "" {
			t.Errorf("%s: schema %d, theme %q: it should be light or dark as its reader is", path, g.SchemaVersion, g.Style)
		}
		ids, taken := map[int]bool{}, map[[2]int]string{}
		for _, p := range g.Panels {
			if p.ID < 1 || ids[p.ID] {
				t.Errorf("%s, %q has number %d", path, p.Title, p.ID)
			}
			ids[p.ID] = true
			at := p.GridPos
			if at.X < 0 || at.W < 1 || at.H < 1 || at.X+at.W > 24 {
				t.Errorf("%s, %q lies at %+v", path, p.Title, at)
			}
			for x := at.X; x < at.X+at.W; x++ {
				for y := at.Y; y < at.Y+at.H; y++ {
					if other, there := taken[[2]int{x, y}]; there {
						t.Fatalf("%s: %q lies on %q", path, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

// plain are the colours that Grafana shows well in dark and light.
var plain = []string{"green", "orange", "red", "text"}

// Every panel takes the data source that its reader has chosen, has a unit, and thresholds that rise.
func TestPanelsAreWhole(t *testing.T) {
	exemplars := 0
	for _, path := range files(t) {
		g := read(t, path)
		if v := g.Templating.List; len(v) == 0 || v[0].Type != "datasource" || v[0].Name != "datasource" {
			t.Errorf("%s: the first variable is not the data source", path)
		}
		for _, v := range g.Templating.List[1:] {
			if !v.Datasource.chosen() {
				t.Errorf("%s: variable %s asks %+v", path, v.Name, v.Datasource)
			}
		}
		for _, p := range g.Panels {
			if p.Type == "row" {
				continue
			}
			d := p.FieldConfig.Defaults
			if d.Unit == "" || !p.Datasource.chosen() || len(p.Targets) == 0 {
				t.Errorf("%s, %q: unit %q, data source %+v, %d queries", path, p.Title, d.Unit, p.Datasource, len(p.Targets))
			}
			refs := map[string]bool{}
			for _, q := range p.Targets {
				if refs[q.RefID] || q.RefID == "" || q.Expr == "" || !q.Datasource.chosen() {
					t.Errorf("%s, %q: query %q asks %+v for %q", path, p.Title, q.RefID, q.Datasource, q.Expr)
				}
				refs[q.RefID] = true
				if q.Exemplar {
					exemplars++
				}
			}
			for _, o := range p.FieldConfig.Overrides {
				if !refs[o.Matcher.Options] || o.Matcher.ID != "byFrameRefID" || len(o.Properties) == 0 {
					t.Errorf("%s, %q: an override for %+v", path, p.Title, o)
				}
			}
			for i, s := range d.Thresholds.Steps {
				if (s.Value == nil) != (i == 0) || i > 1 && *s.Value < *d.Thresholds.Steps[i-1].Value || !slices.Contains(plain, s.Color) {
					t.Errorf("%s, %q: threshold %d is %+v", path, p.Title, i, s)
				}
			}
		}
	}
	if exemplars < 10 {
		t.Errorf("%d queries show exemplars", exemplars)
	}
}

// Alerts are marked, and links lead to the runbooks, to the server and to dashboards that there are.
func TestLinksAndMarks(t *testing.T) {
	o := dashboards.Options{Server: "https://freshet.example.com", Runbooks: "https://wiki.example.com/runbooks/"}
	internal, toServer, toRunbooks := regexp.MustCompile(`^/d/([a-z-]+)\?var-[a-z_]+=\$\{__field\.labels\.[a-z_]+\}$`), 0, 0
	uids := map[string]bool{}
	for _, d := range dashboards.All() {
		uids[d.UID] = true
	}
	for _, d := range dashboards.All() {
		text, err := d.JSON(o)
		if err != nil {
			t.Fatal(err)
		}
		var g grafana
		if err := json.Unmarshal(text, &g); err != nil {
			t.Fatal(err)
		}
		if a := g.Annotations.List; len(a) != 1 || !a[0].Enable || !a[0].Datasource.chosen() || !strings.Contains(a[0].Expr, "freshet_alerts{") || !strings.Contains(a[0].TitleFormat, "{{name}}") {
			t.Errorf("%s: annotations %+v", d.UID, a)
		}
		links := g.Links
		for _, p := range g.Panels {
			links = append(append(links, p.Links...), p.FieldConfig.Defaults.Links...)
		}
		for _, l := range links {
			switch m := internal.FindStringSubmatch(l.URL); {
			case m != nil && uids[m[1]], l.URL == "" && l.Title == "Freshet":
			case strings.HasPrefix(l.URL, o.Server+"/ui/#/"): // whoever follows it has a browser, and no token to show for /v1
				toServer++
			case strings.HasPrefix(l.URL, o.Runbooks):
				toRunbooks++
			default:
				t.Errorf("%s: %q leads to %q", d.UID, l.Title, l.URL)
			}
		}
		if strings.Contains(string(text), "{server}") || strings.Contains(string(text), "{runbooks}") || strings.Contains(string(text), "localhost") {
			t.Errorf("%s: a link leads nowhere", d.UID)
		}
	}
	if toServer < 4 || toRunbooks < 15 {
		t.Errorf("%d links to the server, %d to runbooks", toServer, toRunbooks)
	}
}

func TestDocsAreCurrent(t *testing.T) {
	const path = "../docs/dashboards.md"
	want := dashboards.Markdown()
	if *rewrite {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is not what the code says (%v); go test ./dashboards -run Current -rewrite", path, err)
	}
	for _, d := range dashboards.All() {
		if len(d.Paragraph) < 100 {
			t.Errorf("%s: nothing says what it answers", d.UID)
		}
	}
}
