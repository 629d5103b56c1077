package event

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestToBinary(t *testing.T) {
	line := `{ "specversion":"1.0", "id":"e\u002d1","source":"/agents/3","type":"com.acme.action.executed","time":"2026-01-03T18:07:55.0004+01:00",` +
		`"data":{ "decision_id" : "d1","note":"\u00e9" },"subject":"wf-1","datacontenttype":"application/json; charset=utf-8","recordedtime":"2026-01-03T17:08:00Z",` +
		`"workflowtype":"refund","trafficclass":"eval","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",` +
		`"sequence":"0001","comacmeflag":true,"comacmecount":-5,"comacmenote":"a \"b\" \ud834\udd1e","comacmetree":{"a": [1]},"unset":null,"ID":"another"}`
	var e Event
	memory := []byte(line)
	r, reason := NewDecoder(Config{}).ToBinary(memory, &e)
	if reason != OK {
		t.Fatal(reason)
	}
	var headers []string
	for _, h := range r.Headers {
		headers = append(headers, string(h.Key)+": "+string(h.Value))
	}
	want := []string{
		"ce_specversion: 1.0", "ce_id: e-1", "ce_source: /agents/3", "ce_type: com.acme.action.executed", "ce_time: 2026-01-03T18:07:55.0004+01:00",
		"ce_subject: wf-1", "ce_recordedtime: 2026-01-03T17:08:00Z", "ce_workflowtype: refund", "ce_trafficclass: eval",
		"ce_traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "ce_sequence: 0001", "ce_comacmeflag: true", "ce_comacmecount: -5",
		`ce_comacmenote: a "b" 𝄞`, `ce_comacmetree: {"a": [1]}`, "ce_ID: another", "content-type: application/json; charset=utf-8",
	}
	if !slices.Equal(headers, want) {
		t.Errorf("headers are\n%s, want\n%s", strings.Join(headers, "\n"), strings.Join(want, "\n"))
	}
	if string(r.Key) != "wf-1" || string(r.Value) != `{ "decision_id" : "d1","note":"\u00e9" }` || r.Time != atTime+5000 || r.Category != Decision {
		t.Errorf("got key %s, value %s, time %v, category %v", r.Key, r.Value, r.Time, r.Category)
	}
	// Headers lie side by side in one piece of memory, and none can grow into the next.
	for _, h := range r.Headers[:len(r.Headers)-1] { // the last one has memory of its own
		if within(alias(h.Value), memory) || cap(h.Key) > len(h.Key) || cap(h.Value) > len(h.Value) {
			t.Errorf("header %s can be written into another", h.Key)
		}
	}
}

func TestToBinaryRefuses(t *testing.T) {
	r, reason := NewDecoder(Config{}).ToBinary([]byte(structured("task.started", "id", "")), new(Event))
	if reason != MissingAttribute || !reflect.DeepEqual(r, Record{}) {
		t.Errorf("got %v and %+v", reason, r)
	}
}

// sameInBothModes decodes a structured event, and the record in binary mode that it becomes, which must give the same Event.
func sameInBothModes(line []byte) error {
	var e, b Event
	r, reason := NewDecoder(Config{}).ToBinary(line, &e)
	if direct := NewDecoder(Config{}).DecodeStructured(line, 0, new(Event)); direct != reason {
		return fmt.Errorf("ToBinary says %v, DecodeStructured %v", reason, direct)
	}
	if reason != OK {
		return nil
	}
	if e.Appended <= 0 {
		// Kafka has no timestamps before 1970, which is what such a record would need to say the same.
		return nil
	}
	if reason := NewDecoder(Config{MaxSkew: 1 << 62}).Decode(&r, &b); reason != OK {
		return fmt.Errorf("in binary mode %v: %+v", reason, r)
	}
	one, other := copied(&e), copied(&b)
	if !reflect.DeepEqual(one, other) {
		return fmt.Errorf("structured\n%+v, binary\n%+v", one, other)
	}
	if e.Ident() != b.Ident() || e.ContentDigest() != b.ContentDigest() {
		return fmt.Errorf("hashes differ for %+v", one)
	}
	return nil
}

