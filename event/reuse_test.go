package event

import (
	"bytes"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDecodeStructuredAppended holds the instants that a structured event without a record is appended at.
func TestDecodeStructuredAppended(t *testing.T) {
	recorded := structured("task.started", "recordedtime", `"2026-01-03T17:08:00Z"`)
	for _, c := range []struct {
		line   string
		record Time
		want   Time
		reason Reason
	}{
		{structured("task.started"), 0, atTime, OK},
		{recorded, 0, atTime + 5000, OK},
		{recorded, atTime + 7000, atTime + 7000, OK},
		{structured("task.started"), atTime - 300_000, atTime - 300_000, OK},
		{structured("task.started"), atTime - 300_001, atTime - 300_001, FutureDated},
	} {
		e := new(Event)
		if got := NewDecoder(Config{}).DecodeStructured([]byte(c.line), c.record, e); got != c.reason || e.Appended != c.want {
			t.Errorf("%s by a record of %v: %v, appended %v, want %v, %v", c.line, c.record, got, e.Appended, c.reason, c.want)
		}
	}
}

func TestConfig(t *testing.T) {
	line := []byte(structured("task.started", "data", `{"a":[1]}`))
	for _, c := range []struct {
		cfg    Config
		record Time
		want   Reason
	}{
		{Config{}, atTime - 300_000, OK},
		{Config{MaxSkew: time.Second}, atTime - 1000, OK},
		{Config{MaxSkew: time.Second}, atTime - 1001, FutureDated},
		{Config{MaxSkew: -1}, atTime, OK},
		{Config{MaxSkew: -1}, atTime - 1, FutureDated},
		{Config{MaxValueBytes: len(line)}, 0, OK},
		{Config{MaxValueBytes: len(line) - 1}, 0, TooLarge},
		{Config{MaxNameBytes: len("task.started")}, 0, OK},
		{Config{MaxNameBytes: len("task.started") - 1}, 0, TooLarge},
		{Config{MaxDepth: 2}, 0, OK},
		{Config{MaxDepth: 1}, 0, BadJSON},
	} {
		if got := NewDecoder(c.cfg).DecodeStructured(line, c.record, new(Event)); got != c.want {
			t.Errorf("%+v, record of %v: %v, want %v", c.cfg, c.record, got, c.want)
		}
	}
	d := NewDecoder(Config{})
	d.SetMaxSkew(0)
	if got := d.DecodeStructured(line, atTime-1, new(Event)); got != FutureDated {
		t.Errorf("after SetMaxSkew(0): %v", got)
	}
}

// TestReuse holds that nothing of one event shows in the next, and that Decode neither allocates nor writes to the record.
func TestReuse(t *testing.T) {
	d, e := NewDecoder(Config{}), new(Event)
	first := record("source.updated", "policy/refund", `{"kind":"policy","key":"refund","seq":1,"owner":"a\tb","change":"retracted"}`)
	second := benchRecord()
	before := copyRecord(second)
	fresh := new(Event)
	if reason := NewDecoder(Config{}).Decode(second, fresh); reason != OK {
		t.Fatal(reason)
	}
	allocations := testing.AllocsPerRun(100, func() {
		if reason := d.Decode(first, e); reason != OK {
			t.Fatal(reason)
		}
		if reason := d.Decode(second, e); reason != OK {
			t.Fatal(reason)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
	if got, want := copied(e), copied(fresh); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	if !reflect.DeepEqual(second, before) {
		t.Error("the record was written to")
	}
	for _, s := range []string{e.Data, e.Refs[0].Kind, e.Refs[0].Key, e.Refs[0].Version} {
		if !within(s, second.Value) {
			t.Errorf("%q is a copy", s)
		}
	}
	if !within(e.Subject, second.Key) {
		t.Error("the subject is a copy")
	}
}

// TestExceptionalEventsAreLetGo holds that one event of a strange size does not stay in memory.
func TestExceptionalEventsAreLetGo(t *testing.T) {
	d, e := NewDecoder(Config{}), new(Event)
	var refs, names, text strings.Builder
	for i := range 5000 {
		refs.WriteString(`{"kind":"p","key":"\u006b` + strconv.Itoa(i) + `"},`)
		names.WriteString(`"n` + strconv.Itoa(i) + `":0,`)
		text.WriteString(`\u00e9 plain text and more of it`)
	}
	data := `{` + names.String() + `"step":0,"refs":[` + refs.String() + `{"kind":"` + `p","key":"k"}],"x":"` + text.String() + `"}`
	if reason := d.Decode(record(loaded, "wf-1", data), e); reason != OK || len(e.Refs) != 5001 {
		t.Fatal(reason, len(e.Refs))
	}
	if reason := d.Decode(benchRecord(), e); reason != OK {
		t.Fatal(reason)
	}
	if cap(e.Refs) > keepRefs || cap(d.json.keys) > keepNames || cap(d.json.text) > keepTextBytes {
		t.Errorf("kept room for %d REFs, %d names, %d bytes", cap(e.Refs), cap(d.json.keys), cap(d.json.text))
	}
}

func copyRecord(r *Record) *Record {
	c := *r
	c.Key, c.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	c.Headers = slices.Clone(r.Headers)
	for i, h := range c.Headers {
		c.Headers[i] = Header{bytes.Clone(h.Key), bytes.Clone(h.Value)}
	}
	return &c
}
