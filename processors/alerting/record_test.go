package alerting

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
)

var seed = flag.Uint64("alerting.seed", 0, "seed of the random records, 0: another one each time")

// plainPosition and plainRecord are what is read of a record, as encoding/json reads it.
type plainPosition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

type plainRecord struct {
	Status    string     `json:"status"`
	Workflow  *string    `json:"workflow"`
	Type      *string    `json:"workflow_type"`
	Count     int64      `json:"count"`
	Workflows []string   `json:"workflows"`
	Kind      string     `json:"kind"`
	Key       string     `json:"key"`
	Bound     string     `json:"bound"`
	Since     event.Time `json:"since"`
	Owner     *string    `json:"owner"`
	Cause     *string    `json:"cause"`
	Traffic   string     `json:"traffic_class"`
	Used      *struct {
		Version *string        `json:"version"`
		AsOf    *event.Time    `json:"as_of"`
		At      *plainPosition `json:"at"`
	} `json:"used"`
	Current *struct {
		Version *string        `json:"version"`
		Seq     *int64         `json:"seq"`
		At      *plainPosition `json:"at"`
	} `json:"current"`
}

// read is what is kept of it.
func (p *plainRecord) read() *record {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	r := &record{open: p.Status == "open", workflows: p.Workflows,
		subject: subject{workflowType: text(p.Type), kind: p.Kind, key: p.Key, owner: text(p.Owner), cause: text(p.Cause), group: p.Workflow == nil},
		facts:   facts{count: p.Count, since: p.Since},
	}
	r.traffic, _ = event.ParseTrafficClass(p.Traffic)
	if p.Used != nil && p.Used.At != nil {
		r.used, r.usedPart, r.usedOffset = p.Used.At.Topic, p.Used.At.Partition, p.Used.At.Offset
	}
	if c := p.Current; c != nil {
		if c.Seq != nil {
			r.seq = *c.Seq
		}
		if c.At != nil {
			r.current, r.currPart, r.currOffset = c.At.Topic, c.At.Partition, c.At.Offset
		}
	}
	return r
}

// sameRecord compares what is read of data with what encoding/json reads.
func sameRecord(t *testing.T, in *record, data []byte) {
	t.Helper()
	var plain plainRecord
	if err := json.Unmarshal(data, &plain); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	if !in.read(data) {
		t.Fatalf("%s cannot be read", data)
	}
	want := plain.read()
	if got := *in; got.open != want.open || fmt.Sprintf("%q", got.workflows) != fmt.Sprintf("%q", want.workflows) || got.subject != want.subject || got.facts != want.facts {
		t.Fatalf("%s is read as\n%v %q %+v %+v\nwant\n%v %q %+v %+v", data,
			got.open, got.workflows, got.subject, got.facts, want.open, want.workflows, want.subject, want.facts)
	}
}

// Records are read as encoding/json reads them, whatever is in them and in whatever order.
func TestRecordsAreReadAsJSON(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	defer func() {
		if t.Failed() {
			t.Logf("repeat it with -alerting.seed %d", *seed)
		}
	}()
	r := rand.New(rand.NewPCG(*seed, 0))
	in := &record{} // the same one for all: nothing of one is left in the next
	for range 2000 {
		data, err := json.Marshal(randomRecord(r))
		if err != nil {
			t.Fatal(err)
		}
		sameRecord(t, in, data)
	}
}

// randomRecord fills in all that a record has, null where that can be, and some members that nobody knows.
func randomRecord(r *rand.Rand) map[string]any {
	text := func() string {
		parts := []string{"policy", "wf-1", "%2F", "ä", "\"", "\\", "\n", "🜂", "</x>", "\u2028", " ", "context.source", "", "x"}
		s := ""
		for range r.IntN(4) {
			s += parts[r.IntN(len(parts))]
		}
		return s
	}
	maybe := func(v any) any {
		if r.IntN(4) == 0 {
			return nil
		}
		return v
	}
	at := func() any {
		return maybe(map[string]any{"topic": text(), "partition": r.Int32(), "offset": r.Int64()})
	}
	instant := func() event.Time { return event.Time(r.Int64N(4e12)) }
	ids := []string{}
	for range r.IntN(4) {
		ids = append(ids, text())
	}
	m := map[string]any{
		"detection_id": text(), "status": []string{"open", "closed", "other"}[r.IntN(3)], "workflow": maybe(text()), "workflow_type": maybe(text()), "count": r.Int64(),
		"workflows": ids, "kind": text(), "key": text(), "bound": "max_age", "since": instant(), "detected_at": instant(), "closed_at": maybe(instant()),
		"closed_by": maybe("drop"), "owner": maybe(text()), "cause": maybe(text()), "traffic_class": []string{"live", "backfill", "eval", "replay", "?"}[r.IntN(5)],
		"used":    maybe(map[string]any{"version": maybe(text()), "seq": maybe(r.Int64()), "as_of": maybe(instant()), "loaded_at": maybe(instant()), "at": at()}),
		"current": maybe(map[string]any{"version": maybe(text()), "seq": maybe(-r.Int64()), "effective_at": instant(), "published_at": maybe(instant()), "at": at()}),
		text():    map[string]any{"a": []any{1.5e3, nil, true, text(), map[string]any{}}},
	}
	for name := range m {
		if r.IntN(20) == 0 {
			delete(m, name)
		}
	}
	return m
}

