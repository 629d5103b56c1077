package edges

import (
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/twmb/franz-go/pkg/kadm"
)

// TestDeadLettersRefused lets the dead-letter topic refuse a letter for a while: the poisonous record's partition waits, nothing is lost,
// and it goes on by itself.
func TestDeadLettersRefused(t *testing.T) {
	ctx := within(t)
	k := newKit(t, refunds, harness.Options{})
	limit := func(bytes string) {
		t.Helper()
		changed, err := k.Admin().AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &bytes}}, k.Name("freshet.dead-letter"))
		if err == nil {
			err = changed[0].Err
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	k.Start(ctx)
	k.AwaitNow(ctx)
	limit("1000")
	at := time.Now().Add(-time.Hour)
	workflow := k.named("w", 0)
	poison := k.proposed(workflow, "poison", at)
	poison.Value = make([]byte, 5000)
	k.Produce(ctx, k.updated("policy/p", 1, at), k.loaded(workflow, at, ref("policy", "p", 1)), poison, k.proposed(workflow, "d", at.Add(time.Second)))
	k.Until(ctx, func() string {
		if k.Counted("freshet_commit_aborts_total", map[string]string{"group": k.Graph().Workflows.Name}) == 0 {
			return "the letter was not refused"
		}
		return ""
	})
	if letters := k.ReadAll(ctx, k.Name("freshet.dead-letter")); len(letters) != 0 {
		t.Fatalf("%d letters although they are refused", len(letters))
	}
	limit("1000000")
	v := k.Verdicts()
	k.expect(ctx, v, workflow, "d", "fresh; policy/p@1 fresh")
	k.AwaitNow(ctx)
	letters := k.ReadAll(ctx, k.Name("freshet.dead-letter"))
	if len(letters) != 1 || !same(letters[0].Value, poison.Value) {
		t.Fatalf("%d letters; want the one that was refused", len(letters))
	}
	v.ReadEnd(ctx)
	if len(v.Last) != 1 {
		t.Errorf("%d verdicts; want one", len(v.Last))
	}
	if got := k.Counted("freshet_events_total", map[string]string{"topic": poison.Topic, "result": "dead_letter"}); got < 1 {
		t.Errorf("%v dead letters are counted (%s)", got, event.BadJSON)
	}
}
