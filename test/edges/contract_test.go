package edges

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/processors/contracts"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/test/harness"
)

// TestContractChanges starts the engine with other contracts on the same topics: each use keeps the contract that was in force at its
// instant, and an old file does not come back by itself.
func TestContractChanges(t *testing.T) {
	ctx := within(t)
	looser := strings.Replace(refunds, "policy: {max_versions_behind: 0}", "policy: {max_versions_behind: 1}", 1)
	other := strings.Replace(refunds, "max_versions_behind: 0}, feature", "max_age: 1s}, feature", 1)
	hashes := map[string]string{}
	for name, text := range map[string]string{"strict": refunds, "looser": looser, "other": other} {
		f, err := slo.Parse([]byte(text), name, func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		hashes[name] = f.Contract().Hash
	}
	k := newKit(t, refunds, harness.Options{})
	k.Start(ctx)
	v := k.Verdicts()
	hour := time.Now().Add(-time.Hour)
	k.Produce(ctx, k.updated("policy/p", 1, hour), k.updated("policy/p", 2, hour.Add(time.Minute)))
	k.Produce(ctx, k.loaded("w", hour.Add(2*time.Minute), ref("policy", "p", 1)))
	k.AwaitNow(ctx)
	k.Produce(ctx, k.proposed("w", "before", hour.Add(3*time.Minute)))
	const stale, fresh = "stale versions; policy/p@1 stale versions", "fresh; policy/p@1 fresh"
	k.expect(ctx, v, "w", "before", stale)
	under := func(decision, contract string) {
		t.Helper()
		if got := v.Last["w "+decision+" decision.proposed"].Data["contract"]; got != hashes[contract] {
			t.Errorf("%s was judged by %v; want %s, the %s one", decision, got, hashes[contract], contract)
		}
	}
	under("before", "strict")
	between := time.Now().Truncate(time.Millisecond)
	k.Stop()

	k.UseContract(file(t, looser))
	k.Start(ctx)
	after := time.Now().Truncate(time.Millisecond)
	k.Produce(ctx, k.proposed("w", "between", between), k.proposed("w", "after", after)) // the first one comes after the change, but was before it
	k.expect(ctx, v, "w", "between", stale)
	k.expect(ctx, v, "w", "after", fresh)
	under("between", "strict")
	under("after", "looser")
	k.Stop()

	k.UseContract(file(t, refunds))
	k.refused(ctx, hashes["strict"], hashes["looser"])
	k.UseContract(file(t, looser))
	k.Start(ctx) // the one in force may always start
	k.Stop()
	k.UseContract(file(t, other))
	k.Start(ctx)
	k.Produce(ctx, k.proposed("w", "last", time.Now()))
	k.expect(ctx, v, "w", "last", "stale age; policy/p@1 stale age")
	k.AwaitNow(ctx)
	v.ReadEnd(ctx)
	for decision, contract := range map[string]string{"before": "strict", "between": "strict", "after": "looser", "last": "other"} {
		under(decision, contract)
	}
	if v.Records != len(v.Last) {
		t.Errorf("%d records of %d verdicts: a change of contract amended what was before it", v.Records, len(v.Last))
	}
	k.Stop()
	for _, text := range []string{refunds, looser} {
		k.UseContract(file(t, text))
		k.refused(ctx, hashes["other"])
	}
}

// refused starts an engine that must refuse because of its contract.
func (k *kit) refused(ctx context.Context, names ...string) {
	k.t.Helper()
	err := k.TryStart(ctx)
	if err == nil {
		k.t.Fatal("an engine with a contract that is no longer in force started")
	}
	if !errors.Is(err, contracts.ErrSuperseded) {
		k.t.Errorf("refused with: %v", err)
	}
	for _, name := range names {
		if !strings.Contains(fmt.Sprint(err), name) {
			k.t.Errorf("refused with: %v; it does not name %s", err, name)
		}
	}
}
