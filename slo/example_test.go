package slo

import (
	"os"
	"reflect"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

func secrets(name string) (string, bool) {
	text, ok := map[string]string{"FRESHET_PD_PAYMENTS": "R0UT1NG", "FRESHET_EMPTY": ""}[name]
	return text, ok
}

// example is the contract of testdata/example.yaml, the one the documentation explains.
func example(t *testing.T) *File {
	t.Helper()
	data, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(data, "example.yaml", secrets)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func TestExample(t *testing.T) {
	f := example(t)
	equal(t, "version", f.Version, 1)
	equal(t, "owner", f.Owners["payments"], &Owner{Name: "payments", Alertmanager: map[string]string{"team": "payments"}, Slack: "#payments", PagerDutyKey: NewSecret("R0UT1NG")})
	equal(t, "key", f.Owners["payments"].PagerDutyKey.Reveal(), "R0UT1NG")
	equal(t, "policy", f.Contexts["policy"], &Context{Kind: "policy", Owner: "risk-platform", ServingOwner: "agents-platform", MaxSilence: 10 * minute, Reported: true, History: 1024, VersionsLimit: 16384})
	equal(t, "feature", f.Contexts["feature"], &Context{Kind: "feature", Owner: "ml-features", ServingOwner: "ml-features", MaxSilence: 30 * second, History: 256, VersionsLimit: 16384})
	equal(t, "retention", []freshness.Duration{f.DecisionRetention(), f.WorkflowIdle(), f.MaxSkew()}, []freshness.Duration{day, week, 5 * minute})
	equal(t, "partitioner", f.PartitionerName(), "murmur2")
	equal(t, "detections", f.Detections, []Detection{{Name: "stale-open-refunds", Workflow: "refund", For: 30 * second, Severity: Ticket, Limit: 1000}})
	from, _ := event.ParseTime("2026-01-03T17:00:00Z")
	equal(t, "maintenance", f.Maintenance, []Maintenance{{Owner: "payments", From: from, To: from + event.Time(2*hour), Reason: "ledger upgrade"}})

	s := f.SLOs[0]
	s.alerting = alerting{}
	equal(t, "objective", s, SLO{
		Name: "refund-decisions-fresh", Workflow: "refund", Class: "refund-large", Use: freshness.Executed, Objective: 0.995, Budget: 0.005, Window: 30 * day,
		OnUnknown: CountBad, Owner: "payments", Rules: usual(), MinEvents: 20, Runbook: "https://runbooks.example.com/refund-decisions-fresh",
	})
	equal(t, "greatest burn rate", s.MaxBurn(), 200.0)
}

func TestExampleTopics(t *testing.T) {
	equal(t, "topics", example(t).TopicSet(), []Topic{
		{Name: "workflow.control", Category: event.Control, Lateness: 5 * second},
		{Name: "workflow.context", Category: event.Context, Lateness: 5 * second},
		{Name: "legacy.tools", Category: event.Tool, Owner: "payments", Rekey: true, DeadLetter: "legacy.tools.dead-letter", Lateness: 5 * second},
		{Name: "workflow.tool", Category: event.Tool, Owner: "payments", Lateness: 5 * second},
		{
			Name: "workflow.decision", Category: event.Decision, Owner: "payments", Retention: 90 * day, Lateness: 5 * second,
			Writers: []string{"User:agents"}, Readers: []string{"User:audit"}, Schema: "schemas/decision.json",
		},
		{Name: "context.source", Category: event.Source, Lateness: 10 * second},
	})
}

func TestExampleContract(t *testing.T) {
	c := example(t).Contract()
	staleness := func(d freshness.Duration, versions int64) freshness.KindBounds {
		return freshness.KindBounds{Judged: true, Bounds: freshness.Bounds{MaxStaleness: d, HasStaleness: true, MaxVersionsBehind: versions, HasVersions: true}}
	}
	age := func(d freshness.Duration) freshness.KindBounds {
		return freshness.KindBounds{Judged: true, Bounds: freshness.Bounds{MaxAge: d, HasAge: true}}
	}
	equal(t, "rules", c.Rules("refund", "refund-small"), &freshness.Rules{Owner: "payments", Require: []string{"feature", "policy"}, Kinds: map[string]freshness.KindBounds{
		"policy": staleness(minute, 1), "feature": age(5 * second), "*": age(10 * minute),
	}})
	equal(t, "rules of the class", c.Rules("refund", "refund-large").Kinds, map[string]freshness.KindBounds{
		"policy": staleness(0, 0), "feature": age(5 * second), "*": age(10 * minute),
	})
	equal(t, "rules of a type that is not named", c.Rules("payout", ""), (*freshness.Rules)(nil))
	equal(t, "policy", c.ContextOf("policy", "payments"), freshness.Context{
		Owner: "risk-platform", ServingOwner: "agents-platform", MaxSilence: 10 * minute, HasMaxSilence: true, Reported: true, History: 1024, VersionsLimit: 16384,
	})
	equal(t, "a kind met through *", c.ContextOf("prompt", "payments"), freshness.Context{
		Owner: "payments", ServingOwner: "payments", History: freshness.DefaultHistory, VersionsLimit: freshness.DefaultVersionsLimit,
	})
}
