package openslo

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/slo"
)

func read(t *testing.T, paths ...string) (files []Input) {
	t.Helper()
	for _, p := range paths {
		b, err := os.ReadFile(filepath.Join("testdata", p))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, Input{p, b})
	}
	return files
}

// OpenSLO's own documents, valid and invalid.
func TestConformance(t *testing.T) {
	var manifest struct {
		Cases []struct {
			Case, File string
			Valid      bool
		}
	}
	b, err := os.ReadFile("testdata/manifest.json")
	if err == nil {
		err = json.Unmarshal(b, &manifest)
	}
	if err != nil || len(manifest.Cases) < 40 {
		t.Fatalf("manifest: %d cases, %v", len(manifest.Cases), err)
	}
	accepted := 0
	for _, c := range manifest.Cases {
		contract, notes, err := Import(read(t, c.File))
		var refused Errors
		switch {
		case c.Valid && err != nil:
			t.Errorf("%s, %s: refused: %v", c.Case, c.File, err)
		case !c.Valid && !errors.As(err, &refused):
			t.Errorf("%s, %s: accepted: %v\n%s", c.Case, c.File, err, contract)
		case c.Valid:
			accepted++
			if len(notes) == 0 && !strings.Contains(c.File, "service") {
				t.Errorf("%s: nothing is named that a contract cannot express", c.File)
			}
		default:
			for _, e := range refused {
				if e.Line < 1 || e.Column < 1 || e.File != c.File || e.Message == "" {
					t.Errorf("%s: %+v", c.File, e)
				}
			}
		}
	}
	t.Logf("%d documents, %d accepted", len(manifest.Cases), accepted)
}

