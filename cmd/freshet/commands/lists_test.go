package commands

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
)

const item = `{"kind":"policy","key":"refund","verdict":"stale","reasons":["staleness"],"staleness_s":300,"age_s":500,"versions_behind":2,
"used":{"version":"v17","seq":17,"as_of":null,"loaded_at":"2026-03-01T10:01:40Z","at":{"topic":"workflow.context","partition":6,"offset":0}},
"current":{"version":"v19","seq":19,"effective_at":"2026-03-01T10:06:40Z","published_at":"2026-03-01T10:06:40.4Z","at":{"topic":"context.source","partition":6,"offset":3}},
"superseded_at":"2026-03-01T10:03:20Z","causes":[{"cause":"source_late","seconds":2.1,"owner":"risk"},{"cause":"hold_approval","seconds":297.9,"owner":"payments"}]}`

// answers is a server that knows one workflow.
func answers() map[string]string {
	return map[string]string{
		"/v1/decisions/wf%2F1/d1": `{"workflow":"wf/1","decision_id":"d1","uses":[{"verdict":{"use":"action.executed","used_at":"2026-03-01T10:08:20Z","verdict":"stale","reasons":["staleness"],"revision":2,
"staleness_s":300,"cause":"hold_approval","owner":"payments","items":[` + item + `],"check":{"verdict":"fresh","superseded_since":true}},"final":true,"superseded_by":[{"kind":"policy","key":"refund","used_seq":17,"version":{"version":"v18","seq":18},"available_at":"2026-03-01T10:04:20Z"}],"now":{"verdict":"unknown","reasons":["no_context"]}}],
"evidence":[{"time":"2026-03-01T10:08:20Z","type":"com.acme.action.executed","at":{"topic":"workflow.decision","partition":6,"offset":1},"data":{"decision_id":"d1"}},
{"time":"2026-03-01T10:01:40Z","type":"context.loaded","at":{"topic":"workflow.context","partition":6,"offset":0},"gone":true}],
"approvals":[{"time":"2026-03-01T10:08:10Z","type":"approval.granted","at":{"topic":"workflow.control","partition":6,"offset":2},"data":{}}],"tools":[],"override":null,
"revisions":[{"use":"action.executed","revision":1,"verdict":"fresh","judged_at":"2026-03-01T10:08:26Z"},{"use":"action.executed","revision":2,"verdict":"stale","judged_at":"2026-03-01T10:08:30Z"}]}`,
		"/v1/workflows":        `{"next":"c2","workflows":[{"workflow":"wf/1","workflow_type":"refund","state":"open","verdict":"stale","reasons":["staleness"],"cause":"hold_approval","owner":"payments","items":1,"decisions":2,"last_event_at":"2026-03-01T10:08:20Z"}]}`,
		"/v1/workflows/wf%2F1": `{"workflow_type":"refund","state":"open","events":6,"live":` + staleAnswer + `,"decisions":[{"decision_id":"d1","use":"action.executed","used_at":"2026-03-01T10:08:20Z","verdict":null,"revision":0}]}`,
		"/v1/sources/policy/a%2Fb": `{"silent":true,"last_life":"2026-03-01T10:00:00Z","versions_total":1,"versions":[{"version":"v17","seq":17,"effective_at":"2026-03-01T09:59:00Z","published_at":"2026-03-01T09:59:01Z",
"change":"updated","at":{"topic":"context.source","partition":6,"offset":0}}],"holders":[{"seq":17,"workflows":5,"first":["a","b","c","d"]}]}`,
		"/v1/sources/policy/a%2Fb/users": `{"users":[{"workflow":"wf/1","decision_id":"d1","use":"action.executed","used_at":"2026-03-01T10:08:20Z","seq":17,"superseded_at":null,"staleness_s":300,"verdict":"stale"}]}`,
		"/v1/slos": `{"at":"2026-03-01T10:08:20Z","slos":[{"slo":"refunds-fresh","objective":0.995,"window":"30d","budget_remaining_ratio":-0.25,"coverage_ratio":0.5,
"windows":[{"window":"5m","good":0,"bad":0,"unknown":0,"good_ratio":null,"burn_rate":null},{"window":"30d","good":9,"bad":1,"unknown":0,"good_ratio":0.9,"burn_rate":20}],
"rules":[{"severity":"page","burn":14.4,"long":"1h","short":"5m","outcome":"holds","holds":true}]}]}`,
		"/v1/status": `{"instance":"one","version":"1.2","contract":"sha256:ab","ready":false,"why":"catching up","partitions":[{"group":"freshet-workflows","partition":3,"owner":null,"live":false,
"applied_through":null,"lag_s":null,"records_behind":7,"held_by":"workflow.tool","held_why":"behind"}]}`,
	}
}

