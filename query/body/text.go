package body

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

const (
	depthLimit  = 16
	memberLimit = 256 // of an object: names are compared each with each
)

// Error says what is wrong with a body, and where.
type Error struct {
	Pointer string // RFC 6901, "" for the body itself
	Detail  string
}

// Error returns where and what.
func (e *Error) Error() string {
	if e.Pointer == "" {
		return e.Detail
	}
	return e.Pointer + ": " + e.Detail
}

// Text is a JSON text that is being read. The first error sticks: what follows reads as nothing, so that every loop ends.
type Text struct {
	b    []byte
	i    int
	err  *Error
	path []step
	seen []string // names of the objects that are open
}

// step is one step of the way to the value that is being read.
type step struct {
	name  string // of a member
	index int    // of an element, if name is ""
}

// Read makes the text that of b, which must not change as long as what was read of it is used.
func (t *Text) Read(b []byte) { *t = Text{b: b, path: t.path[:0], seen: t.seen[:0]} }

// Here returns where the reading has come to, and From what has been read since.
func (t *Text) Here() int { return t.i }

// From returns the text from a place on to where the reading has come to.
func (t *Text) From(place int) []byte { return t.b[place:t.i] }

// Err returns the first error, nil if there is none. It also sees to it that nothing comes behind the value.
func (t *Text) Err() *Error {
	if t.err == nil && t.peek() != 0 {
		t.failAt("there is more behind the JSON value")
	}
	return t.err
}

// Fail says what is wrong with the value that is being read, or was read last.
func (t *Text) Fail(format string, args ...any) {
	if t.err == nil {
		t.err = &Error{Pointer: t.pointer(), Detail: fmt.Sprintf(format, args...)}
	}
	t.i = len(t.b)
}

// failAt says what is wrong with the syntax.
func (t *Text) failAt(detail string) {
	if t.err == nil {
		t.err = &Error{Pointer: t.pointer(), Detail: fmt.Sprintf("not JSON at byte %d: %s", t.i, detail)}
	}
	t.i = len(t.b)
}