// Errors stand where what is wrong stands.
func TestWhereErrorsAre(t *testing.T) {
	const head = "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec:\n  service: s\n  indicatorRef: i\n  budgetingMethod: Occurrences\n"
	for text, want := range map[string]string{
		"a: [": "f.yaml:1:1: this is not YAML",
		"- 1":  "f.yaml:1:1: it is not a mapping",
		"apiVersion: openslo/v2alpha\nkind: SLO\nmetadata: {}\nspec: {}\n":                                   `f.yaml:1:13: apiVersion: it is "openslo/v2alpha"`,
		"apiVersion: openslo/v1\nkind: Foo\nmetadata: {name: a}\nspec: {}\n":                                 `f.yaml:2:7: kind: "Foo" is no kind`,
		"apiVersion: openslo/v1\nkind: Service\nmetadata: {name: My Service}\nspec: {}\n":                    `f.yaml:3:18: metadata.name: "My Service" is no name`,
		"apiVersion: openslo/v1\nkind: Service\nmetadata: {name: a}\nspec: 7\n":                              "f.yaml:4:7: spec: it is not a mapping",
		"apiVersion: openslo/v1\nkind: Service\nmetadata: {name: a, name: b}\nspec: {}\n":                    `f.yaml:3:11: metadata: the key "name" is there twice`,
		head + "  objectives: [{target: 1}]\n":                                                               "f.yaml:8:25: spec.objectives[0].target: it is 1",
		head + "  objectives: []\n":                                                                          "f.yaml:8:15: spec.objectives: it has 0 entries",
		head + "  objectives: [{target: 0.9, targetPercent: 90}]\n":                                          "f.yaml:8:16: spec.objectives[0]: target and targetPercent exclude",
		head + "  objectives: [{target: 0.9}]\n  timeWindow: [{duration: 30 days, isRolling: true}]\n":       `f.yaml:9:27: spec.timeWindow[0].duration: "30 days" is no duration`,
		head + "  objectives: [{target: 0.9}]\n  timeWindow: [{duration: 30d}]\n":                            "f.yaml:9:16: spec.timeWindow[0]: calendar is missing",
		head + "  objectives: [{target: 0.9}]\n---\n" + head + "  objectives: [{target: 0.8}]\n":             "f.yaml:12:18: metadata.name: there is a SLO of this name already",
		"# nothing\n---\napiVersion: openslo/v1\nkind: SLI\nmetadata: {name: a}\nspec: {thresholdMetric: 1}": "f.yaml:6:25: spec.thresholdMetric: it is not a mapping",
	} {
		_, _, err := Import([]Input{{"f.yaml", []byte(text)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got  %v\n want %s", text, err, want)
		}
	}
}

const documentsOfRefunds = `apiVersion: openslo/v1
kind: Service
metadata:
  name: refunds
  annotations: {freshet.io/workflow: refund, freshet.io/owner: payments}
spec: {description: Refunds by agents.}
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: refund-decisions-fresh
  displayName: Refund decisions on fresh context
  labels: {tier: gold}
  annotations: {freshet.io/class: large, freshet.io/on-unknown: exclude, freshet.io/runbook-url: "https://runbooks.example.com/refunds"}
spec:
  service: refunds
  indicatorRef: fresh
  timeWindow: [{duration: 1M, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{targetPercent: 99.5, displayName: promised}, {target: 0.9}]
  alertPolicies: [fast, missing]
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: fast}
spec:
  alertWhenNoData: false
  alertWhenResolved: true
  alertWhenBreaching: true
  conditions: [{conditionRef: burns}]
  notificationTargets: [{targetRef: pager}]
---
apiVersion: openslo/v1
kind: AlertCondition
metadata: {name: burns}
spec: {severity: critical, condition: {kind: burnrate, op: gte, threshold: 14.4, lookbackWindow: 1h, alertAfter: 2m}}
---
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {url: x}}
`

func TestWhatAContractCanSay(t *testing.T) {
	text, notes, err := Import([]Input{{"refunds.yaml", []byte(documentsOfRefunds)}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := slo.Parse(text, "contracts.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := f.Objective("refund-decisions-fresh-1")
	if s == nil || s.Workflow != "refund" || s.Class != "large" || s.Objective != 0.995 || slo.FormatDuration(s.Window) != "30d" || s.OnUnknown != slo.Exclude ||
		s.Owner != "payments" || s.Runbook != "https://runbooks.example.com/refunds" || len(s.Rules) != 1 || s.Rules[0].Severity != slo.Page || s.Rules[0].Burn != 14.4 ||
		slo.FormatDuration(s.Rules[0].Short) != "5m" {
		t.Errorf("the objective is %+v in\n%s", s, text)
	}
	if s := f.Objective("refund-decisions-fresh-2"); s == nil || s.Objective != 0.9 || len(s.Rules) != 0 {
		t.Errorf("the second objective, whose rule can never fire, is %+v in\n%s", s, text)
	}
	var said []string
	for _, n := range notes {
		said = append(said, n.String())
	}
	got := strings.Join(said, "\n")
	for _, want := range []string{
		"refunds.yaml:6:1: spec: a contract has no place for it",
		"refunds.yaml:13:3: metadata.labels: a contract has no place for it",
		"refunds.yaml:17:17: spec.indicatorRef: this indicator becomes",
		"refunds.yaml:18:27: spec.timeWindow[0].duration: 1M becomes 30d",
		"refunds.yaml:21:25: spec.alertPolicies[1]: the alert policy missing is in none of the files",
		"refunds.yaml:31:24: spec.notificationTargets: who is told",
		"refunds.yaml:36:18: spec.severity: severity \"critical\" becomes page",
		"spec.condition.alertAfter: alertAfter cannot be expressed",
		"spec.condition.lookbackWindow: the short window",
		"can never be reached with an objective of 0.9",
		"refunds.yaml:38:1: DataSource prom cannot be expressed",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not said: %s\nsaid:\n%s", want, got)
		}
	}
}

// Nothing of a document is dropped without a word: whatever key is added somewhere is named.
func TestNothingIsDroppedSilently(t *testing.T) {
	for _, at := range []string{"metadata:\n  name: refunds\n", "spec:\n  service: refunds\n", "metadata:\n  name: refund-decisions-fresh\n", "spec:\n  alertWhenNoData: false\n"} {
		text := strings.Replace(documentsOfRefunds, at, at+"  moon: full\n", 1)
		if text == documentsOfRefunds {
			t.Fatalf("%q is not there", at)
		}
		_, notes, err := Import([]Input{{"refunds.yaml", []byte(text)}})
		if err != nil {
			t.Fatal(err)
		}
		named := false
		for _, n := range notes {
			named = named || strings.HasSuffix(n.Path, ".moon")
		}
		if !named {
			t.Errorf("moon behind %q is not named: %v", at, notes)
		}
	}
}

func FuzzImport(f *testing.F) {
	f.Add([]byte(documentsOfRefunds))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte(strings.Replace(documentsOfRefunds, "{conditionRef: burns}", `{kind: AlertCondition, metadata: {name: x}, spec: {severity: page, condition: {kind: burnrate, threshold: 2, lookbackWindow: ""}}}`, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		text, _, err := Import([]Input{{"f.yaml", data}})
		if err != nil {
			return
		}
		if _, err := slo.Parse(text, "contracts.yaml", nil); err != nil {
			t.Errorf("%v:\n%s", err, text)
		}
	})
}
