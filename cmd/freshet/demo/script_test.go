package demo

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/recorded"
	"github.com/freshet-io/freshet/slo"
)

func script(t *testing.T) *Script {
	t.Helper()
	lines, err := recorded.Events()
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewScript(lines, liveFrom, liveTo)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// History ends now, the live stretch fills its time, order is kept, and nothing an event says lies after the event.
func TestTheRecordingIsMovedInOrder(t *testing.T) {
	const now, begin, length = 1_800_000_000_000, 1_800_000_003_000, 40_000
	s := script(t)
	decoder, e := event.NewDecoder(event.Config{}), event.Event{}
	var last event.Time
	check := func(line []byte) {
		t.Helper()
		if reason := decoder.DecodeStructured(line, 0, &e); reason != event.OK {
			t.Fatalf("%s: %v", line, reason)
		}
		if e.Time < last {
			t.Fatalf("%s: before the one before it", line)
		}
		if e.Type == event.SourceUpdated && e.EffectiveAt > e.Time {
			t.Fatalf("%s: in force before it was published", line)
		}
		last = e.Time
	}
	n := 0
	if err := s.History(now, func(line []byte) error { n++; check(line); return nil }); err != nil {
		t.Fatal(err)
	}
	if last != now {
		t.Errorf("history ends %d ms from now", last-now)
	}
	first := event.Time(0)
	if err := s.Live(now, begin, length, func(at event.Time, line []byte) error {
		n++
		check(line)
		if at != e.Time || at < begin || at > begin+length {
			t.Fatalf("%s: at %v", line, at)
		}
		if first == 0 {
			first = at
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if first != begin || last != begin+length {
		t.Errorf("live from %v to %v, want %v to %v", first, last, event.Time(begin), event.Time(begin+length))
	}
	if history, live := s.Events(); n != history+live {
		t.Errorf("%d events, want %d and %d", n, history, live)
	}
}

func TestTimeNeverGoesBack(t *testing.T) {
	s := script(t)
	move := s.move(1_800_000_000_000, 1_800_000_003_000, 40_000)
	before := move(s.times[0] - 1000)
	for at := s.times[s.from] - 50_000; at < s.times[len(s.times)-1]+50_000; at += 7_919 {
		if now := move(at); now < before {
			t.Fatalf("%v moved before an earlier instant", at)
		} else {
			before = now
		}
	}
}

func TestAScriptNeedsHistoryAndALiveStretch(t *testing.T) {
	line := []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"task.started","time":"2026-01-01T00:00:00Z","subject":"w"}`)
	later := []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"task.started","time":"2026-01-01T00:00:01Z","subject":"w"}`)
	for _, c := range []struct {
		lines    [][]byte
		from, to int
	}{{nil, 0, 0}, {[][]byte{line}, 0, 1}, {[][]byte{line, line}, 1, 3}, {[][]byte{line, []byte("{}")}, 1, 2}, {[][]byte{line, line}, 1, 2}, {[][]byte{later, line}, 1, 2}} {
		if _, err := NewScript(c.lines, c.from, c.to); err == nil {
			t.Errorf("%d lines from %d to %d were taken", len(c.lines), c.from, c.to)
		}
	}
	s, err := NewScript([][]byte{line, line, later}, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if history, live := s.Events(); history != 2 || live != 1 {
		t.Errorf("%d events are history and %d live, want 2 and 1", history, live)
	}
}

// The live stretch shows what Freshet is for: stale decisions among fresh ones, with a cause.
func TestTheLiveStretchHasStaleDecisions(t *testing.T) {
	const now, begin, length = 1_800_000_000_000, 1_800_000_003_000, 45_000
	s := script(t)
	b := freshness.NewBatch(contract(t), freshness.DefaultLimits())
	decoder, e := event.NewDecoder(event.Config{}), event.Event{}
	add := func(line []byte) {
		if reason := decoder.DecodeStructured(line, 0, &e); reason != event.OK {
			t.Fatal(reason)
		}
		b.Add(&e, freshness.Position{})
	}
	live := map[string]bool{}
	if err := s.History(now, func(line []byte) error { add(line); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Live(now, begin, length, func(_ event.Time, line []byte) error {
		add(line)
		if e.DecisionID != "" {
			live[e.Subject+"/"+e.DecisionID] = true
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	verdicts, causes := map[string]int{}, map[string]int{}
	if err := b.Golden(func(line []byte) error {
		var v struct {
			Workflow   string
			DecisionID string `json:"decision_id"`
			Verdict    string
			Cause      string
		}
		if err := json.Unmarshal(line, &v); err != nil {
			return err
		}
		if live[v.Workflow+"/"+v.DecisionID] {
			verdicts[v.Verdict]++
			causes[v.Cause]++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("verdicts %v, causes %v", verdicts, causes)
	if verdicts["stale"] < 20 || verdicts["fresh"] < 100 {
		t.Errorf("verdicts %v, causes %v", verdicts, causes)
	}
}

func contract(t *testing.T) *freshness.Contract {
	t.Helper()
	file, err := slo.Parse(recorded.Contract(), "contracts.yaml", os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return file.Contract()
}
