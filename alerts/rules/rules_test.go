package rules

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/slo"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/example.rules.yaml anew")

func options() Options {
	return Options{Job: "freshet", Owner: "platform", Runbooks: "https://runbooks.example.com/"}
}

func parse(t *testing.T, text, name string) *slo.File {
	t.Helper()
	f, err := slo.Parse([]byte(text), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// example returns the rules of testdata/example.yaml.
func example(t *testing.T) (File, []byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f := Build(parse(t, string(text), "example.yaml"), options())
	b, err := f.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return f, b
}

func TestExample(t *testing.T) {
	const path = "testdata/example.rules.yaml"
	_, got := example(t)
	if *rewrite {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || string(want) != string(got) {
		t.Errorf("the rules are not those of %s any more (%v); see what changed with: go test ./alerts/rules -rewrite; git diff", path, err)
	}
}

// promtool runs Prometheus' own tool, if it is there; FRESHET_PROMETHEUS=require makes it an error that it is not.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil && os.Getenv("FRESHET_PROMETHEUS") == "require" {
		t.Fatalf("promtool is not installed (Debian: apt-get install prometheus)")
	}
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: promtool is not installed (Debian: apt-get install prometheus): promtool %v", args)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func TestPrometheusTakesTheRules(t *testing.T) {
	dir := t.TempDir()
	_, b := example(t)
	if err := os.WriteFile(filepath.Join(dir, "rules.yaml"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("check", func(t *testing.T) { promtool(t, dir, "check", "rules", "rules.yaml") })
	tests, err := filepath.Glob("testdata/*.test.yaml")
	if err != nil || len(tests) < 2 {
		t.Fatalf("tests of the rules: %v, %v", tests, err)
	}
	for _, path := range tests {
		text, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(path), func(t *testing.T) { promtool(t, dir, "test", "rules", filepath.Base(path)) })
	}
}

// Every series that a rule reads is one that Freshet exports, or that a rule records.
func TestRulesReadWhatThereIs(t *testing.T) {
	f, _ := example(t)
	known := map[string]bool{}
	for _, s := range metrics.Reference() {
		known[s.Name] = true
	}
	recorded := map[string]bool{}
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				recorded[r.Record] = true
			}
		}
	}
	names := regexp.MustCompile(`freshet[_:][a-z0-9_:]*`)
	seen := 0
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			for _, name := range names.FindAllString(r.Expr, -1) {
				seen++
				if !known[name] && !recorded[name] {
					t.Errorf("%s%s reads %s, which there is not", r.Alert, r.Record, name)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d names were found", seen)
	}
}

// No alert of the engine is only ever seen not to fire: the tests of the rules have each of them fire.
func TestEveryAlertIsSeenToFire(t *testing.T) {
	var all strings.Builder
	for _, path := range []string{"testdata/engine.test.yaml", "testdata/objectives.test.yaml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	fires := regexp.MustCompile(`alertname: ([A-Za-z]+)\n +exp_alerts:|\{alertname="([A-Za-z]+)"\}', value: 1\}`)
	seen := map[string]bool{}
	for _, m := range fires.FindAllStringSubmatch(all.String(), -1) {
		seen[m[1]+m[2]] = true
	}
	for _, name := range Names() {
		if !seen[name] {
			t.Errorf("no test has %s fire", name)
		}
	}
}

func TestAlertsAreWhole(t *testing.T) {
	f, _ := example(t)
	names := map[string]bool{}
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			names[r.Alert] = true
			if r.Labels["severity"] == "" || r.Labels["owner"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Annotations["runbook_url"] == "" {
				t.Errorf("%s: %+v", r.Alert, r)
			}
		}
	}
	if got := Build(nil, Options{}); len(got.Groups) != 1 || got.Groups[0].Rules[0].Annotations["runbook_url"] != "" {
		t.Errorf("without a contract: %+v", got)
	}
	for _, name := range Names() {
		if !names[name] {
			t.Errorf("%s has no rule", name)
		}
	}
	if len(names) != len(Names()) {
		t.Errorf("alerts %v, names %v", names, Names())
	}
}

