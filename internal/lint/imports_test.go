package lint_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// sees says which parts of the repository each part may see, itself aside: event ← freshness ← slo ← state ← topology ← processors ← cmd. The longest
// name that fits holds.
func sees() map[string][]string {
	return map[string][]string{
		"event":             nil,
		"freshness":         {"event"},
		"slo":               {"event", "freshness"},
		"checkid":           {"event", "freshness"},
		"alerts":            {"event", "freshness", "slo"},
		"alerts/rules":      {"event", "freshness", "slo"},
		"alerts/dispatch":   {"event", "freshness", "slo", "alerts", "internal/metrics"},
		"state":             {"event", "freshness", "slo"},
		"topology":          {"event", "freshness", "slo", "state"},
		"embedded":          {"internal/await"},
		"recorded":          nil,
		"internal/access":   nil,
		"internal/await":    nil,
		"internal/metrics":  nil,
		"internal/programs": nil,
		"internal/lint":     nil,
		"internal/testfile": nil,
		"internal/otlp":     {"internal/metrics"},
		"processors":        {"checkid", "alerts", "event", "freshness", "slo", "state", "topology", "internal/access", "internal/await", "internal/metrics"},
		"query/client":      nil,
		"dashboards":        {"internal/metrics"},
		"web":               nil,
		"query":             {"checkid", "alerts", "event", "freshness", "slo", "state", "internal/await", "internal/metrics"},
		"bench":             {"event", "freshness", "slo", "topology", "internal/access"},
		"cmd":               {everything},
		"test":              {everything},
	}
}

// everything is what the program and the tests of the whole may see: all that is not a test or a lint.
const everything = "*"

func sight(own, seen string) bool {
	if slices.Contains(sees()[own], everything) {
		return seen != "internal/lint" && (seen != "test" || own == "test")
	}
	return slices.Contains(sees()[own], seen)
}

// others says what the pure packages may import beside the standard library.
func others() map[string][]string {
	return map[string][]string{"alerts": nil, "alerts/rules": {"go.yaml.in/yaml/v3"}, "checkid": nil, "event": nil, "freshness": nil, "slo": {"go.yaml.in/yaml/v3"}}
}

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

func goList(t *testing.T) map[string]*listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Imports,Deps,Standard", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]*listed{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		p := &listed{}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

// part returns which entry of sees a package belongs to.
func part(path string) (string, bool) {
	rel := strings.TrimPrefix(path, module+"/")
	best := ""
	for name := range sees() {
		if within(rel, name) && len(name) > len(best) {
			best = name
		}
	}
	return best, best != ""
}

func TestImportsGoOneWay(t *testing.T) {
	packages := goList(t)
	for path, p := range packages {
		if !strings.HasPrefix(path, module+"/") {
			continue
		}
		own, ok := part(path)
		if !ok {
			t.Errorf("%s: say in internal/lint what it may see", path)
			continue
		}
		for _, dep := range p.Deps {
			if !strings.HasPrefix(dep, module+"/") {
				continue
			}
			if seen, ok := part(dep); ok && seen != own && !sight(own, seen) {
				t.Errorf("%s depends on %s: %s may see %v", path, dep, own, sees()[own])
			}
		}
		allowed, pure := others()[own]
		for _, dep := range p.Imports {
			if d := packages[dep]; pure && !strings.HasPrefix(dep, module+"/") && !slices.Contains(allowed, dep) && (d == nil || !d.Standard) {
				t.Errorf("%s imports %s: beside the standard library it may import %v", path, dep, allowed)
			}
		}
	}
}

// The table of sees must have no way back.
func TestTheDirectionHasNoCircle(t *testing.T) {
	table := sees()
	var visit func(name string, path []string)
	visit = func(name string, path []string) {
		if slices.Contains(path, name) {
			t.Fatalf("circle: %v → %s", path, name)
		}
		for _, next := range table[name] {
			if next == everything {
				continue // it is seen by nobody but the tests
			}
			if _, ok := table[next]; !ok {
				t.Errorf("%s may see %s, which is not in the table", name, next)
			}
			visit(next, append(path, name))
		}
	}
	for name := range table {
		visit(name, nil)
	}
}
