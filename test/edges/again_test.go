package edges

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshet-io/freshet/test/harness"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestEverythingTwice loads the golden set again, into an engine that is started again on the way: nothing more is said, and every record
// is counted as known.
func TestEverythingTwice(t *testing.T) {
	ctx := within(t)
	k := newKit(t, goldenContract(t, ""), harness.Options{})
	lines, want := goldenLines(t), goldenVerdicts(t)
	duplicates := func() float64 {
		return k.Counted("freshet_events_total", map[string]string{"result": "duplicate"})
	}
	k.Load(ctx, lines[:len(lines)/2])
	k.Start(ctx)
	k.Load(ctx, lines[len(lines)/2:])
	k.AwaitNow(ctx)
	v := k.Verdicts()
	v.Compare(ctx, want)
	v.ReadEnd(ctx)
	said, inItself := v.Records, duplicates() // the set holds some records twice
	k.Stop()
	known := 0.0
	for _, part := range [][][]byte{lines[:len(lines)/3], lines[len(lines)/3:]} {
		k.LoseRows() // what is known comes out of the changelog
		k.Start(ctx)
		k.Load(ctx, part)
		k.AwaitNow(ctx)
		known += duplicates()
		k.Stop()
	}
	v.ReadEnd(ctx)
	if v.Records != said {
		t.Errorf("%d verdict records after everything was sent twice; there were %d", v.Records, said)
	}
	if !v.Equal(want) {
		t.Error("the last revisions are no longer the golden lines")
	}
	if known != float64(len(lines)) {
		t.Errorf("%v records of %d were known; %v were when they came first", known, len(lines), inItself)
	}
}

// TestForget undoes a seq that was published by mistake and would make everything stale for ever.
func TestForget(t *testing.T) {
	ctx := within(t)
	k := newKit(t, refunds, harness.Options{})
	at := time.Now().Add(-time.Hour)
	forget := func(item string) *kgo.Record {
		return &kgo.Record{Topic: k.Name("context.source"), Partition: k.place(item), Key: []byte(item)}
	}
	k.Start(ctx)
	v := k.Verdicts()
	const many = 60 // versions, so that the item takes more than one row
	k.Produce(ctx, k.updated("policy/p", 1, at), k.updated("policy/q", 1, at))
	for seq := range many {
		k.Produce(ctx, k.updated("policy/p", 1<<40+seq, at.Add(time.Minute)))
	}
	k.Produce(ctx, k.loaded("w", at.Add(2*time.Minute), ref("policy", "p", 1), ref("policy", "q", 1)), k.proposed("w", "before", at.Add(3*time.Minute)))
	k.expect(ctx, v, "w", "before", "stale versions; policy/p@1 stale versions; policy/q@1 fresh")

	k.Produce(ctx, forget("policy/p"), forget("policy/never"))
	k.expect(ctx, v, "w", "before", "unknown unknown_source; policy/p@1 unknown unknown_source; policy/q@1 fresh")
	k.Produce(ctx, k.proposed("w", "after", at.Add(4*time.Minute)))
	k.expect(ctx, v, "w", "after", "unknown unknown_source; policy/p@1 unknown unknown_source; policy/q@1 fresh")

	k.Stop()
	k.LoseRows() // the changelog must not bring it back
	k.Start(ctx)
	k.Produce(ctx, k.proposed("w", "restored", at.Add(5*time.Minute)))
	k.expect(ctx, v, "w", "restored", "unknown unknown_source; policy/p@1 unknown unknown_source; policy/q@1 fresh")

	k.Produce(ctx, k.updated("policy/p", 1, at))
	for _, decision := range []string{"before", "after", "restored"} {
		k.expect(ctx, v, "w", decision, "fresh; policy/p@1 fresh; policy/q@1 fresh")
	}
	k.Stop()
	k.LoseRows() // nor may what lies beside the head of the item
	k.Start(ctx)
	for seq := 2; seq <= many/2; seq++ {
		k.Produce(ctx, k.updated("policy/p", seq, at.Add(270*time.Second)))
	}
	v.Until(ctx, func() string {
		got := v.Last["w restored decision.proposed"].Data["versions_behind"]
		if got != float64(many/2-1) || said(v, "w", "after") != "fresh; policy/p@1 fresh; policy/q@1 fresh" {
			return fmt.Sprintf("%v versions behind; want %d", got, many/2-1)
		}
		return ""
	})
	k.AwaitNow(ctx)
	if got := k.Counted("freshet_dead_letters_total", nil); got != 0 {
		t.Errorf("%v dead letters", got)
	}
}

// TestLate sends events that are older than what decisions are kept for: those of workflows have no effect, those of sources have.
func TestLate(t *testing.T) {
	ctx := within(t)
	k := newKit(t, refunds+"retention: {decisions: 1h}\n", harness.Options{})
	now := time.Now()
	k.Start(ctx)
	k.AwaitNow(ctx) // it stands at the head
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	// What came in time, by less than the test can take.
	k.Produce(ctx, k.updated("policy/p", 1, ago(3*time.Hour)), k.updated("policy/q", 1, ago(3*time.Hour)))
	k.Produce(ctx, k.loaded("w", ago(57*time.Minute), ref("policy", "p", 1)))
	k.AwaitNow(ctx)
	k.Produce(ctx, k.proposed("w", "d", ago(30*time.Minute)))
	v := k.Verdicts()
	k.expect(ctx, v, "w", "d", "fresh; policy/p@1 fresh")
	if got := k.Counted("freshet_events_total", map[string]string{"result": "late"}); got != 0 {
		t.Errorf("%v events were late before there was one", got)
	}

	late := []*kgo.Record{
		k.loaded("w", ago(61*time.Minute), ref("policy", "q", 1)),
		k.event("workflow.tool", "tool.result", "w", ago(2*time.Hour), `{"call_id":"c","refs":[`+ref("policy", "q", 1)+`]}`),
		k.event("workflow.control", "task.started", "w", ago(2*time.Hour), `{}`),
		k.proposed("w", "too old", ago(2*time.Hour)),
		k.proposed("other", "too old", ago(24*time.Hour)),
	}
	header(late[2], "ce_workflowtype", "another") // the earliest type would hold
	k.Produce(ctx, late...)
	k.AwaitNow(ctx)
	for _, r := range late[:4] {
		if got := k.Counted("freshet_events_total", map[string]string{"result": "late", "topic": r.Topic}); got == 0 {
			t.Errorf("no late event of %s is counted", r.Topic)
		}
	}
	if got := k.Counted("freshet_events_total", map[string]string{"result": "late"}); got != float64(len(late)) {
		t.Errorf("%v events were late; want %d", got, len(late))
	}
	v.ReadEnd(ctx)
	if got := said(v, "w", "d"); len(v.Last) != 1 || v.Records != 1 || got != "fresh; policy/p@1 fresh" {
		t.Errorf("late events had an effect: %d verdicts, %d records, %q", len(v.Last), v.Records, got)
	}

	k.Produce(ctx, k.updated("policy/p", 2, ago(2*time.Hour))) // a source event is never late
	k.expect(ctx, v, "w", "d", "stale versions; policy/p@1 stale versions")
	k.AwaitNow(ctx)
	if got := k.Counted("freshet_events_total", map[string]string{"result": "late"}); got != float64(len(late)) {
		t.Errorf("%v events were late; want %d", got, len(late))
	}
}
