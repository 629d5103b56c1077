package event

import (
	"fmt"
	"math/bits"
	"reflect"
	"testing"
)

// TestHashesAreForever pins what the hashes give: rows hold it, so that another value would make old events look like new ones.
func TestHashesAreForever(t *testing.T) {
	var e Event
	if reason := NewDecoder(Config{}).Decode(benchRecord(), &e); reason != OK {
		t.Fatal(reason)
	}
	for _, c := range []struct {
		e       Event
		ident   uint64
		content uint32
	}{
		{e, 0x8fa15158555ae3c3, 0x658a6477},
		{Event{}, 0x5e2f0a1d6667fdc8, 0xf65e67a1},
		{Event{ID: "1", Source: "/a", TypeName: "x.y", Time: -1, HasRecorded: true, Recorded: 5, Opaque: "\xff", Traffic: Replay}, 0x6b5e4f2cc5a1ce90, 0x4298fe55},
	} {
		if got := c.e.Ident(); got != c.ident {
			t.Errorf("%s: ident is %#x, was %#x", c.e.ID, got, c.ident)
		}
		if got := c.e.ContentDigest(); got != c.content {
			t.Errorf("%s: content digest is %#x, was %#x", c.e.ID, got, c.content)
		}
	}
}

// TestContentDigestCoversTheContent holds that every part of an event's content counts, and nothing else does.
func TestContentDigestCoversTheContent(t *testing.T) {
	base := Event{TypeName: "a", ID: "a", Source: "a", Subject: "a", WorkflowType: "a", Data: "a", Opaque: "a", HasRecorded: true}
	content := map[string]bool{"TypeName": true, "Time": true, "ID": true, "Source": true, "Subject": true, "WorkflowType": true, "Traffic": true,
		"Recorded": true, "HasRecorded": true, "Data": true, "Opaque": true}
	v := reflect.ValueOf(&base).Elem()
	for i := range v.NumField() {
		other := base
		switch f := reflect.ValueOf(&other).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString(f.String() + "b")
		case reflect.Int, reflect.Int64:
			f.SetInt(f.Int() + 1)
		case reflect.Uint8:
			f.SetUint(f.Uint() + 1)
		case reflect.Bool:
			f.SetBool(!f.Bool())
		case reflect.Slice:
			f.Set(reflect.ValueOf([]Ref{{Kind: "x"}}))
		default:
			t.Fatalf("field %s is of a kind this test does not know", v.Type().Field(i).Name)
		}
		name := v.Type().Field(i).Name
		if changed := other.ContentDigest() != base.ContentDigest(); changed != content[name] {
			t.Errorf("%s changes the digest: %v, want %v", name, changed, content[name])
		}
		if changed := other.Ident() != base.Ident(); changed != (name == "ID" || name == "Source") {
			t.Errorf("%s changes the ident: %v", name, changed)
		}
	}
	// Where one text ends and the next begins counts too.
	one, other := Event{Source: "ab", ID: "c"}, Event{Source: "a", ID: "bc"}
	if one.Ident() == other.Ident() || one.ContentDigest() == other.ContentDigest() {
		t.Error("the boundary between source and id does not count")
	}
}

// TestIdentSpreads holds that ids which differ little, as counters do, collide no more than chance has it, and that every bit of the
// hash depends on them.
func TestIdentSpreads(t *testing.T) {
	const n = 200_000
	seen := make(map[uint64]bool, n)
	flips := [64]int{}
	var before uint64
	for i := range n {
		e := Event{Source: "/agents/" + fmt.Sprint(i%7), ID: fmt.Sprintf("wf-%d-%d", i/7/40, i/7%40)}
		h := e.Ident()
		if seen[h] {
			t.Fatalf("%s %s: another event has the same ident", e.Source, e.ID)
		}
		seen[h] = true
		for x := h ^ before; x != 0; x &= x - 1 {
			flips[bits.TrailingZeros64(x)]++
		}
		before = h
	}
	for bit, f := range flips {
		if f < n*48/100 || f > n*52/100 {
			t.Errorf("bit %d changes in %d of %d steps", bit, f, n)
		}
	}
}
