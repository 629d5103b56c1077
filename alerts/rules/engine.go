package rules

import (
	"fmt"
	"strconv"

	"github.com/freshet-io/freshet/slo"
)

// watch is an alert about the engine.
type watch struct {
	name, expr, hold string
	severity         slo.Severity
	summary, about   string
}

// watches are what is looked at from outside. None of them rests on the engine judging anything.
func (o Options) watches() []watch {
	job := "job=" + strconv.Quote(o.Job)
	return []watch{
		{"FreshetAbsent", fmt.Sprintf("absent(up{%s} == 1)", job), "2m", slo.Page,
			"No instance of Freshet is up.", "Nothing is judged and nothing is paged by Freshet itself. Verdicts are not lost: they come when it runs again."},
		{"FreshetInstanceDown", fmt.Sprintf("up{%s} == 0", job), "5m", slo.Ticket,
			"{{ $labels.instance }} of Freshet is down.", "The others take its partitions over."},
		{"FreshetBlind", "time() - max by (partition) (freshet_applied_through_timestamp_seconds > 0) > 60", "1m", slo.Page,
			"{{ $labels.partition }} has applied nothing for {{ $value | humanizeDuration }}.", "Whatever has happened since is not judged. Freshet pages EngineBlind itself, if it can."},
		{"FreshetBehind", "time() - max by (partition) (freshet_applied_through_timestamp_seconds > 0) > 10", "10m", slo.Ticket,
			"{{ $labels.partition }} has been behind for ten minutes, now by {{ $value | humanizeDuration }}.", "Checks answer unknown (engine_behind) beyond the lag that their callers accept."},
		{"FreshetPartitionUnowned", "count(count by (partition) (freshet_applied_through_timestamp_seconds)) < max_over_time(count(count by (partition) (freshet_applied_through_timestamp_seconds))[1h:1m])", "5m", slo.Page,
			"Fewer partitions have an owner than an hour ago.", "What belongs to the others is not judged."},
		{"FreshetRestoringLong", `max by (partition) (freshet_partition_state{state=~"restoring|recovering"}) == 1`, "15m", slo.Ticket,
			"{{ $labels.partition }} has been restoring for a quarter of an hour.", "Its queries answer unknown (recovering), and its verdicts wait."},
		{"FreshetPartitionFailed", `max by (partition) (freshet_partition_state{state="failed"}) == 1`, "2m", slo.Page,
			"{{ $labels.partition }} has stopped with an error.", "The log of its instance says which. It waits for the next session."},
		{"FreshetPartitionHeld", "time() - max by (partition) (freshet_partition_held_since_timestamp_seconds > 0) > 120", "1m", slo.Page,
			"{{ $labels.partition }} is held back, because a topic refuses what it writes.", "freshet_refused_total says which topic, and why."},
		{"FreshetDeadLettersRising", "sum by (topic, reason) (increase(freshet_dead_letters_total[15m])) > 10 and sum by (topic, reason) (increase(freshet_dead_letters_total[15m])) > 2 * (sum by (topic, reason) (increase(freshet_dead_letters_total[15m] offset 1h)) or sum by (topic, reason) (freshet_dead_letters_total) * 0)",
			"5m", slo.Ticket,
			"Records of {{ $labels.topic }} that cannot be used ({{ $labels.reason }}) are twice as many as an hour ago.", "See them with: freshet deadletters list"},
		{"FreshetNotificationsFailing", `sum by (destination) (increase(freshet_notifications_total{result!="` + delivered + `"}[10m])) > 0 unless sum by (destination) (increase(freshet_notifications_total{result="` + delivered + `"}[10m])) > 0`, "5m", slo.Page,
			"Nothing reaches {{ $labels.destination }}.", "Freshet goes on trying. Whoever is told there alone is not told."},
		{"FreshetContractsDiffer", "count(count by (hash) (freshet_contract_info == 1)) > 1", "10m", slo.Ticket,
			"Instances of Freshet do not agree on the contract in force.", "One of them cannot read the contracts topic, or has refused what is in it: see its log."},
		{"FreshetContractRefused", "max by (instance) (freshet_contract_refused) == 1", "5m", slo.Ticket,
			"{{ $labels.instance }} has refused its contract file.", "The contract in force stays, whatever the file says: see the instance's log, or freshet contracts check FILE."},
		{"FreshetWatchdog", "vector(1)", "", slo.Ticket,
			"Prometheus evaluates the rules that watch Freshet.", "It always fires. If it stops, whoever waits for it has to look."},
	}
}

// Names returns the name of every alert that rules can have.
func Names() []string {
	var names []string
	for _, w := range (Options{}).watches() {
		names = append(names, w.name)
	}
	return append(names, SLOBurn)
}

// delivered is the result of a notification that has arrived.
const delivered = "delivered"

// sees is recorded as 1 while the clocks of all partitions that there are follow, and as 0 while one does not, or none is there.
const sees = "freshet:sees:bool"

func (o Options) engine() []Rule {
	rules := []Rule{{Record: sees, Expr: "(max(time() - max by (partition) (freshet_applied_through_timestamp_seconds > 0)) <= bool 60) or vector(0)"}}
	for _, w := range o.watches() {
		severity := w.severity.String()
		if w.name == "FreshetWatchdog" {
			severity = "none"
		}
		rules = append(rules, Rule{
			Alert: w.name, Expr: w.expr, For: w.hold,
			Labels:      map[string]string{"severity": severity, "owner": o.Owner},
			Annotations: o.linked(w.name, map[string]string{"summary": w.summary, "description": w.about}),
		})
	}
	return rules
}

// linked adds the link to the runbook.
func (o Options) linked(name string, annotations map[string]string) map[string]string {
	if o.Runbooks != "" {
		annotations["runbook_url"] = o.Runbooks + name + ".md"
	}
	return annotations
}