func (t *Text) pointer() string {
	var b strings.Builder
	for _, s := range t.path {
		b.WriteByte('/')
		if s.name == "" {
			b.WriteString(strconv.Itoa(s.index))
			continue
		}
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(s.name, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// peek returns the next byte that is not white space, 0 at the end.
func (t *Text) peek() byte {
	for t.i < len(t.b) {
		switch c := t.b[t.i]; c {
		case ' ', '\t', '\n', '\r':
			t.i++
		case 0:
			t.failAt("a NUL byte")
		default:
			return c
		}
	}
	return 0
}

// Null says whether the next value is null, and steps over it if so.
func (t *Text) Null() bool {
	if t.peek() != 'n' {
		return false
	}
	if !strings.HasPrefix(string(t.b[t.i:min(len(t.b), t.i+4)]), "null") {
		t.failAt("a value was expected")
		return false
	}
	t.i += len("null")
	return true
}

// Absent says whether the next value is null, and steps over it if so: the member is taken for one that is not there. Its name has to be
// known all the same.
func (t *Text) Absent(name string, known []string) bool {
	if !t.Null() {
		return false
	}
	if !slices.Contains(known, name) {
		t.Unknown(name, known...)
	}
	return true
}

// what names the kind of the next value, for errors.
func (t *Text) what() string {
	switch c := t.peek(); {
	case c == 0:
		return "nothing"
	case c == '"':
		return "a string"
	case c == '{':
		return "an object"
	case c == '[':
		return "a list"
	case c == 't', c == 'f':
		return "a boolean"
	case c == 'n':
		return "null"
	case c == '-', c-'0' <= 9:
		return "a number"
	}
	return "no JSON value"
}

// IsObject says whether the next value is an object.
func (t *Text) IsObject() bool { return t.peek() == '{' }

// expect sees to it that the next value begins with a byte.
func (t *Text) expect(c byte, what string) bool {
	if t.peek() == c {
		return true
	}
	if t.err == nil {
		t.Fail("must be %s, not %s", what, t.what())
	}
	return false
}

// List is an object or a list that is being read.
type List struct {
	names int // where its names begin in Text.seen
	n     int
	open  bool
}

// Object steps into an object.
func (t *Text) Object() List { return t.enter('{', "an object") }

// Array steps into a list.
func (t *Text) Array() List { return t.enter('[', "a list") }

func (t *Text) enter(c byte, what string) List {
	if !t.expect(c, what) {
		return List{}
	}
	if len(t.path) >= depthLimit {
		t.Fail("is nested too deeply")
		return List{}
	}
	t.i++
	return List{names: len(t.seen), open: true}
}

// next steps to the next entry; false behind the last.
func (t *Text) next(l *List, end byte) bool {
	if !l.open || t.err != nil {
		return false
	}
	if l.n > 0 {
		t.path = t.path[:len(t.path)-1]
	}
	c := t.peek()
	switch {
	case c == end:
		t.i++
		t.seen = t.seen[:l.names]
		l.open = false
		return false
	case l.n > 0 && c == ',':
		t.i++
	case l.n > 0:
		t.failAt(fmt.Sprintf("a comma or %q was expected", end))
	}
	if t.err != nil {
		l.open = false
		return false
	}
	l.n++
	return true
}

// Member steps to the next member of an object and returns its name; the value comes next.
func (t *Text) Member(o *List) (name string, ok bool) {
	if !t.next(o, '}') {
		return "", false
	}
	t.path = append(t.path, step{name: "?"})
	if t.peek() != '"' {
		t.path = t.path[:len(t.path)-1]
		t.failAt("a name in quotes was expected")
		return "", false
	}
	name = t.text()
	t.path[len(t.path)-1].name = name
	if t.err == nil && t.peek() != ':' {
		t.failAt("a colon was expected")
	}
	for _, s := range t.seen[o.names:] {
		if s == name {
			t.Fail("stands twice")
		}
	}
	if o.n > memberLimit {
		t.Fail("there are more than %d members", memberLimit)
	}
	t.i++
	t.seen = append(t.seen, name)
	return name, t.err == nil
}

// Element steps to the next element of a list.
func (t *Text) Element(a *List) bool {
	if !t.next(a, ']') {
		return false
	}
	t.path = append(t.path, step{index: a.n - 1})
	return true
}

// Unknown refuses a member, and names the nearest of those that are known.
func (t *Text) Unknown(name string, known ...string) {
	if near := nearest(name, known); near != "" {
		t.Fail("there is no member %q; did you mean %q?", name, near)
		return
	}
	t.Fail("there is no member %q; there are %s", name, strings.Join(known, ", "))
}

// String reads a string.
func (t *Text) String() string {
	if !t.expect('"', "a string") {
		return ""
	}
	return t.text()
}

// Name reads a string that is not empty and no longer than a limit.
func (t *Text) Name(limit int) string {
	s := t.String()
	switch {
	case t.err != nil:
		return ""
	case s == "":
		t.Fail("must not be empty")
	case len(s) > limit:
		t.Fail("has %d bytes, at most %d", len(s), limit)
	}
	return s
}

// text reads the string that begins here.
func (t *Text) text() string {
	t.i++
	start := t.i
	for t.i < len(t.b) {
		switch c := t.b[t.i]; {
		case c == '"':
			s := t.b[start:t.i]
			t.i++
			if !utf8.Valid(s) {
				t.Fail("is not UTF-8")
			}
			return string(s)
		case c == '\\':
			return t.escaped(start)
		case c < ' ':
			t.failAt("a control character in a string")
			return ""
		}
		t.i++
	}
	t.failAt("a string does not end")
	return ""
}

// escaped reads on behind the first escape of a string.
func (t *Text) escaped(start int) string {
	s := append([]byte(nil), t.b[start:t.i]...)
	for t.i < len(t.b) {
		c := t.b[t.i]
		t.i++
		switch {
		case c == '"':
			if !utf8.Valid(s) {
				t.Fail("is not UTF-8")
			}
			return string(s)
		case c < ' ':
			t.failAt("a control character in a string")
			return ""
		case c != '\\':
			s = append(s, c)
		default:
			s = t.escape(s)
		}
	}
	t.failAt("a string does not end")
	return ""
}

// escape appends what the escape behind a backslash means.
func (t *Text) escape(s []byte) []byte {
	if t.i == len(t.b) {
		return s
	}
	c := t.b[t.i]
	t.i++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return append(s, "\"\\/\b\f\n\r\t"[i])
	}
	if c != 'u' {
		t.failAt("an escape that JSON does not have")
		return s
	}
	r := t.hex()
	if utf16.IsSurrogate(r) {
		if t.i+1 >= len(t.b) || t.b[t.i] != '\\' || t.b[t.i+1] != 'u' {
			t.failAt("half of a surrogate pair")
			return s
		}
		t.i += 2
		if r = utf16.DecodeRune(r, t.hex()); r == utf8.RuneError {
			t.failAt("half of a surrogate pair")
			return s
		}
	}
	return utf8.AppendRune(s, r)
}

func (t *Text) hex() rune {
	if t.i+4 > len(t.b) {
		t.failAt("a string does not end")
		return 0
	}
	n, err := strconv.ParseUint(string(t.b[t.i:t.i+4]), 16, 32)
	if err != nil {
		t.failAt("an escape that JSON does not have")
		return 0
	}
	t.i += 4
	return rune(n)
}

// number returns the bytes of the number that comes next.
func (t *Text) number(what string) string {
	if c := t.peek(); c != '-' && c-'0' > 9 {
		if t.err == nil {
			t.Fail("must be %s, not %s", what, t.what())
		}
		return ""
	}
	start := t.i
	for t.i < len(t.b) && strings.IndexByte("+-.0123456789eE", t.b[t.i]) >= 0 {
		t.i++
	}
	if !json.Valid(t.b[start:t.i]) {
		t.failAt("a number that JSON does not have")
	}
	return string(t.b[start:t.i])
}

// Integer reads a whole number with least ≤ n.
func (t *Text) Integer(least int64) int64 {
	s := t.number("a whole number")
	if t.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		t.Fail("%s is not a whole number of 64 bits", s)
	case n < least:
		t.Fail("is %d, at least %d", n, least)
	}
	return n
}

// Seconds reads a length of time of at most a limit, in seconds. What is finer than milliseconds is rounded.
func (t *Text) Seconds(limit freshness.Duration) freshness.Duration {
	s := t.number("a number of seconds")
	if t.err != nil {
		return 0
	}
	n, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || math.IsNaN(n):
		t.Fail("%s is not a number", s)
	case n < 0:
		t.Fail("is %s, at least 0", s)
	case n > limit.Seconds():
		t.Fail("is %s, at most %g", s, limit.Seconds())
	}
	if t.err != nil {
		return 0
	}
	return freshness.Duration(math.Round(n * 1000))
}

// Instant reads an RFC 3339 date and time.
func (t *Text) Instant() event.Time {
	s := t.String()
	if t.err != nil {
		return 0
	}
	at, ok := event.ParseTime(s)
	if !ok {
		t.Fail("%q is not an RFC 3339 date and time, such as 2026-01-03T17:07:55.000Z", s)
	}
	return at
}