// burn is one burn-rate rule as an expression has it.
type burn struct {
	severity    string
	factor      float64
	long, short string
}

var comparison = regexp.MustCompile(`ratio_rate(\w+)\{[^}]*\} >=? \(([0-9.e-]+) \* ([0-9.e-]+)\)`)

// burns reads the rules of an alert's expression: in each the two windows stand one behind the other.
func burns(t *testing.T, severity, expr string) (rules []burn, budget float64) {
	t.Helper()
	found := comparison.FindAllStringSubmatch(expr, -1)
	if len(found) == 0 || len(found)%2 != 0 {
		t.Fatalf("%d comparisons in %s", len(found), expr)
	}
	for i := 0; i < len(found); i += 2 {
		a, b := found[i], found[i+1]
		factor, err := strconv.ParseFloat(a[2], 64)
		budgeted, err2 := strconv.ParseFloat(a[3], 64)
		if errors.Join(err, err2) != nil || a[2] != b[2] || a[3] != b[3] {
			t.Fatalf("%v, %v", a, b)
		}
		r := burn{severity, factor, a[1], b[1]}
		if length(t, r.long) < length(t, r.short) {
			r.long, r.short = r.short, r.long
		}
		rules, budget = append(rules, r), budgeted
	}
	return rules, budget
}

func length(t *testing.T, window string) int64 {
	t.Helper()
	d, err := slo.ParseDuration(window)
	if err != nil {
		t.Fatal(err)
	}
	return int64(d)
}

var slothAlert = regexp.MustCompile(`(?s)expr: \|\n(.*?)\n *labels:\n(.*?)(?:\n *annotations|\n *- |\z)`)

// For the same objective the rules have the same windows and factors as those that Sloth generates, in all of its examples. A rule that no
// share of bad events can reach is left out; Sloth writes it.
func TestWindowsAndFactorsAreSloths(t *testing.T) {
	files, err := filepath.Glob("testdata/sloth/*.y*ml")
	if err != nil || len(files) < 15 {
		t.Fatalf("Sloth's examples: %v, %v", files, err)
	}
	compared, never := 0, 0
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		wants := map[string][]burn{} // by budget
		for _, m := range slothAlert.FindAllStringSubmatch(string(text), -1) {
			if !comparison.MatchString(m[1]) {
				continue
			}
			severity := "ticket"
			if strings.Contains(m[1]+m[2], "14.4 *") {
				severity = "page"
			}
			rules, budget := burns(t, severity, m[1])
			key := strconv.FormatFloat(1-budget, 'f', 6, 64)
			for _, r := range rules {
				if r.factor*budget > 1 {
					never++
				} else if !slices.Contains(wants[key], r) {
					wants[key] = append(wants[key], r)
				}
			}
		}
		for objective, want := range wants {
			got := ours(t, objective)
			slices.SortFunc(want, compare)
			if !slices.Equal(got, want) {
				t.Errorf("%s, objective %s:\n got  %+v\n want %+v", filepath.Base(path), objective, got, want)
			}
			compared++
		}
	}
	t.Logf("%d objectives compared; %d rules that can never fire left out", compared, never)
	if compared < 15 {
		t.Errorf("only %d objectives were compared", compared)
	}
}

// ours are the rules for an objective without rules of its own.
func ours(t *testing.T, objective string) (all []burn) {
	t.Helper()
	f := parse(t, "version: 1\nowners: {a: {}}\nworkflows: {w: {owner: a}}\nslos: [{name: s, workflow: w, use: action.executed, objective: "+objective+", window: 30d}]\n", "sloth")
	for _, r := range Build(f, options()).Groups[1].Rules {
		if r.Alert != "" {
			rules, _ := burns(t, r.Labels["severity"], r.Expr)
			all = append(all, rules...)
		}
	}
	slices.SortFunc(all, compare)
	return all
}

func compare(a, b burn) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
