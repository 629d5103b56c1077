package commands

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const examples = "../../../examples/"

func TestBacktest(t *testing.T) {
	dir := t.TempDir()
	page, drawing := filepath.Join(dir, "r.html"), filepath.Join(dir, "r.svg")
	got := freshet(t, "", "slo", "backtest", "-contracts.file", examples+"backtest.yaml", "-step", "10m", "-html", page, "-svg", drawing, "-o", "json", golden+"coding-sessions.events.ndjson.gz")
	if got.status != 0 || !strings.Contains(got.err, "edits-on-stale-files: 94.86% of 1633 uses were good, 98% promised over 1w") {
		t.Fatalf("%+v", got)
	}
	standings, alerts := map[string]standing{}, 0
	for line := range strings.Lines(got.out) {
		var s standing
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, `"severity"`) {
			alerts++
		} else {
			standings[s.SLO] = s
		}
	}
	s := standings["edits-on-fresh-files"]
	if len(standings) != 3 || s.Good != 1549 || s.Bad != 84 || s.Unknown != 651 || s.Pages == 0 || alerts < s.Pages+s.Tickets {
		t.Errorf("%+v, %d alerts", standings, alerts)
	}
	for path, want := range map[string]string{page: "<h2>Alerts</h2>", drawing: "</svg>"} {
		if b, err := os.ReadFile(path); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	table := freshet(t, "", "slo", "backtest", "-contracts.file", examples+"backtest.yaml", "-step", "1h", "-o", "table", golden+"coding-sessions.events.ndjson.gz")
	if table.status != 0 || !strings.HasPrefix(table.out, "SLO ") || !strings.Contains(table.err, "budget  ") {
		t.Errorf("%+v", table)
	}
	for _, args := range [][]string{
		{"-contracts.file", golden + "adversarial-1.contracts.yaml", "x"}, {"x"}, {"-contracts.file", examples + "backtest.yaml"},
		{"-contracts.file", examples + "backtest.yaml", "-step", "0s", golden + "coding-sessions.events.ndjson.gz"},
	} {
		if got := freshet(t, "", append([]string{"slo", "backtest"}, args...)...); got.status != 2 {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestRules(t *testing.T) {
	got := freshet(t, "", "rules", "-contracts.file", examples+"backtest.yaml", "-job", "engine", "-runbooks.url", "https://runbooks.example.com/")
	for _, want := range []string{"groups:", "FreshetAbsent", `absent(up{job="engine"} == 1)`, "freshet-slo-edits-on-stale-files", "https://runbooks.example.com/FreshetSLOBurn.md"} {
		if got.status != 0 || !strings.Contains(got.out, want) {
			t.Errorf("%q is missing: %+v", want, got)
		}
	}
	if got := freshet(t, "", "rules"); got.status != 0 || strings.Contains(got.out, "slo_events") || !strings.Contains(got.out, "FreshetWatchdog") {
		t.Errorf("without a contract: %+v", got)
	}
	if got := freshet(t, "", "rules", "x"); got.status != 2 {
		t.Errorf("%+v", got)
	}
}

func TestImportOpenSLO(t *testing.T) {
	const valid, invalid = "../../../slo/openslo/testdata/schema-test/spec-files/v1/slo/slo-indicatorref-rolling-alerts.yaml", "../../../slo/openslo/testdata/schema-test/spec-files/v1/invalid-apiversion.yaml"
	got := freshet(t, "", "contracts", "import-openslo", valid)
	if got.status != 0 || !strings.Contains(got.out, "objective: 0.98") || !strings.Contains(got.err, ":9:17: spec.indicatorRef: ") {
		t.Errorf("%+v", got)
	}
	if check := freshet(t, "", "contracts", "check", write(t, "c.yaml", got.out)); check.status != 0 {
		t.Errorf("what was made is refused: %+v", check)
	}
	if got := freshet(t, "", "contracts", "import-openslo", "-strict", valid); got.status != 1 || got.out != "" {
		t.Errorf("strict: %+v", got)
	}
	if got := freshet(t, "", "contracts", "import-openslo", valid, invalid); got.status != 1 || got.out != "" || !strings.Contains(got.err, "invalid-apiversion.yaml:1:13: apiVersion: ") {
		t.Errorf("invalid: %+v", got)
	}
	for _, args := range [][]string{nil, {"nowhere.yaml"}} {
		if got := freshet(t, "", append([]string{"contracts", "import-openslo"}, args...)...); got.status != 2 {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
