package checkid

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/freshet-io/freshet/freshness"
)

var (
	key   = []byte("a key")
	check = Check{Workflow: "wf-7f3/ü", At: 1_767_460_075_123, Verdict: freshness.IsStale}
)

func TestAnIDSaysWhatWasAnswered(t *testing.T) {
	for _, k := range [][]byte{nil, key} {
		for _, c := range []Check{check, {}, {Workflow: "w", At: -1, Verdict: freshness.IsFresh}} {
			got, err := Decode(k, Encode(k, c))
			if err != nil || got != c {
				t.Errorf("key %q: %+v became %+v, %v", k, c, got, err)
			}
		}
	}
}

// What was signed can be read by who has no key: it believes everything anyway.
func TestWithoutAKeyEveryIDIsBelieved(t *testing.T) {
	if got, err := Decode(nil, Encode(key, check)); err != nil || got != check {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWithAKeyOnlyItsOwnAre(t *testing.T) {
	for name, id := range map[string]string{"unsigned": Encode(nil, check), "another key": Encode([]byte("another"), check)} {
		if got, err := Decode(key, id); !errors.Is(err, ErrSignature) || got != (Check{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	raw, err := base64.RawURLEncoding.DecodeString(Encode(key, check))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] ^= 1
		if got, err := Decode(key, base64.RawURLEncoding.EncodeToString(raw)); err == nil {
			t.Errorf("byte %d changed: %+v", i, got)
		}
		raw[i] ^= 1
	}
}

func TestWhatIsNoID(t *testing.T) {
	for _, id := range []string{
		"", "AQ", "not base64!", "AQEC=",
		base64.RawURLEncoding.EncodeToString([]byte{9, 1, 2, 'w'}),          // version
		base64.RawURLEncoding.EncodeToString([]byte{1, 3, 2, 'w'}),          // verdict
		base64.RawURLEncoding.EncodeToString([]byte{1, 1, 0x80}),            // instant
		base64.RawURLEncoding.EncodeToString([]byte{2, 1, 2, 'w', 1, 2, 3}), // signature
	} {
		if got, err := Decode(nil, id); !errors.Is(err, ErrMalformed) || got != (Check{}) {
			t.Errorf("%q: %+v, %v", id, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("")
	f.Add(Encode(nil, check))
	f.Add(Encode(key, check))
	f.Fuzz(func(t *testing.T, id string) {
		for _, k := range [][]byte{nil, key} {
			c, err := Decode(k, id)
			if err != nil {
				continue
			}
			if again, err := Decode(k, Encode(k, c)); err != nil || again != c {
				t.Errorf("%q is %+v, which becomes %+v, %v", id, c, again, err)
			}
		}
	})
}
