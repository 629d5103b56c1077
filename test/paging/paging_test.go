//go:build unix

package paging

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/test/kafka"
	"github.com/freshet-io/freshet/test/wait"
)

// What each fault is to lead to.
var (
	refundsBurn   = []alert{{"risk", "alertname=FreshnessSLOBurn severity=page slo=refunds team=risk"}, {"payments", "alertname=FreshnessSLOBurn severity=page slo=refunds team=payments"}}
	invoicesBurn  = []alert{{"treasury", "alertname=FreshnessSLOBurn severity=page slo=invoices"}, {"billing", "alertname=FreshnessSLOBurn severity=page slo=invoices"}}
	answersBurn   = []alert{{"search", "alertname=FreshnessSLOBurn severity=page slo=answers"}, {"support", "alertname=FreshnessSLOBurn severity=page slo=answers"}}
	purchasesBurn = []alert{{"procurement", "alertname=FreshnessSLOBurn severity=page slo=purchases"}}
	featureSilent = []alert{{"ml", "alertname=SourceSilent key=it kind=feature severity=page"}}
	triageHeld    = []alert{{"desk", "alertname=StaleContextHeld key=it kind=manual severity=ticket"}}
	engineBlind   = []alert{{"platform", "alertname=EngineBlind severity=page"}}
	watchdog      = []alert{{"platform", "alertname=Watchdog severity=ticket"}}
)

// blindAfter is longer than a clock may stand.
const blindAfter = 65 * time.Second

// promised is how long after something has broken whoever has to do something is told at the latest: the slowest fault takes twelve seconds
// until its rule holds, another instance has to take over in ten, and then there are two; the rest is for machines that have other work.
// What is promised to the millisecond is measured by freshet bench page.
const promised = 2 * time.Minute

func all(lists ...[]alert) (sum []alert) {
	for _, l := range lists {
		sum = append(sum, l...)
	}
	return sum
}

// world is a fleet on a real Kafka, and who watches it.
type world struct {
	t         *testing.T
	receiver  *receiver
	ams       *alertmanagers
	kafka     *kafka.Cluster
	fleet     *fleet
	instances [2]*instance
}

func newWorld(ctx context.Context, t *testing.T) *world {
	t.Helper()
	asked(t)
	w := &world{t: t, receiver: newReceiver(t), kafka: kafka.Start(t, kafka.Options{})}
	w.ams = newAlertmanagers(t, w.receiver)
	w.ams.start(ctx, 0) // the other one is down
	path, graph := contractFile(t, t.TempDir())
	topics := []string{"topics", "apply", "-contracts.file", path, "-kafka.brokers", w.kafka.Brokers(), "-topics.partitions", fmt.Sprint(partitions)}
	command(ctx, t, topics...)
	for i := range w.instances {
		w.instances[i] = newInstance(t, fmt.Sprint("engine-", i), "-contracts.file", path, "-kafka.brokers", w.kafka.Brokers(), "-group.session-timeout", "6s",
			"-alerts.alertmanager.urls", w.ams.urls(), "-alerts.webhook.urls", w.receiver.URL+"/engine", "-alerts.max-backoff", "1s", "-alerts.engine-owner", "platform",
			"-alerts.external-url", "https://freshet.example.com")
	}
	w.instances[0].start(ctx)
	w.fleet = newFleet(ctx, t, w.kafka.Addrs(), graph)
	return w
}

// told waits until these have been told that something fires or is over, and says after how long; it has to be as is promised.
func (w *world) told(ctx context.Context, since time.Time, promised time.Duration, status string, alerts []alert) {
	w.t.Helper()
	wait.Until(ctx, w.t, func() string { return w.receiver.missing(status, alerts...) })
	w.receiver.delays(w.t, since, promised, status, alerts...)
}

// ticks waits until the engine that evaluates has evaluated for so long, so that what it would do wrong has been done.
func (w *world) ticks(ctx context.Context, d time.Duration) {
	w.t.Helper()
	began := time.Now()
	wait.Until(ctx, w.t, func() string {
		if w.evaluator(ctx) == nil || time.Since(began) < d {
			return "nobody evaluates alerts"
		}
		return ""
	})
}

// evaluator returns the instance that evaluates alerts, nil if none does.
func (w *world) evaluator(ctx context.Context) *instance {
	for _, i := range w.instances {
		if i.evaluates(ctx) {
			return i
		}
	}
	return nil
}