// These are records as the engine writes them, of a detection and of a group.
var written = []string{
	`{"detection_id":"wf-1/policy/p/2026-11-30T19:54:54.000Z","status":"open","workflow":"wf-1","workflow_type":"refund","count":1,"workflows":["wf-1"],"kind":"policy","key":"p","used":{"version":"v1","seq":1,"as_of":"2026-11-30T18:54:54.000Z","loaded_at":"2026-11-30T19:53:54.000Z","at":{"topic":"workflow.context","partition":3,"offset":88123}},"current":{"version":"v1","seq":1,"effective_at":"2026-11-30T18:54:54.000Z","published_at":"2026-11-30T19:53:50.000Z","at":{"topic":"context.source","partition":1,"offset":990}},"bound":"max_age","since":"2026-11-30T19:54:54.000Z","detected_at":"2026-11-30T19:54:55.010Z","closed_at":null,"closed_by":null,"owner":"risk-platform","cause":"hold_other","traffic_class":"live"}`,
	`{"detection_id":"\u0000group","status":"closed","workflow":null,"workflow_type":null,"count":5000,"workflows":["a/b","ä"],"kind":"policy","key":"p","used":{"version":null,"seq":null,"as_of":null,"loaded_at":null,"at":null},"current":null,"bound":"max_staleness","since":"2026-11-30T19:54:54.000Z","detected_at":"2026-11-30T19:54:55.010Z","closed_at":"2026-11-30T19:55:00.000Z","closed_by":"reload","owner":null,"cause":null,"traffic_class":"replay"}`,
}

func TestWrittenRecordsAreRead(t *testing.T) {
	in := &record{}
	for _, text := range written {
		sameRecord(t, in, []byte(text))
	}
	for i := range written[0] {
		if in.read([]byte(written[0][:i])) {
			t.Fatalf("read: %s", written[0][:i])
		}
	}
	for _, text := range []string{`[]`, `{"status":1}`, `{"workflows":[1]}`, `{"workflows":"x"}`, `{"since":"yesterday"}`, `{"count":1.5}`, `{"used":[]}`, `{"current":{"at":7}}`} {
		if in.read([]byte(text)) {
			t.Errorf("read: %s", text)
		}
	}
}

// What is kept of a record is not a piece of it: the fetch that it came with is used again.
func TestNothingOfARecordIsKept(t *testing.T) {
	d := NewDetections(func(string) string { return "workflows/0" })
	for i, id := range []string{"wf-1/policy/p/1", "other"} {
		data := []byte(written[0])
		if err := d.Apply(id, data); err != nil {
			t.Fatal(err)
		}
		clear(data)
		got := d.open[id]
		want := subject{workflowType: "refund", kind: "policy", key: "p", owner: "risk-platform", cause: "hold_other", used: "workflow.context", current: "context.source", rests: "workflows/0"}
		if !reflect.DeepEqual(got.workflows, []string{"wf-1"}) || got.subject != want || d.subjects[want] != got.shared || got.shared.detections != i+1 {
			t.Errorf("%s: %q of %+v", id, got.workflows, got.subject)
		}
	}
}

// BenchmarkApply is what a detection costs the instance that evaluates alerts.
func BenchmarkApply(b *testing.B) {
	d := NewDetections(func(string) string { return "workflows/0" })
	data := []byte(written[0])
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := d.Apply(fmt.Sprintf("wf-1/policy/p/%d", i&0xffff), data); err != nil {
			b.Fatal(err)
		}
	}
}
