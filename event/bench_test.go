package event

import "testing"

// benchRecord is a binary event of some 350 bytes with three REFs, as an agent sends it.
func benchRecord() *Record {
	h := func(k, v string) Header { return Header{[]byte(k), []byte(v)} }
	return &Record{
		Key: []byte("wf-7f3a2b"),
		Value: []byte(`{"refs":[{"kind":"policy","key":"refund","version":"v17","seq":17,"as_of":"2026-01-03T17:07:52.120Z"},` +
			`{"kind":"feature","key":"risk/4711","seq":90211,"as_of":"2026-01-03T17:07:54.300Z"},` +
			`{"kind":"prompt","key":"system","version":"2026-01-02"}],"step":"load"}`),
		Headers: []Header{
			h("ce_specversion", "1.0"), h("ce_id", "wf-7f3a2b-12"), h("ce_source", "/agents/3"),
			h("ce_type", "com.acme.context.loaded"), h("ce_time", "2026-01-03T17:07:55.000Z"),
			h("ce_workflowtype", "refund"), h("content-type", "application/json"),
		},
		Time: 1767460075200, Category: Context,
	}
}

func BenchmarkDecode(b *testing.B) {
	r := benchRecord()
	size := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	d, e := NewDecoder(Config{}), new(Event)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if reason := d.Decode(r, e); reason != OK || len(e.Refs) != 3 {
			b.Fatal(reason, e.Refs)
		}
	}
}

func BenchmarkDecodeStructured(b *testing.B) {
	line := []byte(`{"specversion":"1.0","id":"wf-7f3a2b-12","source":"/agents/3","type":"com.acme.context.loaded",` +
		`"time":"2026-01-03T17:07:55.000Z","subject":"wf-7f3a2b","datacontenttype":"application/json","workflowtype":"refund","data":` +
		string(benchRecord().Value) + `}`)
	d, e := NewDecoder(Config{}), new(Event)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if reason := d.DecodeStructured(line, 0, e); reason != OK || len(e.Refs) != 3 {
			b.Fatal(reason, e.Refs)
		}
	}
}

func BenchmarkIdentity(b *testing.B) {
	d, e := NewDecoder(Config{}), new(Event)
	if reason := d.Decode(benchRecord(), e); reason != OK {
		b.Fatal(reason)
	}
	var sum uint64
	for b.Loop() {
		sum += e.Ident() + uint64(e.ContentDigest())
	}
	if sum == 0 {
		b.Fatal("the hashes are zero")
	}
}
