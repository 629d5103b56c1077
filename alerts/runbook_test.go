package alerts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each alert has a runbook with every part, and each runbook of an alert's form is one of an alert.
func TestEveryAlertHasARunbook(t *testing.T) {
	const dir = "../docs/runbooks"
	for _, name := range Names() {
		text, err := os.ReadFile(filepath.Join(dir, name+".md"))
		if err != nil {
			t.Errorf("%s has no runbook: %v", name, err)
			continue
		}
		for _, part := range []string{"# " + name + "\n", "## What it means", "## What users feel", "## First three checks", "\n3. ", "Panel:", "## How to mitigate", "## How to know it is over"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("the runbook of %s lacks %q", name, part)
			}
		}
	}
	docs, err := os.ReadFile("../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		if !strings.Contains(string(docs), "[`"+name+"`](runbooks/"+name+".md)") {
			t.Errorf("docs/alerts.md does not lead to the runbook of %s", name)
		}
	}
	for r := NotHolding; r <= IsTold; r++ {
		if !strings.Contains(string(docs), "`"+r.String()+"`") {
			t.Errorf("docs/alerts.md does not explain %s", r)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(e.Name(), ".md")
		if alert := name != strings.ToLower(name) && !strings.HasPrefix(name, "Freshet"); alert && strings.HasPrefix(string(text), "# "+name) && !slices.Contains(Names(), name) {
			t.Errorf("%s is the runbook of no alert", e.Name())
		}
	}
}
