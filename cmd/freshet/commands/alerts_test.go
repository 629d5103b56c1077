package commands

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

func TestAlertsAreShownAndTried(t *testing.T) {
	var test string // what becomes of a test page
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.String() {
		case "GET /v1/alerts?status=firing":
			_, _ = io.WriteString(w, `{"alerts":[{"alert_id":"SourceSilent/policy/a","status":"firing","severity":"page","owner":"risk","owners":["risk","payments"],"starts_at":"2026-03-01T10:08:20Z","annotations":{"summary":"Nothing has been heard."},"told":[]}]}`)
		case "GET /v1/alerts?status=":
			_, _ = io.WriteString(w, `{"alerts":[]}`)
		case "GET /v1/alerts/why?name=SourceSilent":
			_, _ = io.WriteString(w, `{"name":"SourceSilent","findings":[{"alert_id":"SourceSilent/policy/a","status":"firing","why":"told","detail":"it has been told","rule":"no sign of life for longer than 10m",
"owners":[{"owner":"risk","destination":"slack","why":"told"},{"destination":"webhook","why":"sending"}]}]}`)
		case "GET /v1/alerts/why?name=StaleContextHeld":
			_, _ = io.WriteString(w, `{"name":"StaleContextHeld","findings":[]}`)
		case "POST /v1/alerts/test?owner=risk+%26+co":
			_, _ = io.WriteString(w, `{"owner":"risk & co","results":[`+test+`]}`)
		default:
			t.Errorf("asked %s %s", r.Method, r.URL)
		}
	}))
	defer s.Close()
	const (
		arrived = `{"destination":"alertmanager","target":"alertmanager#1","leads":true,"delivered":true,"detail":"delivered"}`
		nowhere = `{"destination":"slack","target":"slack#1","leads":false,"delivered":false,"detail":"owner risk & co has in the contract no Slack channel"}`
		failed  = `{"destination":"pagerduty","target":"pagerduty#1","leads":true,"delivered":false,"detail":"answered 500 Internal Server Error"}`
	)
	for _, c := range []struct {
		args   string
		test   string
		status int
		want   []string
	}{
		{"alerts -status firing", "", cli.ExitOK, []string{"firing  page      risk payments  2026-03-01T10:08:20Z  SourceSilent/policy/a  Nothing has been heard."}},
		{"alerts", "", cli.ExitOK, []string{"none"}},
		{"alerts -status pending", "", cli.ExitUsage, []string{"-status", "pending"}},
		{"alerts now", "", cli.ExitUsage, nil},
		{"alerts why SourceSilent", "", cli.ExitOK, []string{"SourceSilent/policy/a", "no sign of life for longer than 10m", "risk slack: told, webhook: sending"}},
		{"alerts why StaleContextHeld", "", cli.ExitOK, []string{"nothing of that name holds"}},
		{"alerts why Sourcesilent", "", cli.ExitUsage, []string{"SourceSilent"}},
		{"alerts why", "", cli.ExitUsage, nil},
		{"alerts test -owner risk_&_co", arrived + "," + nowhere, cli.ExitOK, []string{"alertmanager#1", "delivered", "no Slack channel"}},
		{"alerts test -owner risk_&_co", arrived + "," + failed, cli.ExitNo, []string{"500", "did not arrive everywhere"}},
		{"alerts test -owner risk_&_co", nowhere, cli.ExitNo, []string{"nothing leads to risk & co"}},
		{"alerts test", "", cli.ExitUsage, []string{"-owner"}},
	} {
		test = c.test
		args := strings.Fields(c.args)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "_", " ")
		}
		got := freshet(t, "", append(args, "-server", s.URL, "-o", "table")...)
		if got.status != c.status {
			t.Errorf("%s: %+v", c.args, got)
		}
		for _, want := range c.want {
			if !strings.Contains(got.out+got.err, want) {
				t.Errorf("%s: no %q in\n%s%s", c.args, want, got.out, got.err)
			}
		}
	}
}
