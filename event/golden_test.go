package event

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/freshet-io/freshet/internal/testfile"
)

// copied returns e with memory of its own, and without the difference between no REFs and an empty list, so that it can be compared.
func copied(e *Event) Event {
	c := *e
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.String {
			f.SetString(strings.Clone(f.String()))
		}
	}
	c.Refs = nil
	for _, r := range e.Refs {
		r.Kind, r.Key = strings.Clone(r.Kind), strings.Clone(r.Key)
		r.Version, r.Digest = strings.Clone(r.Version), strings.Clone(r.Digest)
		c.Refs = append(c.Refs, r)
	}
	return c
}

// TestGoldenSets decodes every event of the golden sets in both modes: all are usable, with all their REFs, and both modes say the same.
func TestGoldenSets(t *testing.T) {
	files, err := filepath.Glob("../testdata/golden/*.events.ndjson.gz")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d golden sets, want at least 5 (%v)", len(files), err)
	}
	d, again := NewDecoder(Config{}), NewDecoder(Config{})
	for _, file := range files {
		lines := 0
		content := make(map[uint32]string)
		for _, line := range testfile.Lines(t, file) {
			lines++
			var e, b Event
			r, reason := d.ToBinary(line, &e)
			if reason != OK || e.BadRefs != 0 || e.Type == Other {
				t.Fatalf("%s: %v, %d bad REFs, type %v: %s", file, reason, e.BadRefs, e.Type, line)
			}
			if reason := again.Decode(&r, &b); reason != OK {
				t.Fatalf("%s: in binary mode %v: %s", file, reason, line)
			}
			if one, other := copied(&e), copied(&b); !reflect.DeepEqual(one, other) {
				t.Fatalf("%s: %s\nstructured %+v\nbinary     %+v", file, line, one, other)
			}
			if e.Ident() != b.Ident() || e.ContentDigest() != b.ContentDigest() {
				t.Fatalf("%s: the modes differ in their hashes: %s", file, line)
			}
			content[e.ContentDigest()] = string(line)
		}
		if lines < 1000 {
			t.Fatalf("%s has %d lines", file, lines)
		}
		t.Logf("%s: %d events, %d distinct digests", filepath.Base(file), lines, len(content))
	}
}

// within reports whether s lies in the memory of b.
func within(s string, b []byte) bool {
	at, from := uintptr(unsafe.Pointer(unsafe.StringData(s))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return at >= from && at+uintptr(len(s)) <= from+uintptr(len(b))
}
