package edges

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/twmb/franz-go/pkg/kadm"
)

// TestDeadLettersRefused lets the dead-letter topic refuse a letter for a while: the poisonous record's partition waits and says so, the
// others go on, nothing is lost, and it goes on by itself.
func TestDeadLettersRefused(t *testing.T) {
	ctx := within(t)
	k := newKit(t, refunds, harness.Options{})
	k.Start(ctx)
	k.AwaitNow(ctx)
	k.limitLetters(ctx, "1000")
	group := k.Graph().Workflows.Name
	sessions := k.Counted("freshet_sessions_total", map[string]string{"group": group})

	at := time.Now().Add(-time.Hour)
	workflow := k.named("w", 0)
	poison := k.proposed(workflow, "poison", at)
	poison.Value = noise(5000)
	k.Produce(ctx, k.updated("policy/p", 1, at), k.loaded(workflow, at, ref("policy", "p", 1)), poison, k.proposed(workflow, "d", at.Add(time.Second)))
	k.Until(ctx, func() string {
		if err := k.App.Ready(); err == nil || !strings.Contains(err.Error(), group+"/0 is held back") {
			return fmt.Sprintf("ready: %v; want that the partition is held back", err)
		}
		return ""
	})
	for _, word := range []string{k.Name("freshet.dead-letter"), "too_large"} {
		if err := k.App.Ready(); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("ready: %v; it does not say %s", err, word)
		}
	}
	if got := k.Counted("freshet_refused_total", map[string]string{"topic": k.Name("freshet.dead-letter"), "reason": "too_large"}); got < 1 {
		t.Errorf("refused %v times", got)
	}

	// The other partitions go on, round after round, in the same session.
	v := k.Verdicts()
	for round := range 3 {
		for p := int32(1); p < partitions; p++ {
			other := k.named(fmt.Sprintf("other-%d", round), p)
			k.Produce(ctx, k.loaded(other, at, ref("policy", "p", 1)), k.proposed(other, "d", at.Add(time.Second)))
			k.expect(ctx, v, other, "d", "fresh; policy/p@1 fresh")
		}
	}
	if now := k.Counted("freshet_sessions_total", map[string]string{"group": group}); now != sessions {
		t.Errorf("%v sessions; the group had to begin anew", now-sessions)
	}

	// Its clock stands, and with a name; those of the others move.
	stood, since := k.clockOf(group, 0)
	k.Until(ctx, func() string {
		if moved, _ := k.clockOf(group, 1); moved <= since {
			return "the clock of another partition stands"
		}
		return ""
	})
	if now, _ := k.clockOf(group, 0); now != stood {
		t.Errorf("the clock of the partition that is held back moved from %v to %v", stood, now)
	}
	for _, p := range k.App.Partitions() {
		if p.Group == group && p.ID == 0 && (p.HeldWhy != "output_refused" || p.HeldBy != k.Name("freshet.dead-letter")) {
			t.Errorf("its clock is held by %q, %q", p.HeldBy, p.HeldWhy)
		}
	}
	if got := said(v, workflow, "d"); got != "" {
		t.Errorf("a verdict was said behind what is refused: %s", got)
	}
	if letters := k.ReadAll(ctx, k.Name("freshet.dead-letter")); len(letters) != 0 {
		t.Fatalf("%d letters although they are refused", len(letters))
	}

	k.limitLetters(ctx, "1000000")
	k.expect(ctx, v, workflow, "d", "fresh; policy/p@1 fresh")
	k.AwaitNow(ctx)
	letters := k.ReadAll(ctx, k.Name("freshet.dead-letter"))
	if len(letters) != 1 || !same(letters[0].Value, poison.Value) {
		t.Fatalf("%d letters; want the one that was refused", len(letters))
	}
	k.Until(ctx, func() string {
		if err := k.App.Ready(); err != nil {
			return err.Error()
		}
		return ""
	})
	v.ReadEnd(ctx)
	if len(v.Last) != 1+3*(partitions-1) {
		t.Errorf("%d verdicts; want one of each workflow", len(v.Last))
	}
	if got := k.Counted("freshet_events_total", map[string]string{"topic": poison.Topic, "result": "dead_letter"}); got != 1 {
		t.Errorf("%v dead letters are counted (%s)", got, event.BadJSON)
	}
}

// TestDeadLettersRefusedOverARestart stops the engine while a letter is refused and starts it on an empty directory: what was held back is
// read again.
func TestDeadLettersRefusedOverARestart(t *testing.T) {
	ctx := within(t)
	k := newKit(t, refunds, harness.Options{})
	k.Start(ctx)
	k.AwaitNow(ctx)
	k.limitLetters(ctx, "1000")
	group := k.Graph().Workflows.Name
	at := time.Now().Add(-time.Hour)
	workflow := k.named("w", 2)
	poison := k.proposed(workflow, "poison", at)
	poison.Value = noise(5000)
	k.Produce(ctx, k.updated("policy/p", 1, at), poison)
	k.Until(ctx, func() string {
		if err := k.App.Ready(); err == nil || !strings.Contains(err.Error(), group+"/2 is held back") {
			return fmt.Sprintf("ready: %v; want that the partition is held back", err)
		}
		return ""
	})
	k.Stop()
	k.LoseRows()
	k.limitLetters(ctx, "8388608") // the engine does not start on topics that do not fit
	k.Start(ctx)
	k.AwaitNow(ctx)
	if letters := k.ReadAll(ctx, k.Name("freshet.dead-letter")); len(letters) != 1 || !same(letters[0].Value, poison.Value) {
		t.Fatalf("%d letters; want the one that was refused", len(letters))
	}
}

// noise is bytes that compression makes no smaller.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// limitLetters sets what the dead-letter topic takes.
func (k *kit) limitLetters(ctx context.Context, bytes string) {
	k.t.Helper()
	changed, err := k.Admin().AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &bytes}}, k.Name("freshet.dead-letter"))
	if err == nil {
		err = changed[0].Err
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

// clockOf returns what the clock of a partition shows, and what the time is.
func (k *kit) clockOf(group string, id int32) (applied, now event.Time) {
	for _, p := range k.App.Partitions() {
		if p.Group == group && p.ID == id {
			applied = p.AppliedThrough
		}
	}
	return applied, event.Of(time.Now())
}
