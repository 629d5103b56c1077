package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// valid reports whether the scanner takes b as one JSON text.
func valid(b []byte) bool {
	var s scanner
	s.start(b, DefaultMaxDepth)
	s.skip()
	return s.end()
}

func TestStrictJSON(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	many := func(n int, last string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%q:%d,", fmt.Sprintf("name-%d", i*7919%n), i)
		}
		return "{" + b.String() + last + ":0}"
	}
	for _, good := range []string{
		`{}`, `[]`, `""`, `0`, `-0`, `true`, `false`, `null`, ` { "a" : [ 1 , 2 ] } `, "\t\r\n[\n]\n", `[[],{},[{}]]`,
		`"é𝄞\u00e9\ud834\udd1e\uD834\uDD1E\"\\\/\b\f\n\r\t"`, `"\u0000"`, `"` + "\x7f" + `"`, `"` + strings.Repeat("plain text ", 20) + `"`,
		`[0,-1,1.5,1e5,1E+5,1e-05,-0.0e0,123456789012345678901234567890]`, `1e999999`,
		`{"a":1,"b":{"a":1},"A":2}`, `{"":1," ":2}`, deep(64), many(200, `"x"`), `[{"a":1},{"a":1}]`,
	} {
		if !valid([]byte(good)) {
			t.Errorf("refused: %.100s", good)
		}
	}
	for _, bad := range []string{
		"", " ", "\ufeff{}", "{", "}", "[", "]", `"`, `{]`, `[}`, `{}}`, `[]]`, `{} {}`, `1 2`, `"a""b"`, `nulll`, `nul`, `True`, `NULL`, `tru e`,
		"{}\x00", "\x00", "{}//", "/**/{}", `{"a":1,}`, `[1,]`, `[,1]`, `[1,,2]`, `{,}`, `{"a"}`, `{"a":}`, `{"a",1}`, `{"a"=1}`, `{a:1}`, `{'a':1}`, `{1:1}`,
		`{"a":1 "b":2}`, `[1 2]`, `{"a":1;"b":2}`, "[1]\v", "\u00a0[]", "\u2028[]",
		`NaN`, `Infinity`, `-Infinity`, `[NaN]`, `-`, `+1`, `.5`, `1.`, `1.e5`, `1e`, `1e+`, `01`, `-01`, `00`, `0x10`, `1_000`, `--1`, `1.2.3`, `١`,
		"\"a\nb\"", "\"a\tb\"", "\"\x00\"", "\"\x1f\"", "\"abcdefgh\x01\"", "\"abcdefghi\x1f", `"\x41"`, `"\a"`, `"\'"`, `"\`, `"\"`, `"\u"`, `"\u12"`, `"\u12G4"`, `"\U0041"`,
		`"\ud834"`, `"\udd1e"`, `"\ud834x"`, `"\ud834\n"`, `"\ud834\u0041"`, `"\udd1e\ud834"`, `"\ud834\ud834"`, `"\ud834\u"`, `"\ud834\`, `{"\udc00":1}`,
		"\"\xff\"", "\"\xc3\"", "\"\xc3\x28\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"abc\\n\xff\"", "{\"\xff\":1}", "\"\xe2\x82\\u00ac\"",
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"x":{"y":[{"a":1,"b":2,"a":3}]}}`, `{"":1,"":1}`, `{"é":1,"\u00e9":1}`, `{"a":{},"b":1,"a":{}}`,
		deep(65), strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000), deep(1) + deep(1), many(200, `"name-77"`), many(12, `"name-\u0033"`), many(13, `"name-\u0033"`),
	} {
		if valid([]byte(bad)) {
			t.Errorf("taken: %.100q", bad)
		}
	}
}

