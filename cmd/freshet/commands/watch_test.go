package commands

import (
	"testing"

	"github.com/freshet-io/freshet/query/client"
)

// A watch is read by a person: each event is a line that says when, what, of which workflow, and why.
func TestWhatIsWatchedIsReadable(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{
			"verdict", `{"workflow":"wf-1","decision_id":"d1","use":"action.executed","used_at":"2026-03-01T10:08:20Z","revision":2,"verdict":"stale","reasons":["staleness"],"staleness_s":300,"cause":"hold_approval","owner":"payments","items":[` + item + `]}`,
			"2026-03-01 10:08:20.000  STALE     wf-1 d1, action.executed (revision 2), because of staleness; stale for 5m0s, cause hold_approval, owner payments; policy/refund used v17@17, in force v19@19",
		},
		{
			"verdict", `{"workflow":"wf-1","decision_id":"d1","use":"decision.proposed","used_at":"2026-03-01T10:08:20Z","revision":0,"verdict":"fresh","reasons":[],"items":[` + item + `],"provisional":true}`,
			"2026-03-01 10:08:20.000  FRESH     wf-1 d1, decision.proposed (provisional)",
		},
		{
			"verdict", `{"workflow":"wf-1","at":"2026-03-01T10:08:20Z","verdict":"unknown","action":"wait","reasons":["engine_behind"],"items":[],"provisional":true}`,
			"2026-03-01 10:08:20.000  UNKNOWN   wf-1 now: wait, because of engine_behind",
		},
		{
			"detection", `{"status":"open","workflow":"wf-1","count":1,"kind":"policy","key":"refund","bound":"max_staleness","since":"2026-03-01T10:00:00Z","detected_at":"2026-03-01T10:00:05Z","closed_at":null,"closed_by":null,"owner":"payments"}`,
			"2026-03-01 10:00:05.000  HELD      wf-1 holds a stale policy/refund, beyond max_staleness since 2026-03-01 10:00:00.000, owner payments",
		},
		{
			"detection", `{"status":"closed","workflow":"wf-1","count":1,"kind":"policy","key":"refund","bound":"max_staleness","since":"2026-03-01T10:00:00Z","detected_at":"2026-03-01T10:00:05Z","closed_at":"2026-03-01T10:01:00Z","closed_by":"reload","owner":"payments"}`,
			"2026-03-01 10:01:00.000  RELEASED  wf-1 no longer holds a stale policy/refund (reload)",
		},
		{
			"detection", `{"status":"open","workflow":null,"count":2000,"kind":"policy","key":"refund","bound":"max_versions_behind","since":"2026-03-01T10:00:00Z","detected_at":"2026-03-01T10:00:05Z","closed_at":null,"closed_by":null,"owner":null}`,
			"2026-03-01 10:00:05.000  HELD      2000 workflows hold a stale policy/refund, beyond max_versions_behind since 2026-03-01 10:00:00.000, owner -",
		},
		{
			"alert", `{"alert_id":"SourceSilent/policy/a","status":"firing","severity":"ticket","owners":["risk"],"starts_at":"2026-03-01T10:00:00Z","ends_at":null,"annotations":{"summary":"policy/a is silent."}}`,
			"2026-03-01 10:00:00.000  FIRING    ticket to risk, SourceSilent/policy/a: policy/a is silent.",
		},
		{
			"alert", `{"alert_id":"Watchdog","status":"resolved","severity":"ticket","owners":[],"starts_at":"2026-03-01T10:00:00Z","ends_at":"2026-03-01T10:02:00Z","annotations":{}}`,
			"2026-03-01 10:02:00.000  RESOLVED  ticket to -, Watchdog",
		},
		{
			"bookmark", `{"at":"2026-03-01T10:00:00Z","applied_through":"2026-03-01T09:59:59.9Z","complete_through":"2026-03-01T09:59:54.9Z","engine_lag_s":0.1}`,
			"2026-03-01 10:00:00.000  clocks    applied through 2026-03-01T09:59:59.9Z, 100ms behind",
		},
		{"news", `{"x":1}`, `news {"x":1}`},
		{"verdict", `[]`, `verdict []`},
	} {
		if got := watchLine(client.Event{Name: c.name, Data: []byte(c.data)}); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.data, got, c.want)
		}
	}
}