func TestBothModesAreTheSame(t *testing.T) {
	for name, line := range map[string]string{
		"no data":               structured("task.started"),
		"no data, declared":     structured("task.started", "datacontenttype", `"application/json"`),
		"null data":             structured("task.started", "data", " null"),
		"null data, declared":   structured("task.started", "data", "null", "datacontenttype", `"application/json"`),
		"undeclared data":       structured("task.started", "data", `{"step":"a\u0062"}`),
		"array data":            structured("task.started", "data", `[1, 2]`),
		"string data":           structured("task.started", "data", `"text"`),
		"empty string data":     structured("task.started", "data", `""`),
		"empty content type":    structured("task.started", "data", `{}`, "datacontenttype", `""`),
		"base64 json":           structured(executed, "data_base64", `"eyJkZWNpc2lvbl9pZCI6ImQifQ=="`),
		"base64 null":           structured("task.started", "data_base64", `"bnVsbA=="`),
		"base64 bytes":          structured("acme.done", "data_base64", `"AP8B"`, "datacontenttype", `"application/avro"`),
		"text":                  structured("acme.done", "data", `"a\nb\ud834\udd1e"`, "datacontenttype", `"text/plain"`),
		"empty text":            structured("acme.done", "data", `""`, "datacontenttype", `"text/plain"`),
		"text that is no text":  structured("acme.done", "data", `{"a": 1}`, "datacontenttype", `"text/plain"`),
		"event in an event":     structured("acme.done", "data", `{"a": 1}`, "datacontenttype", `"application/cloudevents+json"`),
		"batch in an event":     structured("acme.done", "data", `"x"`, "datacontenttype", `"application/cloudevents-batch+json"`),
		"source":                structured("source.updated", "subject", `"p/k"`, "data", `{"kind":"p","key":"k","seq":1}`, "trafficclass", `"eval"`),
		"confusing attributes":  structured("task.started", "ID", `"x"`, "Ce_id", `"x"`, "", `"x"`, "ce_id", `"x"`, "contenttype", `"x"`, "content-type", `"x"`),
		"recorded, with refs":   structured(loaded, "recordedtime", `"2026-01-03T18:00:00Z"`, "data", `{"refs":[{"kind":"p","key":"k\/l","as_of":"`+at+`"},5]}`),
		"leap second":           structured("task.started", "time", `"2016-12-31T23:59:60Z"`),
		"workflow type in both": structured("task.started", "workflowtype", `"a"`, "data", `{"workflow_type":"b"}`),
	} {
		if reason := NewDecoder(Config{}).DecodeStructured([]byte(line), 0, new(Event)); reason != OK {
			t.Errorf("%s: %v", name, reason)
		}
		if err := sameInBothModes([]byte(line)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeadLetter(t *testing.T) {
	want := DeadLetter{Reason: KeyMismatch, Topic: "workflow.control", Partition: 7, Offset: 1 << 40}
	own := []Header{{[]byte("ce_id"), []byte("e-1")}, {[]byte("x"), nil}}
	headers := append(slices.Clone(own), want.Headers()...)
	var text []string
	for _, h := range headers[2:] {
		text = append(text, string(h.Key)+"="+string(h.Value))
	}
	if got := strings.Join(text, " "); got != "freshet-reason=key_mismatch freshet-topic=workflow.control freshet-partition=7 freshet-offset=1099511627776" {
		t.Errorf("headers are %s", got)
	}
	if got, ok := ParseDeadLetter(headers); !ok || got != want {
		t.Errorf("read %+v, %v", got, ok)
	}
	if got := Resent(headers); !reflect.DeepEqual(got, own) {
		t.Errorf("sent back with %v", got)
	}
	// Dead-lettered a second time: the last ones hold.
	again := DeadLetter{Reason: BadTime, Topic: "workflow.tool", Partition: 0, Offset: 0}
	if got, ok := ParseDeadLetter(append(headers, again.Headers()...)); !ok || got != again {
		t.Errorf("read %+v, %v", got, ok)
	}
	for i := range want.Headers() {
		if got, ok := ParseDeadLetter(slices.Delete(want.Headers(), i, i+1)); ok {
			t.Errorf("without header %d: read %+v", i, got)
		}
		for _, bad := range []string{"", "-1", "ok", "9223372036854775808", "7 "} {
			h := want.Headers()
			if i == 1 && bad != "" {
				continue // any text can be a topic
			}
			h[i].Value = []byte(bad)
			if got, ok := ParseDeadLetter(h); ok {
				t.Errorf("header %d is %q: read %+v", i, bad, got)
			}
		}
	}
}

func TestTraceID(t *testing.T) {
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for in, want := range map[string]string{
		"00-" + trace + "-b7ad6b7169203331-01":                   trace,
		"01-" + trace + "-b7ad6b7169203331-01-more":              trace,
		"00-" + trace + "-b7ad6b7169203331-01-more":              "",
		"ff-" + trace + "-b7ad6b7169203331-01":                   "",
		"00-" + strings.ToUpper(trace) + "-b7ad6b7169203331-01":  "",
		"00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01": "",
		"00-" + trace + "_b7ad6b7169203331-01":                   "",
		"":                                                       "",
		trace:                                                    "",
		"00-1-2-3":                                               "",
	} {
		if got := (&Event{TraceParent: in}).TraceID(); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
