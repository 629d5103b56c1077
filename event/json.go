package event

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unicode/utf8"
	"unsafe"
)

// scanner reads one JSON text, strictly: RFC 8259, and of I-JSON (RFC 7493) that it is valid UTF-8 without lone surrogates and that no
// object has a name twice. It builds no tree: its user walks the text and takes what it wants.
//
// The first error sticks: the scanner then stands at the end of its text, so that every loop over it ends, and end reports false.
// Strings alias the text, or s.text where they had escapes.
type scanner struct {
	b     []byte
	i     int
	depth int // levels that may still be opened
	bad   bool
	keys  []string // names of the objects that are open, outermost first
	text  []byte   // unescaped strings
}

// smallObject is the number of names up to which comparing each with each is faster than sorting.
const smallObject = 12

// frame is an object or array that is open.
type frame struct {
	base int // of its names in keys
	n    int // members or elements begun
}

// start makes s read b. Strings that s has returned stay as they are.
func (s *scanner) start(b []byte, depth int) {
	s.b, s.i, s.depth, s.bad, s.keys = b, 0, depth, false, s.keys[:0]
}

func (s *scanner) fail() {
	s.bad, s.i = true, len(s.b)
}

// end reports whether the text was one JSON value and nothing else.
func (s *scanner) end() bool {
	s.peek()
	return !s.bad && s.i == len(s.b)
}

// peek returns the next byte that is not white space, 0 at the end (and for a NUL, which begins nothing either).
func (s *scanner) peek() byte {
	if s.i < len(s.b) && s.b[s.i] > ' ' {
		return s.b[s.i]
	}
	return s.space()
}

func (s *scanner) space() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// open steps into the object or array whose bracket peek has seen.
func (s *scanner) open() frame {
	s.i++
	if s.depth--; s.depth < 0 {
		s.fail()
	}
	return frame{base: len(s.keys)}
}

// member steps to the next member of an object and returns its name; the value comes next. It returns false behind the last one.
func (s *scanner) member(f *frame) (name string, ok bool) {
	c := s.peek()
	switch {
	case c == '}':
		s.close(f)
		return "", false
	case f.n > 0 && c == ',':
		s.i++
		c = s.peek()
	case f.n > 0:
		s.fail()
		return "", false
	}
	if c != '"' {
		s.fail()
		return "", false
	}
	name = s.str()
	if s.peek() != ':' {
		s.fail()
		return "", false
	}
	s.i++
	s.keys = append(s.keys, name)
	f.n++
	return name, true
}

// close leaves an object, in which no name may stand twice.
func (s *scanner) close(f *frame) {
	s.i++
	s.depth++
	names := s.keys[f.base:]
	if len(names) > smallObject {
		slices.Sort(names)
		for i := 1; i < len(names); i++ {
			if names[i] == names[i-1] {
				s.fail()
				return
			}
		}
	} else {
		for i := 1; i < len(names); i++ {
			for _, earlier := range names[:i] {
				if earlier == names[i] {
					s.fail()
					return
				}
			}
		}
	}
	s.keys = s.keys[:f.base]
}

// element steps to the next element of an array. It returns false behind the last one.
func (s *scanner) element(f *frame) bool {
	c := s.peek()
	switch {
	case c == ']':
		s.i++
		s.depth++
		return false
	case f.n > 0 && c == ',':
		s.i++
		c = s.peek()
	case f.n > 0:
		s.fail()
		return false
	}
	if c == 0 || c == ']' {
		s.fail()
		return false
	}
	f.n++
	return true
}

