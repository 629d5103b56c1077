package workflows

import (
	"testing"

	"github.com/freshet-io/freshet/event"
)

// Whoever hears a clock knows, without a look at what waits, whether something has waited for it.
func TestAClockIsKnownToBeWaitedFor(t *testing.T) {
	b := newBlocked(2)
	passed := func(q int32, complete event.Time, want bool) {
		t.Helper()
		if got := b.passed(q, complete); got != want {
			t.Errorf("source partition %d complete through %d: %v, want %v", q, complete, got, want)
		}
	}
	passed(1, never-1, false)
	b.push(1, deadline{at: 20, key: "b"})
	passed(1, 19, false)
	passed(1, 20, true)
	passed(0, 20, false)
	b.push(1, deadline{at: 10, key: "a"})
	b.push(1, deadline{at: 30, key: "c"})
	passed(1, 9, false)
	passed(1, 10, true)
	for _, want := range []string{"a", "b"} {
		if d, ok := b.pop(1, 29); !ok || d.key != want {
			t.Errorf("popped %+v, %v, want %s", d, ok, want)
		}
	}
	if d, ok := b.pop(1, 29); ok {
		t.Errorf("popped %+v before it is due", d)
	}
	passed(1, 29, false)
	passed(1, 30, true)
	if d, ok := b.pop(1, 30); !ok || d.key != "c" {
		t.Errorf("popped %+v, %v, want c", d, ok)
	}
	passed(1, never-1, false)
}
