package edges

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/commands"
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
	k.Start(ctx) // with the one in force
	k.Produce(ctx, k.proposed("w", "again", time.Now()))
	k.expect(ctx, v, "w", "again", fresh)
	under("again", "looser")
	if got := k.Counted("freshet_contract_refused", nil); got != 1 {
		t.Errorf("freshet_contract_refused is %v; the file is not the contract in force", got)
	}
	k.Stop()
	k.UseContract(file(t, looser))
	k.Start(ctx) // the one in force may always start
	k.Stop()
	k.UseContract(file(t, other))
	k.Start(ctx)
	k.Produce(ctx, k.proposed("w", "last", time.Now()))
	k.expect(ctx, v, "w", "last", "stale age; policy/p@1 stale age")
	k.AwaitNow(ctx)
	v.ReadEnd(ctx)
	for decision, contract := range map[string]string{"before": "strict", "between": "strict", "after": "looser", "again": "looser", "last": "other"} {
		under(decision, contract)
	}
	if v.Records != len(v.Last) {
		t.Errorf("%d records of %d verdicts: a change of contract amended what was before it", v.Records, len(v.Last))
	}
}

// TestContractReload changes the file of one of two instances: both judge by it, and what cannot be is refused whole.
func TestContractReload(t *testing.T) {
	ctx := within(t)
	const stale, fresh = "stale versions; policy/p@1 stale versions", "fresh; policy/p@1 fresh"
	looser := strings.Replace(refunds, "policy: {max_versions_behind: 0}", "policy: {max_versions_behind: 1}", 1)
	k := newKit(t, refunds, harness.Options{})
	k.Start(ctx)
	second := k.second(ctx)
	v := k.Verdicts()
	hour := time.Now().Add(-time.Hour)
	k.Produce(ctx, k.updated("policy/p", 1, hour), k.updated("policy/p", 2, hour.Add(time.Minute)))
	all := func(decision string, at time.Time) {
		for p := range int32(partitions) {
			w := k.named("w", p)
			k.Produce(ctx, k.loaded(w, hour.Add(2*time.Minute), ref("policy", "p", 1)), k.proposed(w, decision, at))
		}
	}
	expect := func(decision, want string) {
		t.Helper()
		for p := range int32(partitions) {
			k.expect(ctx, v, k.named("w", p), decision, want)
		}
	}
	all("strict", time.Now())
	expect("strict", stale)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(k.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k.App.Reload()
	}
	gauge := func(e *harness.Engine, want float64) {
		t.Helper()
		k.Until(ctx, func() string {
			if got := e.Counted("freshet_contract_refused", nil); got != want {
				return fmt.Sprintf("freshet_contract_refused is %v, want %v", got, want)
			}
			return ""
		})
	}
	inForce := func(text string) {
		t.Helper()
		f, err := slo.Parse([]byte(text), "f", func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []*harness.Engine{k.Engine, second} {
			k.Until(ctx, func() string {
				if got := e.Counted("freshet_contract_info", map[string]string{"hash": f.Hash()}); got != 1 {
					return f.Hash() + " is not in force"
				}
				return ""
			})
		}
	}
	write(refunds + "nonsense: true\n")
	gauge(k.Engine, 1)
	inForce(refunds)
	write(refunds + "partitioner: crc32\n")
	gauge(k.Engine, 1)
	inForce(refunds)
	between := time.Now().Add(-time.Second) // the next contract may be in force from this very millisecond on
	write(looser)
	inForce(looser)
	gauge(k.Engine, 0)
	all("loose", time.Now())
	expect("loose", fresh)
	all("late", between) // judged by what was in force then
	expect("late", stale)
	write(refunds) // had been in force
	gauge(k.Engine, 1)
	inForce(looser)
	accept := command(ctx, t, "contracts", "accept", "-kafka.brokers", strings.Join(k.Brokers(), ","), k.path)
	if accept != 0 {
		t.Fatalf("contracts accept: exit status %d", accept)
	}
	inForce(refunds)
	gauge(k.Engine, 0)
	all("strict again", time.Now())
	expect("strict again", stale)
	v.ReadEnd(ctx)
	if v.Records != len(v.Last) {
		t.Errorf("%d records of %d verdicts: a change of contract amended what was before it", v.Records, len(v.Last))
	}
}

// TestContractComesLate puts a contract in force whose record comes later than the uses that it is in force for, as on an instance that could
// not read the topic for a while: they are judged again by it, those without items too, and those before it are not.
func TestContractComesLate(t *testing.T) {
	ctx := within(t)
	k := newKit(t, refunds, harness.Options{})
	k.Start(ctx)
	k.AwaitNow(ctx)
	v := k.Verdicts()
	hour := time.Now().Add(-time.Hour)
	k.Produce(ctx, k.updated("policy/p", 1, hour), k.updated("policy/p", 2, hour.Add(time.Minute)), k.loaded("w", hour.Add(2*time.Minute), ref("policy", "p", 1)))
	k.Produce(ctx, k.proposed("w", "before", time.Now()), k.proposed("empty", "before", time.Now()))
	since := time.Now().Add(time.Millisecond).Truncate(time.Millisecond)
	k.AwaitNow(ctx)
	k.Produce(ctx, k.proposed("w", "after", time.Now()), k.proposed("empty", "after", time.Now()))
	const stale, nothing = "stale versions; policy/p@1 stale versions", "unknown no_context"
	for _, decision := range []string{"before", "after"} {
		k.expect(ctx, v, "w", decision, stale)
		k.expect(ctx, v, "empty", decision, nothing)
	}

	looser := strings.Replace(refunds, "policy: {max_versions_behind: 0}", "policy: {max_versions_behind: 1}", 1)
	looser = strings.Replace(looser, "    bounds:", "    require: [policy]\n    bounds:", 1)
	f, err := slo.Parse([]byte(looser), "looser", func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(map[string]any{"hash": f.Hash(), "since": stamp(since), "contract": looser})
	if err != nil {
		t.Fatal(err)
	}
	k.Produce(ctx, &kgo.Record{Topic: k.Graph().Contracts, Key: []byte(f.Hash() + "/" + stamp(since)), Value: value, Timestamp: since})
	k.expect(ctx, v, "w", "after", "fresh; policy/p@1 fresh")
	k.expect(ctx, v, "empty", "after", "unknown not_loaded no_context")
	k.AwaitNow(ctx)
	v.ReadEnd(ctx)
	for workflow, want := range map[string]string{"w": stale, "empty": nothing} {
		if got := said(v, workflow, "before"); got != want {
			t.Errorf("%s before it is in force: %q; want %q", workflow, got, want)
		}
	}
	if v.Records != len(v.Last)+2 {
		t.Errorf("%d records of %d verdicts; want one amendment of each use after it", v.Records, len(v.Last))
	}
}

// command runs a command of the program and returns its exit status.
func command(ctx context.Context, t *testing.T, args ...string) int {
	t.Helper()
	var out, errs bytes.Buffer
	status := commands.New().Main(ctx, args, &cli.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs, Getenv: func(string) (string, bool) { return "", false }})
	t.Logf("%v: %d %s", args, status, errs.String())
	return status
}