func TestWhatTheServerKnowsIsShown(t *testing.T) {
	known := answers()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/watch" {
			if r.Header.Get("Last-Event-ID") == "2" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			_, _ = io.WriteString(w, "event: bookmark\nid: 1\ndata: {}\n\nevent: verdict\nid: 2\ndata: {\"workflow\":\"wf/1\"}\n\n")
			return
		}
		body, ok := known[r.URL.EscapedPath()]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			body = `{"title":"There is nothing of that name","status":404}`
		}
		if q := r.URL.RawQuery; q != "" && q != "cursor=c1&limit=5&state=open&type=refund&verdict=stale" && q != "seq=17" {
			t.Errorf("asked %s?%s", r.URL.Path, q)
		}
		_, _ = io.WriteString(w, body)
	}))
	defer s.Close()
	for _, c := range []struct {
		args   string
		status int
		want   []string
	}{
		{"explain wf/1 d1", cli.ExitOK, []string{
			"STALE  wf/1 d1, action.executed at 2026-03-01 10:08:20.000 (revision 2)", "cause hold_approval, owner payments, stale for 5m0s", "had asked, and was told fresh; superseded between",
			"policy/refund stale: used v17@17, in force v19@19", "superseded at 2026-03-01 10:03:20.000 by v18@18, served from 2026-03-01 10:04:20.000", "source_late    █ ", "now it would be unknown (no_context)", "workflow.context/6/0 (gone)", "action.executed revision 1: fresh"}},
		{"explain wf/1 d9", cli.ExitNo, []string{"nothing of that name"}},
		{"workflows -state open -verdict stale -type refund -limit 5 -cursor c1", cli.ExitOK, []string{"wf/1      refund  open   stale    staleness  hold_approval  payments  1 ", "-cursor c2"}},
		{"workflows wf/1", cli.ExitOK, []string{"wf/1, refund, open, 6 events", "STALE  wf-7f3", "provisional", "policy/refund stale: used v17@17"}},
		{"sources policy/a/b", cli.ExitOK, []string{"1 versions, last sign of life 2026-03-01T10:00:00Z, SILENT", "v17@17", "a,b,c\n", " 5 "}},
		{"sources policy/a/b -users -seq 17", cli.ExitOK, []string{"wf/1", "@17", "5m0s"}},
		{"workflows none", cli.ExitNo, []string{"nothing of that name"}},
		{"slos", cli.ExitOK, []string{"refunds-fresh  99.5%      90.000%  5m -, 30d 20.00", "-25.0%", "50.0%", "page burn 14.4 over 1h and 5m"}},
		{"status", cli.ExitNo, []string{"NOT READY: catching up", "freshet-workflows  3", "workflow.tool behind"}},
	} {
		got := freshet(t, "", append(strings.Fields(c.args), "-server", s.URL, "-o", "table")...)
		if got.status != c.status {
			t.Errorf("%s: %+v", c.args, got)
		}
		for _, want := range c.want {
			if !strings.Contains(got.out+got.err, want) {
				t.Errorf("%s: no %q in\n%s%s", c.args, want, got.out, got.err)
			}
		}
	}
	// As JSON it is what the server has said.
	if got := freshet(t, "", "workflows", "-server", s.URL); got.out != known["/v1/workflows"]+"\n" {
		t.Errorf("as JSON: %q", got.out)
	}
	// A watch goes on until it is refused.
	got := freshet(t, "", "watch", "-server", s.URL)
	if want := `{"event":"verdict","id":"2","data":{"workflow":"wf/1"}}` + "\n"; !strings.HasPrefix(got.out, want) {
		t.Errorf("watch: %+v", got)
	}
	for _, args := range []string{"explain w", "workflows a b", "sources policy", "sources", "slos all", "status now", "watch w"} {
		if got := freshet(t, "", strings.Fields(args)...); got.status != cli.ExitUsage {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

// The timeline tells each record once, in order, whatever lists it is in.
func TestTheTimelineIsInOrder(t *testing.T) {
	e := explained{Evidence: []explainedEvent{{Type: "x"}, {Type: "x"}}}
	if n := len(e.timeline()); n != 1 {
		t.Errorf("%d events of one record", n)
	}
	if a, b := lastTwo("com.acme.a.b"), lastTwo("b"); a != "a.b" || b != "b" {
		t.Errorf("types %q, %q", a, b)
	}
}
