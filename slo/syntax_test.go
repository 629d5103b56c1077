package slo

import (
	"strings"
	"testing"
	"unicode/utf16"
)

// TestNotText: bytes that no text has are found where they stand, which the YAML parser does not say.
func TestNotText(t *testing.T) {
	for text, want := range map[string]string{
		"version: 1\nowners: {ä: {slack: \xff}}\n": "contracts.yaml:2:21: this is not YAML: ",
		"version: 1\n\x00":                         "contracts.yaml:2:1: this is not YAML: ",
		"version: 1\nowners: \x1b[1m\n":            "contracts.yaml:2:9: this is not YAML: ",
		"\x7fversion: 1\n":                         "contracts.yaml:1:1: this is not YAML: ",
	} {
		_, err := Parse([]byte(text), "contracts.yaml", nil)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestOtherTexts: byte order marks, UTF-16 and the line ends of other systems are YAML.
func TestOtherTexts(t *testing.T) {
	wide := []byte{0xff, 0xfe}
	for _, c := range utf16.Encode([]rune("version: 1\n")) {
		wide = append(wide, byte(c), byte(c>>8))
	}
	for _, text := range []string{string(wide), "\xef\xbb\xbfversion: 1\n", "version: 1\r\nowners: {a: {}}\r\n", "version: 1"} {
		if _, err := Parse([]byte(text), "contracts.yaml", nil); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	_, err := Parse([]byte("version: 1\r\nowners: {a: {slak: x}}\r\n"), "contracts.yaml", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "contracts.yaml:2:14: ") {
		t.Errorf("with CRLF: %v", err)
	}
}

// TestLargeSyntaxError: in a file too large to be read again and again the line is the parser's own.
func TestLargeSyntaxError(t *testing.T) {
	text := "version: 1\nowners: {\n" + strings.Repeat("# "+strings.Repeat("x", 1000)+"\n", 900)
	_, err := Parse([]byte(text), "contracts.yaml", nil)
	errs, ok := err.(Errors)
	if !ok || len(errs) != 1 || errs[0].Refusal != Syntax || errs[0].Line < 1 || errs[0].Line > 903 {
		t.Errorf("%.300v", err)
	}
}
