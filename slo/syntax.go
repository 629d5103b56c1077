package slo

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// syntaxBudget is how many bytes are read again to find the line of a syntax error.
const syntaxBudget = 4 << 20

// locate returns where a file stops being YAML: the line after the longest beginning that is YAML. The parser itself often names the
// line where the surrounding block began, sometimes the one before it, and never a column.
func locate(data []byte, err error) (line, column int, hint string) {
	lines := bytes.SplitAfter(data, []byte("\n"))
	line = min(said(err), len(lines))
	if i, bad := notText(data); bad {
		line = 1 + bytes.Count(data[:i], []byte("\n"))
		return line, 1 + utf8.RuneCount(data[bytes.LastIndexByte(data[:i], '\n')+1:i]), ""
	}
	budget, end := syntaxBudget, len(data)
	for n := len(lines); n > 0; n-- {
		end -= len(lines[n-1])
		if budget -= end; budget < 0 {
			break
		}
		if parses(data[:end]) {
			line = n
			break
		}
	}
	text := string(lines[line-1])
	indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	if strings.Contains(indent, "\t") {
		hint = " (the line is indented with a tab: YAML takes spaces only)"
	}
	return line, 1 + len(indent), hint
}

// said is the line that a YAML error names, 1 if it names none.
func said(err error) int {
	_, after, _ := strings.Cut(err.Error(), "line ")
	digits, _, _ := strings.Cut(after, ":")
	if n, err := strconv.Atoi(digits); err == nil && n > 0 {
		return n
	}
	return 1
}

// unsaid is a YAML error without the line that it names.
func unsaid(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if _, rest, ok := strings.Cut(rest, ": "); ok {
			return rest
		}
	}
	return text
}

// parses says whether data is a (perhaps empty) run of YAML documents.
func parses(data []byte) bool {
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		switch err := d.Decode(&n); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			return false
		}
	}
}

// notText returns where data has a byte that is no UTF-8 or a control character, which YAML does not allow.
func notText(data []byte) (at int, bad bool) {
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return 0, false // UTF-16, which YAML allows
	}
	for i := 0; i < len(data); {
		c, n := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && n == 1 || c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			return i, true
		}
		i += n
	}
	return 0, false
}
