package lint_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/alerts/rules"
	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/commands"
	"github.com/freshet-io/freshet/dashboards"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/processors/clock"
	"github.com/freshet-io/freshet/query/check"
	"github.com/freshet-io/freshet/query/problem"
)

// parts are what the runbook of an alert has.
var parts = []string{"## What it means\n", "## What users feel\n", "## First three checks\n", "\n1. ", "\n2. ", "\n3. ", "## How to mitigate\n", "## How to know it is over\n"}

// panels returns the names of all panels, as runbooks name them, Engine / Clocks behind, with the alerts whose runbooks they link.
func panels() map[string][]string {
	names := map[string][]string{}
	for _, d := range dashboards.All() {
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				names[strings.TrimPrefix(d.Title, "Freshet / ")+" / "+p.Title] = append([]string{}, p.Alerts...)
			}
		}
	}
	return names
}

var (
	panelOf   = regexp.MustCompile(`(?i)panel:\s+\*([^*]+)\*`)
	typed     = regexp.MustCompile("`(freshet|kcat|curl|GET|kafka-[a-z-]+\\.sh) [^`]+`")
	commandOf = regexp.MustCompile("`freshet\\s+([a-z]+)(?:\\s+([a-z]+))?")
)

// Each alert has a runbook, each runbook is an alert's, and each names a panel that there is.
func TestAlertsRunbooksAndPanelsAgree(t *testing.T) {
	all := slices.Concat(alerts.Names(), rules.Names())
	known := panels()
	for _, name := range all {
		text := doc(t, filepath.Join("runbooks", name+".md"))
		if !strings.HasPrefix(text, "# "+name+"\n") {
			t.Errorf("the runbook of %s has another title", name)
		}
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("the runbook of %s lacks %q", name, part)
			}
		}
		_, checks, _ := strings.Cut(text, "## First three checks\n")
		checks, _, _ = strings.Cut(checks, "\n## ")
		if !panelOf.MatchString(checks) || !typed.MatchString(checks) {
			t.Errorf("the first three checks of the runbook of %s name no panel, or no command", name)
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "docs/runbooks/*.md"))
	if err != nil || len(files) <= len(all) {
		t.Fatalf("%d runbooks, %v", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".md")
		if name != "problems" && !slices.Contains(all, name) {
			t.Errorf("%s is the runbook of no alert", path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range panelOf.FindAllStringSubmatch(string(text), -1) {
			p := strings.Join(strings.Fields(m[1]), " ")
			if known[p] == nil {
				t.Errorf("%s names panel %q, which there is not", path, p)
			} else if name != "problems" && !slices.Contains(known[p], name) {
				t.Errorf("%s names panel %q, which does not link it", path, p)
			}
		}
		for _, m := range commandOf.FindAllStringSubmatch(string(text), -1) {
			if !slices.ContainsFunc(commands.New().Commands, func(c *cli.Command) bool { return c.Name == m[1] || c.Name == m[1]+" "+m[2] }) {
				t.Errorf("%s names a command that there is not: freshet %s %s", path, m[1], m[2])
			}
		}
	}
	for panel, names := range known {
		for _, name := range names {
			if !slices.Contains(all, name) {
				t.Errorf("panel %q links the runbook of %s, which there is not", panel, name)
			}
		}
	}
	objectives := doc(t, "slos.md")
	for _, name := range rules.Names() {
		if !strings.Contains(objectives, "[`"+name+"`](runbooks/"+name+".md)") {
			t.Errorf("docs/slos.md does not lead to the runbook of %s", name)
		}
	}
}

// Every name that users meet has a heading that says what it means, and no heading is of a name that is gone.
func TestEveryStableNameHasAHeading(t *testing.T) {
	values := map[string][]string{}
	for _, s := range metrics.Reference() {
		values[s.Name] = s.Values["reason"]
	}
	want := map[string][]string{
		"Reasons of unknown":           values["freshet_unknown_decisions_total"],
		"Dead letters":                 values["freshet_dead_letters_total"],
		"Records that a topic refuses": values["freshet_refused_total"],
	}
	for _, k := range problem.Kinds() {
		want["Problems of requests"] = append(want["Problems of requests"], k.Name)
	}
	for _, r := range check.Reasons() {
		want["Reasons of unknown"] = append(want["Reasons of unknown"], r.String())
	}
	for _, r := range clock.Reasons() {
		want["Why a clock stands"] = append(want["Why a clock stands"], r.String())
	}
	seen := 0
	for _, section := range strings.Split(doc(t, "runbooks/problems.md"), "\n## ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		about, _, _ := strings.Cut(body, "\n### ")
		for _, part := range []string{"**What users feel.**", "**First three checks.**", "(3) ", "**How to mitigate.**", "**How to know it is over.**"} {
			if !strings.Contains(about, part) {
				t.Errorf("%s: above its names %q is missing", title, part)
			}
		}
		if !panelOf.MatchString(about) || !typed.MatchString(about) {
			t.Errorf("%s: above its names stands no panel, or no command", title)
		}
		var got []string
		for _, heading := range strings.Split(body, "\n### ")[1:] {
			name, text, _ := strings.Cut(heading, "\n")
			got = append(got, name)
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s, %s: nothing is said of it", title, name)
			}
		}
		names := slices.Clone(want[title])
		slices.Sort(names)
		slices.Sort(got)
		if len(names) == 0 || !slices.Equal(names, got) {
			t.Errorf("%s:\n headings %q\n names    %q", title, got, names)
		}
		seen++
	}
	if seen != len(want) {
		t.Errorf("%d sections, want %d", seen, len(want))
	}
}

var (
	fragment = regexp.MustCompile(`\]\(([^)#: ]*)#([^)]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	dropped  = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// Links to a heading find it.
func TestLinksToHeadingsHold(t *testing.T) {
	headings := map[string]map[string]bool{}
	of := func(path string) map[string]bool {
		if headings[path] == nil {
			headings[path] = map[string]bool{}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
				headings[path][strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
			}
		}
		return headings[path]
	}
	seen := 0
	eachFile(t, func(path, text string) {
		if !strings.HasSuffix(path, ".md") {
			return
		}
		for _, m := range fragment.FindAllStringSubmatch(text, -1) {
			to := filepath.Join(root, path)
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(to), m[1])
			}
			if !strings.HasSuffix(to, ".md") {
				continue
			}
			seen++
			if !of(to)[m[2]] {
				t.Errorf("%s links to %s#%s, which is no heading there", path, m[1], m[2])
			}
		}
	})
	if seen < 10 {
		t.Errorf("only %d links were looked at", seen)
	}
}