// A fleet breaks in every known way at once. Exactly those are told who have to do something, once each, with the cause; and that it is over,
// once, when it is. Meanwhile one Alertmanager is down and comes back, and the other one goes; the engine is killed and comes back; of two
// the one that evaluates is frozen for more than a minute, and goes on; and Kafka is gone for more than a minute.
func TestAFleetPages(t *testing.T) {
	t.Parallel()
	ctx := within(t, 12*time.Minute)
	w := newWorld(ctx, t)
	w.told(ctx, time.Now(), promised, "firing", watchdog)

	at := time.Now()
	w.fleet.breaks(ctx, policyLate, indexOld, approvalsLong, sourceSilent, heldOpen)
	expected := all(watchdog, refundsBurn, answersBurn, purchasesBurn, featureSilent, triageHeld)
	w.told(ctx, at, promised, "firing", expected)
	w.causes(t)
	w.receiver.exactly(t, "when the fleet had broken", expected, nil)

	t.Log("engine-0 is killed, and comes back; so does the Alertmanager that was down")
	w.instances[0].runs.Kill()
	w.ams.start(ctx, 1)
	w.instances[0].start(ctx)
	w.ams.knows(ctx, 1, `"refunds"`, `"answers"`, `"purchases"`, `"feature"`, `"manual"`)
	w.ticks(ctx, 5*time.Second)
	w.receiver.exactly(t, "when the engine had been killed", expected, nil)

	w.instances[1].start(ctx)
	was := w.instances[0]
	wait.Until(ctx, t, func() string {
		if was = w.evaluator(ctx); was == nil {
			return "nobody evaluates alerts"
		}
		return ""
	})
	t.Logf("of two engines %s is frozen, which evaluates, and one more thing breaks", was.args[2])
	signal(was, syscall.SIGSTOP)
	at = time.Now()
	w.fleet.breaks(ctx, rateLate)
	expected = all(expected, invoicesBurn)
	w.told(ctx, at, promised, "firing", invoicesBurn)
	w.receiver.exactly(t, "when the engine that evaluates had been frozen", expected, nil)
	wait.Until(ctx, t, func() string { // its clocks are so old then that they would be those of a blind engine
		if time.Since(at) < blindAfter {
			return "it has not been frozen for long"
		}
		return ""
	})
	signal(was, syscall.SIGCONT)
	if err := was.runs.Await(ctx, "/ready"); err != nil {
		t.Fatal(err)
	}
	w.ams.knows(ctx, 1, `"invoices"`)
	w.ticks(ctx, 25*time.Second) // longer than one that has just woken says nothing from memory
	w.receiver.exactly(t, "when it had gone on", expected, nil)

	t.Log("the fleet is well again, and Kafka is killed; so is the first Alertmanager")
	w.fleet.pause(true) // first: a sign of life between the two would end an alert that begins again while Kafka is gone
	w.fleet.heals(ctx)
	at = time.Now()
	if err := w.kafka.KillBroker(0); err != nil {
		t.Fatal(err)
	}
	w.ams.runs[0].Kill()
	w.told(ctx, at, time.Minute+promised, "firing", engineBlind) // a clock may stand for a minute
	expected = all(expected, engineBlind)
	w.receiver.exactly(t, "when Kafka was gone", expected, nil)

	t.Log("Kafka is back")
	at = time.Now()
	if err := w.kafka.StartBroker(ctx, 0); err != nil {
		t.Fatal(err)
	}
	w.fleet.pause(false)
	over := expected[len(watchdog):]
	w.told(ctx, at, 0, "resolved", over)
	w.ticks(ctx, 5*time.Second)
	w.receiver.exactly(t, "in the end", expected, over)
	w.receiver.repetitions(t)
}

// causes checks what the engine says of each alert: why, whose it is, and by which records.
func (w *world) causes(t *testing.T) {
	t.Helper()
	for _, want := range []struct{ id, cause, owner, topic string }{
		{"FreshnessSLOBurn/refunds/page", "source_late", "risk", "workflow.decision"},
		{"FreshnessSLOBurn/answers/page", "consumer_lag", "search", "workflow.decision"},
		{"FreshnessSLOBurn/purchases/page", "hold_approval", "procurement", "workflow.decision"},
		{"SourceSilent/feature/it", "source_silent", "ml", "context.source"},
		{"StaleContextHeld/open-triage/triage/manual/it/2", "hold_other", "desk", "workflow.context"},
	} {
		one, ok := w.receiver.posted(want.id)
		switch {
		case !ok:
			t.Errorf("the engine has not posted %s", want.id)
		case len(one.Causes) == 0 || one.Causes[0].Cause != want.cause || one.Causes[0].Owner != want.owner || one.Owner != want.owner:
			t.Errorf("%s: owner %s, causes %+v; want %s of %s", want.id, one.Owner, one.Causes, want.cause, want.owner)
		case len(one.Evidence) == 0 || one.Evidence[0].Topic != want.topic:
			t.Errorf("%s: evidence %+v; want it on %s", want.id, one.Evidence, want.topic)
		case !strings.HasSuffix(one.Runbook, "/"+strings.SplitN(want.id, "/", 2)[0]+".md"):
			t.Errorf("%s: runbook %s", want.id, one.Runbook)
		default:
			t.Logf("the page of %s:\n%s", want.id, one.Annotations["description"])
		}
	}
}
