package freshness

import (
	"slices"
	"testing"

	"github.com/freshet-io/freshet/event"
)

// TestZeroIsNotFresh holds the zero values to the safe side.
func TestZeroIsNotFresh(t *testing.T) {
	var v Verdict
	var iv ItemVerdict
	if v.Kind != IsUnknown || iv.Verdict != IsUnknown || (Said{}).Verdict != IsUnknown {
		t.Fatal("what is not said must be unknown")
	}
}

// TestNames fixes the words that records, labels and runbooks use, in their order.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		got  []string
		want []string
	}{
		{[]string{IsUnknown.String(), IsFresh.String(), IsStale.String(), VerdictKind(9).String()}, []string{"unknown", "fresh", "stale", "unknown"}},
		{Reason(allReasons).Names(), []string{"staleness", "versions", "age", "retracted", "no_version", "unknown_source", "unknown_version",
			"no_as_of", "source_silent", "history_truncated", "no_contract", "not_loaded", "no_context"}},
		{Reason(0).Names(), []string{}},
		{[]string{Reason(0).String(), (Staleness | Age).String(), Reason(1 << 15).String()}, []string{"unknown", "unknown", "unknown"}},
		{[]string{NoCause.String(), SourceLate.String(), ConsumerLag.String(), ServingStale.String(), HoldApproval.String(), HoldTool.String(),
			HoldRetry.String(), HoldWaiting.String(), HoldOther.String(), SilentSource.String(), Cause(99).String()},
			[]string{"", "source_late", "consumer_lag", "serving_stale", "hold_approval", "hold_tool", "hold_retry", "hold_waiting",
				"hold_other", "source_silent", "unknown"}},
		{[]string{Proposed.String(), Executed.String(), UseKind(9).String()}, []string{"decision.proposed", "action.executed", "unknown"}},
		{[]string{BySource.String(), ByPublished.String(), Basis(9).String()}, []string{"source", "published", "unknown"}},
		{[]string{trafficName(event.Live), trafficName(event.Backfill), trafficName(event.Eval), trafficName(event.Replay), trafficName(99)},
			[]string{"live", "backfill", "eval", "replay", "unknown"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	if !(Staleness | Age).Has(Age) || Staleness.Has(Age) || Staleness.Has(0) {
		t.Error("Has does not say what is in the set")
	}
}

// TestSeconds writes lengths of time as the golden sets do.
func TestSeconds(t *testing.T) {
	for d, want := range map[Duration]string{
		0: "0.0", 1: "0.001", 10: "0.01", 100: "0.1", 34500: "34.5", 34560: "34.56", 2001: "2.001", 60000: "60.0", 114605988: "114605.988", -1500: "-1.5",
	} {
		if got := string(appendSeconds(nil, d, true)); got != want {
			t.Errorf("%d ms is %s, want %s", d, got, want)
		}
	}
	if got := string(appendSeconds(nil, 5, false)); got != "null" {
		t.Errorf("not known is %s", got)
	}
}

// TestStrings writes strings so that JSON reads them back.
func TestStrings(t *testing.T) {
	for s, want := range map[string]string{
		"plain/key": `"plain/key"`, `a"b\c`: `"a\"b\\c"`, "\n\r\t\b\f\x01\x1f\x7f": "\"\\n\\r\\t\\b\\f\\u0001\\u001f\x7f\"",
		"größe <&>": `"größe <&>"`, "\xff!": "\"\ufffd!\"", "\ufffd": "\"\ufffd\"", "\U0001f600": "\"\U0001f600\"", "": `""`,
	} {
		if got := string(appendString(nil, s)); got != want {
			t.Errorf("%q is %s, want %s", s, got, want)
		}
	}
}

// TestDigestChanges changes every field of a golden line in turn and demands another digest for each.
func TestDigestChanges(t *testing.T) {
	fresh := func() (*Verdict, *Use) {
		return &Verdict{Kind: IsStale, Reasons: Age, WorkflowType: "w", Class: "c", HasClass: true, Staleness: 1, Age: 2, Behind: 3, HasStaleness: true,
			HasAge: true, HasBehind: true, Cause: HoldOther, Owner: "o", Items: []ItemVerdict{{Kind: "k", Key: "x", Verdict: IsStale, Reasons: Age, Seq: 4,
				HasSeq: true, Staleness: 5, HasStaleness: true, Age: 6, HasAge: true, Behind: 7, HasBehind: true, Causes: []Share{{HoldOther, 8, "o"}}}}}, &Use{}
	}
	base, u := fresh()
	seen := map[uint64]int{base.Digest(u, ""): -1}
	for i, change := range []func(v *Verdict, u *Use){
		func(v *Verdict, u *Use) { v.Kind = IsUnknown },
		func(v *Verdict, u *Use) { v.Reasons |= Versions },
		func(v *Verdict, u *Use) { v.WorkflowType = "" },
		func(v *Verdict, u *Use) { v.Class = "d" },
		func(v *Verdict, u *Use) { v.Class, v.HasClass = "", false },
		func(v *Verdict, u *Use) { v.Class = "" },
		func(v *Verdict, u *Use) { v.Staleness++ },
		func(v *Verdict, u *Use) { v.HasStaleness = false },
		func(v *Verdict, u *Use) { v.Age++ },
		func(v *Verdict, u *Use) { v.HasAge = false },
		func(v *Verdict, u *Use) { v.Behind++ },
		func(v *Verdict, u *Use) { v.HasBehind = false },
		func(v *Verdict, u *Use) { v.Cause = HoldTool },
		func(v *Verdict, u *Use) { v.Owner = "p" },
		func(v *Verdict, u *Use) { u.Traffic = event.Eval },
		func(v *Verdict, u *Use) { v.Items = nil },
		func(v *Verdict, u *Use) { v.Items[0].Kind = "l" },
		func(v *Verdict, u *Use) { v.Items[0].Key = "y" },
		func(v *Verdict, u *Use) { v.Items[0].Kind, v.Items[0].Key = "kx", "" },
		func(v *Verdict, u *Use) { v.Items[0].Verdict = IsFresh },
		func(v *Verdict, u *Use) { v.Items[0].Reasons = Versions },
		func(v *Verdict, u *Use) { v.Items[0].Seq++ },
		func(v *Verdict, u *Use) { v.Items[0].HasSeq = false },
		func(v *Verdict, u *Use) { v.Items[0].Staleness++ },
		func(v *Verdict, u *Use) { v.Items[0].HasStaleness = false },
		func(v *Verdict, u *Use) { v.Items[0].Age++ },
		func(v *Verdict, u *Use) { v.Items[0].HasAge = false },
		func(v *Verdict, u *Use) { v.Items[0].Behind++ },
		func(v *Verdict, u *Use) { v.Items[0].HasBehind = false },
		func(v *Verdict, u *Use) { v.Items[0].Causes = nil },
		func(v *Verdict, u *Use) { v.Items[0].Causes[0].Cause = HoldTool },
		func(v *Verdict, u *Use) { v.Items[0].Causes[0].For++ },
		func(v *Verdict, u *Use) { v.Items[0].Causes[0].Owner = "p" },
	} {
		v, u := fresh()
		change(v, u)
		d := v.Digest(u, "")
		if other, ok := seen[d]; ok {
			t.Errorf("changes %d and %d have the same digest", i, other)
		}
		seen[d] = i
	}
	if _, ok := seen[base.Digest(u, "check")]; ok {
		t.Error("the check is no part of the digest")
	}
	v, u := fresh()
	v.Items[0].Version, v.Items[0].Current, v.Silent = "v", &Version{}, true
	if v.Digest(u, "") != base.Digest(u, "") {
		t.Error("evidence is part of the digest")
	}
}
