package budget

import (
	"reflect"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

func TestKeysAreReadAgain(t *testing.T) {
	for _, name := range []string{"a", "refund decisions/fresh", "100%", "ü~+"} {
		key := Key(name, 7, 1_764_090_600_000, 10*second)
		objective, partition, start, size, err := ParseKey(key)
		if err != nil || objective != name || partition != 7 || start != 1_764_090_600_000 || size != 10*second {
			t.Errorf("%s is read as %q %d %s %d: %v", key, objective, partition, start, size, err)
		}
	}
	if got := Key("refunds", 3, 1_764_090_600_000, hour); got != "refunds/3/2025-11-25T17:10:00.000Z~1h" {
		t.Errorf("key %s", got)
	}
	for _, key := range []string{"", "a", "a/1", "a/1/2", "a/x/2025-11-25T17:10:00.000Z~1h", "a/1/2025-11-25T17:10:00.000Z", "a/1/2025-11-25T17:10:00.000Z~0s", "%/1/2025-11-25T17:10:00.000Z~1h", "a/1/now~1h", "a/1/2025-11-25T17:10:00.000Z~1h/x"} {
		if _, _, _, _, err := ParseKey(key); err == nil {
			t.Errorf("%q is read as a key", key)
		}
	}
}

func TestRecordsAreReadAgain(t *testing.T) {
	const start = event.Time(1_764_090_600_000)
	b := Bucket{Start: start, Size: minute, Counts: Counts{5, 2, 1},
		Shares: []Share{{"source_late", "risk", Whole}, {"source_silent", "a \"b\"", 2}, {"no_version", "", 1}},
		Evidence: []Evidence{
			{Time: start + 2, Verdict: freshness.IsStale, Topic: "workflow.decision", Partition: 3, Offset: 4411, Workflow: "wf-7f3", DecisionID: "d1", Trace: "4bf92f3577b34da6a3ce929d0e0e4736"},
			{Time: start + 1, Verdict: freshness.IsUnknown, Topic: "workflow.decision", Partition: 3, Offset: 4410, Workflow: "wf-7f3", DecisionID: "d0"},
		}}
	data := AppendRecord(nil, "refunds", 3, &b, start)
	objective, partition, got, err := ParseRecord(data)
	if err != nil || objective != "refunds" || partition != 3 || !reflect.DeepEqual(got, b) {
		t.Errorf("%s is read as %q %d %+v: %v", data, objective, partition, got, err)
	}
	empty := Bucket{Start: start, Size: second, Counts: Counts{Good: 1}}
	const want = `{"slo":"s","partition":0,"start":"2025-11-25T17:10:00.000Z","end":"2025-11-25T17:10:01.000Z","good":1,"bad":0,"unknown":0,"shares":[],"evidence":[],"updated_at":"2025-11-25T17:10:00.000Z"}`
	if got := string(AppendRecord(nil, "s", 0, &empty, start)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, text := range []string{"", "{}", `{"slo":"s","start":"2025-11-25T17:10:00.000Z","end":"2025-11-25T17:10:00.000Z"}`} {
		if _, _, b, err := ParseRecord([]byte(text)); err == nil {
			t.Errorf("%s is read as %+v", text, b)
		}
	}
}

func FuzzParse(f *testing.F) {
	b := Bucket{Size: second, Shares: []Share{{"source_late", "risk", 1}}, Evidence: []Evidence{{Topic: "t"}}}
	f.Add(AppendRecord(nil, "s", 1, &b, 0), Key("s", 1, 0, second))
	f.Fuzz(func(t *testing.T, data []byte, key string) {
		if objective, partition, b, err := ParseRecord(data); err == nil {
			again := AppendRecord(nil, objective, partition, &b, 0)
			if _, _, same, err := ParseRecord(again); err != nil || !reflect.DeepEqual(same, b) {
				t.Errorf("%s is read as %+v, written again as %s: %v", data, b, again, err)
			}
		}
		if objective, partition, start, size, err := ParseKey(key); err == nil {
			if _, _, _, _, err := ParseKey(Key(objective, partition, start, size)); err != nil {
				t.Errorf("%q: %v", key, err)
			}
		}
	})
}
