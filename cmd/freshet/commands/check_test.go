package commands

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

const staleAnswer = `{"verdict":"stale","action":"reload","reasons":["versions"],"items":[{"kind":"policy","key":"refund","verdict":"stale","reasons":["versions"],"staleness_s":48.2,"age_s":61.2,
"versions_behind":1,"used":{"version":"v17","seq":17,"as_of":null,"loaded_at":"2026-03-01T10:00:01Z","at":{"topic":"workflow.context","partition":3,"offset":88}},
"current":{"version":"v18","seq":18,"effective_at":"2026-03-01T10:00:02Z","published_at":"2026-03-01T10:00:02Z","at":{"topic":"context.source","partition":1,"offset":9}},
"superseded_at":"2026-03-01T10:00:02Z","causes":[{"cause":"serving_stale","seconds":48.2,"owner":"agents"}]}],"staleness_s":48.2,"staleness_upper_s":48.3,"age_s":61.2,"versions_behind":1,
"cause":"serving_stale","owner":"agents","applied_through":"2026-03-01T10:00:50Z","complete_through":"2026-03-01T10:00:45Z","engine_lag_s":0.14,"valid_until":null,"valid_for_s":null,
"workflow":"wf-7f3","at":"2026-03-01T10:00:50.2Z","check_id":"abc"}`

func TestCheckSaysWhatTheServerSays(t *testing.T) {
	answer, body := staleAnswer, ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
		if answer == "" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"title":"The token does not allow this","detail":"scope check"}`)
			return
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer s.Close()
	got := freshet(t, "", "check", "-server", s.URL, "wf-7f3", "-o", "table", "-class", "large", "-item", "policy/refund@17", "-item", "doc/a@b", "-bound", "feature.max_age=1m30s",
		"-bound", "feature.max_versions_behind=0", "-at-least", "workflow.context/3/88", "-wait", "500ms", "-max-engine-lag", "1s", "-at", "2026-03-01T10:00:50Z")
	if got.status != cli.ExitNo {
		t.Fatalf("%+v", got)
	}
	for _, want := range []string{"STALE  wf-7f3 at 2026-03-01T10:00:50.2Z: reload (versions)", "cause serving_stale, owner agents", "48.2s", "140ms behind", "v17@17", "v18@18"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no %q in\n%s", want, got.out)
		}
	}
	want := `{"workflow":"wf-7f3","class":"large","items":[{"kind":"policy","key":"refund","seq":17},{"kind":"doc","key":"a@b"}],"bounds":{"feature":{"max_versions_behind":0,"max_age_s":90}},` +
		`"at_least":[{"topic":"workflow.context","partition":3,"offset":88}],"at":"2026-03-01T10:00:50Z","max_engine_lag_s":1,"wait_s":0.5}`
	if body != want {
		t.Errorf("asked %s\nwant  %s", body, want)
	}
	if got := freshet(t, "", "check", "-server", s.URL, "wf-7f3"); !strings.HasPrefix(got.out, `{"verdict":"stale","action":"reload"`) || got.status != cli.ExitNo {
		t.Errorf("as JSON: %+v", got)
	}
	answer = strings.Replace(staleAnswer, `"verdict":"stale"`, `"verdict":"fresh"`, 1)
	if got := freshet(t, "", "check", "-server", s.URL, "wf-7f3"); got.status != cli.ExitOK {
		t.Errorf("fresh: %+v", got)
	}
	answer = ""
	if got := freshet(t, "", "check", "-server", s.URL, "wf-7f3"); got.status != cli.ExitUsage || !strings.Contains(got.err, "scope check") {
		t.Errorf("refused: %+v", got)
	}
	if got := freshet(t, "", "check", "-server", "http://127.0.0.1:1", "wf-7f3"); got.status != cli.ExitUnavailable || !strings.Contains(got.err, "127.0.0.1:1") {
		t.Errorf("nobody there: %+v", got)
	}
	for _, args := range [][]string{{}, {"a", "b"}, {"w", "-item", "policy"}, {"w", "-bound", "policy=1"}, {"w", "-bound", "policy.max=1"}, {"w", "-at", "noon"}, {"w", "-at-least", "x"}, {"w", "-server", "here"}} {
		if got := freshet(t, "", append([]string{"check"}, args...)...); got.status != cli.ExitUsage {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
