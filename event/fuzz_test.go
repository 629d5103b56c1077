package event

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzDecode holds what is promised of every record: it is an event or a reason, the same each time, whatever the decoder has read
// before; it is not written to; an event's texts are valid UTF-8; and nothing panics. Headers are given as lines, name and value with a
// colon between them.
func FuzzDecode(f *testing.F) {
	add := func(r *Record) {
		var headers strings.Builder
		for _, h := range r.Headers {
			headers.WriteString(string(h.Key) + ":" + string(h.Value) + "\n")
		}
		f.Add(r.Key, r.Value, headers.String(), int64(r.Time), uint8(r.Category))
	}
	add(benchRecord())
	for _, typ := range Types() {
		key, data := "wf-1", `{"refs":[{"kind":"p","key":"k","seq":1e1,"as_of":"`+at+`"},5],"call_id":"c\u00e9","decision_id":"d","based_on":[]}`
		if typ.Category() == Source {
			key, data = "p/k", `{"kind":"p","key":"k","seq":17,"through":"`+at+`","effective_at":null,"change":"retracted"}`
		}
		add(record(typ.String(), key, data))
		line := structured("io.freshet."+typ.String(), "subject", `"`+key+`"`, "data", data, "recordedtime", `"`+at+`"`, "sequence", `5`)
		add(inStructuredMode(line, "application/cloudevents+json; charset=utf-8").keyed([]byte(key)).on(typ.Category()))
	}
	add(record("acme.done", "wf-1", "\xff").with("content-type", "application/avro"))
	add(inStructuredMode(structured("acme.done", "data_base64", `"AP8B"`, "datacontenttype", `"text/plain"`), "application/cloudevents+json"))
	add(&Record{Key: []byte("p/k"), Category: Source})
	add(&Record{})

	used := NewDecoder(Config{})
	f.Fuzz(func(t *testing.T, key, value []byte, headers string, at int64, category uint8) {
		r := &Record{Key: key, Value: value, Time: Time(at), Category: Category(category % 6)}
		if len(value) == 0 && category >= 128 {
			r.Value = nil
		}
		for _, line := range strings.Split(headers, "\n") {
			if name, text, ok := strings.Cut(line, ":"); ok {
				r.Headers = append(r.Headers, Header{[]byte(name), []byte(text)})
			}
		}
		before := copyRecord(r)
		var e, again Event
		reason := NewDecoder(Config{}).Decode(r, &e)
		if reason > FutureDated || reason == BadRef {
			t.Fatalf("the reason is %d", reason)
		}
		first := copied(&e)
		if other := used.Decode(r, &again); other != reason || !reflect.DeepEqual(copied(&again), first) {
			t.Fatalf("decoded again, %v is %v:\n%+v\n%+v", reason, other, first, again)
		}
		if !reflect.DeepEqual(r, before) {
			t.Fatal("the record was written to")
		}
		if reason == OK {
			whole(t, &e)
		}
		if err := differ(value); err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		if err := sameInBothModes(value); err != nil {
			t.Fatalf("%q: %v", value, err)
		}
	})
}

// whole holds what the rest of the engine takes for granted of an event.
func whole(t *testing.T, e *Event) {
	t.Helper()
	v := reflect.ValueOf(e).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if f := v.Field(i); f.Kind() == reflect.String && name != "Opaque" && !utf8.ValidString(f.String()) {
			t.Fatalf("%s is %q", name, f.String())
		}
	}
	if e.Subject == "" || e.Subject[0] == 0 {
		t.Fatalf("the subject is %q", e.Subject)
	}
	if e.Type != SourceForget && e.Type != WorkflowErase && (e.ID == "" || e.Source == "" || e.TypeName == "" || e.Time < minTime || e.Time > maxTime) {
		t.Fatalf("an attribute is missing: %+v", e)
	}
	if e.Type.Category() == Source {
		if kind, key, ok := CutKey(e.Subject); !ok || kind != e.Kind || key != e.Key || e.WholeKind != (key == "") {
			t.Fatalf("subject %q, kind %q, key %q, whole kind %v", e.Subject, e.Kind, e.Key, e.WholeKind)
		}
	}
	for _, r := range e.Refs {
		if r.Kind == "" || r.Key == "" || strings.ContainsRune(r.Kind, '/') || !utf8.ValidString(r.Kind+r.Key+r.Version+r.Digest) {
			t.Fatalf("REF %+v", r)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{at, "2016-12-31T23:59:60Z", "0000-01-01T00:00:00-23:59", "9999-12-31t23:59:59.999999z", "2026-02-29T00:00:00+05:45"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseTime(s)
		if !ok {
			return
		}
		if back, ok := ParseTime(got.String()); !ok || back != got {
			t.Fatalf("%s is written as %s, which is %v, %v", s, got, back, ok)
		}
	})
}