func TestInteger(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "-0": 0, "17": 17, "-17": -17, "17.0": 17, "17.000": 17, "1e2": 100, "1E+2": 100, "1.7e1": 17, "1.70e1": 17, "1700e-2": 17,
		"0.0e999999999999": 0, "0e-5": 0, "0.00017e5": 17, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63,
		"9223372036854775807.0": 1<<63 - 1, "9.223372036854775807e18": 1<<63 - 1, "92233720368547758070e-1": 1<<63 - 1, "-9.223372036854775808E18": -1 << 63,
		"10000000000000000000000e-4": 1_000_000_000_000_000_000, "9007199254740993": 9007199254740993,
	} {
		if got, ok := integer([]byte(in)); !ok || got != want {
			t.Errorf("%s: got %d, %v, want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{
		"1.5", "0.1", "1e-1", "17e-1", "17.01", "-0.5", "9223372036854775808", "-9223372036854775809", "9223372036854775807.5", "1e19", "1e400", "1e99999999999999999999",
		"1e-99999999999999999999", "123456789012345678901234567890", "9223372036854775808.0", "18446744073709551617", "-1e19", "92233720368547758080e-1",
	} {
		if got, ok := integer([]byte(in)); ok {
			t.Errorf("%s was taken as %d", in, got)
		}
	}
}

// tree reads b with the scanner into what encoding/json would make of it, with numbers as they stand.
func tree(s *scanner) any {
	switch s.peek() {
	case '{':
		m := map[string]any{}
		f := s.open()
		for name, ok := s.member(&f); ok; name, ok = s.member(&f) {
			m[strings.Clone(name)] = tree(s)
		}
		return m
	case '[':
		l := []any{}
		f := s.open()
		for s.element(&f) {
			l = append(l, tree(s))
		}
		return l
	case '"':
		return strings.Clone(s.str())
	case 't':
		s.literal("true")
		return true
	case 'f':
		s.literal("false")
		return false
	case 'n':
		s.literal("null")
		return nil
	}
	return json.Number(s.number())
}

// differ compares the scanner with encoding/json, which is laxer in four ways that are told apart here: invalid UTF-8, lone surrogates
// (it puts U+FFFD for both), repeated names and depth.
func differ(b []byte) error {
	var s scanner
	s.start(b, DefaultMaxDepth)
	got := tree(&s)
	ok := s.end()
	if ok != valid(b) {
		return fmt.Errorf("walking says %v, skipping %v", ok, !ok)
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	var want any
	theirs := json.Valid(b) && d.Decode(&want) == nil
	if ok && !theirs {
		return errors.New("taken, but encoding/json refuses it")
	}
	if ok && !reflect.DeepEqual(got, want) {
		return fmt.Errorf("read as %#v, encoding/json reads %#v", got, want)
	}
	if !ok && theirs && utf8.Valid(b) && !lax(string(b)) {
		return errors.New("refused, but encoding/json takes it and nothing in it is lax")
	}
	return nil
}

// lax reports whether a text that encoding/json takes has a lone surrogate, a repeated name or too many levels. It reads tokens, so
// that it has nothing in common with the scanner.
func lax(text string) bool {
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if i++; text[i] != 'u' || text[i+1]|0x20 != 'd' || text[i+2] < '8' {
			continue
		}
		low := i+11 <= len(text) && text[i+5] == '\\' && text[i+6] == 'u' && text[i+7]|0x20 == 'd' && strings.ContainsRune("cdefCDEF", rune(text[i+8]))
		if strings.ContainsRune("cdefCDEF", rune(text[i+2])) || !low {
			return true
		}
		i += 10
	}
	type level struct {
		names map[string]bool
		name  bool // a name comes next
	}
	var levels []level
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return false
		}
		var top *level
		if len(levels) > 0 {
			top = &levels[len(levels)-1]
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '}' || v == ']' {
				levels = levels[:len(levels)-1]
				continue
			}
			if top != nil {
				top.name = top.names != nil
			}
			l := level{}
			if v == '{' {
				l = level{map[string]bool{}, true}
			}
			if levels = append(levels, l); len(levels) > DefaultMaxDepth {
				return true
			}
		default:
			if top == nil || top.names == nil {
				continue
			}
			if name, ok := v.(string); ok && top.name {
				if top.names[name] {
					return true
				}
				top.names[name] = true
			}
			top.name = !top.name
		}
	}
}

// TestScannerAgainstStandardLibrary compares the scanner with encoding/json on random texts, valid ones and ones broken in one place.
func TestScannerAgainstStandardLibrary(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	accepted := 0
	for range 20000 {
		text := []byte(randomJSON(r, 4))
		if err := differ(text); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if valid(text) {
			accepted++
		}
		if len(text) > 0 {
			const breakers = "{}[]\",:\\ud0 1.-n\x00\x80\xff\n"
			text[r.IntN(len(text))] = breakers[r.IntN(len(breakers))]
		}
		if err := differ(text); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	}
	if accepted < 5000 {
		t.Errorf("only %d of the texts were valid", accepted)
	}
}

func randomJSON(r *rand.Rand, depth int) string {
	texts := []string{"", "a", "kind", "key", "é", "𝄞", `\n`, `\u00e9`, `\ud834\udd1e`, `\u0061`, "abcdefgh", "abcdefghij", `\\`, `\"`, "\x7f", "ﬀ"}
	str := func() string {
		s := `"`
		for range r.IntN(4) {
			s += texts[r.IntN(len(texts))]
		}
		return s + `"`
	}
	space := func() string { return []string{"", "", "", " ", "\n", "\t "}[r.IntN(6)] }
	kind := r.IntN(8)
	if depth == 0 {
		kind %= 5
	}
	switch kind {
	case 0:
		return []string{"true", "false", "null"}[r.IntN(3)]
	case 1, 2:
		return []string{"0", "-1", "17", "1.5", "1e5", "-0.0E-3", "9007199254740993", "1.70"}[r.IntN(8)]
	case 3, 4:
		return str()
	case 5:
		s := "["
		for i := range r.IntN(4) {
			if i > 0 {
				s += ","
			}
			s += space() + randomJSON(r, depth-1) + space()
		}
		return s + "]"
	}
	s := "{"
	for i := range r.IntN(5) {
		if i > 0 {
			s += ","
		}
		s += space() + str() + space() + ":" + space() + randomJSON(r, depth-1) + space()
	}
	return s + "}"
}
