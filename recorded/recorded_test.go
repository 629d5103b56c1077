package recorded_test

import (
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/recorded"
)

func TestEveryLineIsAnEventAndTimeGoesForward(t *testing.T) {
	lines, err := recorded.Events()
	if err != nil {
		t.Fatal(err)
	}
	decoder, e := event.NewDecoder(event.Config{}), event.Event{}
	var last event.Time
	for i, line := range lines {
		if reason := decoder.DecodeStructured(line, 0, &e); reason != event.OK {
			t.Fatalf("line %d: %v", i+1, reason)
		}
		if e.Time < last {
			t.Fatalf("line %d goes back in time", i+1)
		}
		last = e.Time
	}
	if len(lines) < 20_000 {
		t.Errorf("%d events", len(lines))
	}
	if len(recorded.Contract()) == 0 {
		t.Error("the contract is empty")
	}
}
