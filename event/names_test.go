package event

import "testing"

func TestTypes(t *testing.T) {
	if len(Types()) != 24 {
		t.Errorf("there are %d types, want 24", len(Types()))
	}
	for _, typ := range Types() {
		for _, prefix := range []string{"", "io.freshet.", "com.acme.task.started.", ".", ".."} {
			if got := TypeOf(prefix + typ.String()); got != typ {
				t.Errorf("%s%s is %v", prefix, typ, got)
			}
		}
		for _, other := range []string{typ.String() + ".x", typ.String() + ".", "x" + typ.String(), "X." + typ.String() + "s"} {
			if got := TypeOf(other); got != Other {
				t.Errorf("%s is %v", other, got)
			}
		}
		if typ.Category() == Unknown {
			t.Errorf("%v has no category", typ)
		}
	}
	for _, name := range []string{"", ".", "started", "task", "task.", ".started", "task..started", "Task.Started", "source.forget", "workflow.erase", "freshet.verdict", "other"} {
		if got := TypeOf(name); got != Other {
			t.Errorf("%q is %v", name, got)
		}
	}
	for name, want := range map[string]Category{
		"task.created": Control, "approval.denied": Control, "tool.retry_scheduled": Control, "context.loaded": Context, "context.dropped": Context,
		"tool.called": Tool, "tool.result": Tool, "decision.proposed": Decision, "action.executed": Decision, "compensation.triggered": Decision,
		"source.updated": Source, "source.heartbeat": Source, "source.available": Source,
	} {
		if got := TypeOf("x." + name).Category(); got != want {
			t.Errorf("%s belongs to %v, want %v", name, got, want)
		}
	}
	if Other.Category() != Unknown || Type(200).Category() != Unknown || SourceForget.Category() != Source || WorkflowErase.Category() != Unknown {
		t.Error("the types outside the vocabulary are in the wrong category")
	}
}

// TestZeroValuesAndNames holds that the zero value of every enum is the safe one, that every value has its own name, and that values
// nobody has defined have the name of the zero value.
func TestZeroValuesAndNames(t *testing.T) {
	check := func(enum string, name func(int) string, want ...string) {
		t.Helper()
		for i, w := range want {
			if got := name(i); got != w {
				t.Errorf("%s %d is %q, want %q", enum, i, got, w)
			}
		}
		for _, beyond := range []int{len(want), 255} {
			if got, zero := name(beyond), want[0]; got != zero {
				t.Errorf("%s %d, which does not exist, is %q, want %q", enum, beyond, got, zero)
			}
		}
	}
	check("Category", func(i int) string { return Category(i).String() }, "unknown", "control", "context", "tool", "decision", "source")
	check("TrafficClass", func(i int) string { return TrafficClass(i).String() }, "live", "backfill", "eval", "replay")
	check("Change", func(i int) string { return Change(i).String() }, "updated", "retracted", "rolled_back")
	check("Type", func(i int) string { return Type(i).String() }, "other",
		"task.created", "task.started", "task.waiting", "task.resumed", "task.completed", "task.failed", "task.cancelled",
		"approval.requested", "approval.granted", "approval.denied", "tool.retry_scheduled", "context.loaded", "context.dropped",
		"tool.called", "tool.result", "decision.proposed", "action.approved", "action.rejected", "action.overridden", "action.executed",
		"compensation.triggered", "source.updated", "source.heartbeat", "source.available", "source.forget", "workflow.erase")

	reasons := []string{"ok", "not_cloudevent", "bad_json", "missing_attribute", "bad_time", "key_mismatch", "wrong_topic", "bad_ref", "too_large", "future_dated"}
	for i, want := range reasons {
		if got := Reason(i).String(); got != want {
			t.Errorf("Reason %d is %q, want %q", i, got, want)
		}
	}
	// A reason that does not exist may not look as if nothing were wrong.
	for _, beyond := range []int{len(reasons), 255} {
		if got := Reason(beyond).String(); got != "unknown" {
			t.Errorf("Reason %d, which does not exist, is %q", beyond, got)
		}
	}
	if len(Reasons()) != len(reasons)-1 || Reasons()[0] != NotCloudEvent {
		t.Errorf("reasons are %v", Reasons())
	}
}

func TestParseNames(t *testing.T) {
	for c := Control; c <= Source; c++ {
		if got, ok := ParseCategory(c.String()); !ok || got != c {
			t.Errorf("%v reads as %v, %v", c, got, ok)
		}
	}
	for c := Live; c <= Replay; c++ {
		if got, ok := ParseTrafficClass(c.String()); !ok || got != c {
			t.Errorf("%v reads as %v, %v", c, got, ok)
		}
	}
	for c := Updated; c <= RolledBack; c++ {
		if got, ok := ParseChange(c.String()); !ok || got != c {
			t.Errorf("%v reads as %v, %v", c, got, ok)
		}
	}
	for r := OK; r <= FutureDated; r++ {
		if got, ok := ParseReason(r.String()); !ok || got != r {
			t.Errorf("%v reads as %v, %v", r, got, ok)
		}
	}
	for _, no := range []string{"", "unknown", "Live", "LIVE", "updated ", "OK", "reason"} {
		if c, ok := ParseCategory(no); ok || c != Unknown {
			t.Errorf("%q is a category", no)
		}
		if c, ok := ParseTrafficClass(no); ok || c != Live {
			t.Errorf("%q is a traffic class", no)
		}
		if c, ok := ParseChange(no); ok || c != Updated {
			t.Errorf("%q is a change", no)
		}
		if r, ok := ParseReason(no); ok || r != OK {
			t.Errorf("%q is a reason", no)
		}
	}
}