// skip steps over one value of any kind.
func (s *scanner) skip() {
	switch s.peek() {
	case '"':
		n := len(s.text)
		s.str()
		s.text = s.text[:n]
	case '{':
		f := s.open()
		for _, ok := s.member(&f); ok; _, ok = s.member(&f) {
			s.skip()
		}
	case '[':
		f := s.open()
		for s.element(&f) {
			s.skip()
		}
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

// raw steps over one value and returns it as it stands in the text.
func (s *scanner) raw() []byte {
	s.peek()
	start := s.i
	s.skip()
	if s.bad {
		return nil
	}
	return s.b[start:s.i:s.i]
}

func (s *scanner) literal(word string) {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		s.fail()
		return
	}
	s.i += len(word)
}

// number steps over a number and returns it as it stands in the text.
func (s *scanner) number() []byte {
	b, start := s.b, s.i
	i := start
	if i < len(b) && b[i] == '-' {
		i++
	}
	whole := i
	i = digits(b, i)
	if i == whole || b[whole] == '0' && i > whole+1 {
		s.fail()
		return nil
	}
	if i < len(b) && b[i] == '.' {
		point := i + 1
		if i = digits(b, point); i == point {
			s.fail()
			return nil
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		exponent := i
		if i = digits(b, i); i == exponent {
			s.fail()
			return nil
		}
	}
	s.i = i
	return b[start:i]
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// str steps over the string that begins at s.i and returns it unescaped.
func (s *scanner) str() string {
	start := s.i + 1
	i, wide := plain(s.b, start)
	if i == len(s.b) || s.b[i] < ' ' {
		s.fail()
		return ""
	}
	if s.b[i] == '\\' {
		return s.unescape(start, i)
	}
	s.i = i + 1
	text := s.b[start:i]
	if wide && !utf8.Valid(text) {
		s.fail()
		return ""
	}
	return alias(text)
}

// plain returns the index of the first byte from i on that ends or interrupts a string: a quote, a backslash or a control character;
// len(b) if there is none. It may call a text without such bytes wide, never one with them narrow.
func plain(b []byte, i int) (end int, wide bool) {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	var high uint64
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		high |= w
		quote, backslash := w^'"'*ones, w^'\\'*ones
		// The lowest byte that is marked is the first of those that are looked for; a borrow can only spoil higher ones.
		found := ((w-' '*ones)&^w | (quote-ones)&^quote | (backslash-ones)&^backslash) & highs
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8, high&highs != 0
		}
		i += 8
	}
	wide = high&highs != 0
	for i < len(b) {
		c := b[i]
		if c == '"' || c == '\\' || c < ' ' {
			return i, wide
		}
		wide = wide || c >= utf8.RuneSelf
		i++
	}
	return i, wide
}

// unescape reads on in a string that began at start and whose first backslash is at i.
func (s *scanner) unescape(start, i int) string {
	from := len(s.text)
	for {
		s.text = append(s.text, s.b[start:i]...)
		if i == len(s.b) || s.b[i] < ' ' {
			s.fail()
			return ""
		}
		if s.b[i] == '"' {
			break
		}
		if start = s.escape(i + 1); s.bad {
			return ""
		}
		i, _ = plain(s.b, start)
	}
	s.i = i + 1
	text := s.text[from:]
	if !utf8.Valid(text) {
		s.fail()
		return ""
	}
	return alias(text)
}

// escape appends what the escape whose letter is at i stands for, and returns where it ends.
func (s *scanner) escape(i int) int {
	if i == len(s.b) {
		s.fail()
		return i
	}
	var c byte
	switch s.b[i] {
	case '"', '\\', '/':
		c = s.b[i]
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return s.unicode(i + 1)
	default:
		s.fail()
		return i
	}
	s.text = append(s.text, c)
	return i + 1
}

// unicode appends the character whose four hexadecimal digits begin at i; a surrogate needs its other half right behind it.
func (s *scanner) unicode(i int) int {
	r := hex4(s.b, i)
	i += 4
	if r >= 0xd800 && r < 0xe000 {
		low := rune(-1)
		if i+2 <= len(s.b) && s.b[i] == '\\' && s.b[i+1] == 'u' {
			low = hex4(s.b, i+2)
		}
		i += 6
		if r >= 0xdc00 || low < 0xdc00 || low >= 0xe000 {
			r = -1
		} else {
			r = (r-0xd800)<<10 | (low - 0xdc00) + 0x10000
		}
	}
	if r < 0 {
		s.fail()
		return i
	}
	s.text = utf8.AppendRune(s.text, r)
	return i
}

// hex4 returns the number that b[i:i+4] is, -1 if it is none.
func hex4(b []byte, i int) rune {
	if len(b)-i < 4 {
		return -1
	}
	var r rune
	for _, c := range b[i : i+4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// integer returns the value of a JSON number that is an integer, however it is written (17, 17.0, 1.7e1), and fits 64 bits.
func integer(number []byte) (int64, bool) {
	negative := number[0] == '-'
	if negative {
		number = number[1:]
	}
	// zeros are those read since the last other digit: they count only if another digit, or no fraction, follows.
	var value uint64
	exponent, zeros, point, fits := 0, 0, false, true
	i := 0
	for ; i < len(number) && number[i]|0x20 != 'e'; i++ {
		c := number[i]
		if c == '.' {
			point = true
			continue
		}
		if point {
			exponent--
		}
		if c == '0' {
			zeros++
			continue
		}
		value, fits = timesTen(value, zeros+1, fits)
		value, zeros = value+uint64(c-'0'), 0
	}
	if value == 0 {
		return 0, true
	}
	if i < len(number) {
		exponent += power(number[i+1:])
	}
	if exponent += zeros; exponent < 0 {
		return 0, false
	}
	value, fits = timesTen(value, exponent, fits)
	switch {
	case !fits:
		return 0, false
	case negative && value <= 1<<63:
		return -int64(value), true
	case !negative && value <= math.MaxInt64:
		return int64(value), true
	}
	return 0, false
}

// timesTen multiplies v by ten n times, and by nothing more once it is too large for an int64 with another digit added.
func timesTen(v uint64, n int, fits bool) (uint64, bool) {
	for ; n > 0 && v > 0 && fits; n-- {
		if v > 1<<63/10 {
			return v, false
		}
		v *= 10
	}
	return v, fits
}

// power reads an exponent; what is beyond any number that fits is cut to something that is, too.
func power(digits []byte) int {
	const beyond = 1 << 27 // the longest text is shorter
	n, sign := 0, 1
	for _, c := range digits {
		switch {
		case c == '-':
			sign = -1
		case c != '+' && n < beyond:
			n = n*10 + int(c-'0')
		}
	}
	return sign * n
}

// alias returns b as a string that shares its memory.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
