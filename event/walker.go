package event

// Walker takes what is wanted of a JSON text and steps over the rest. It reads as strictly as a Decoder does (see scanner). What is not as it
// has to be sticks: nothing is found any more, and End reports false. It reuses its memory from one text to the next.
type Walker struct{ s scanner }

// Start begins with a text. What Text has returned of the one before is no longer valid.
func (w *Walker) Start(text []byte) {
	w.s.start(text, DefaultMaxDepth)
	w.s.text = w.s.text[:0]
}

// Object calls member for each member of the object that comes next, which has to step over the value. For null it calls nothing.
func (w *Walker) Object(member func(name string)) {
	if w.null() || !w.begins('{') {
		return
	}
	f := w.s.open()
	for name, ok := w.s.member(&f); ok; name, ok = w.s.member(&f) {
		member(name)
	}
}

// Array calls element for each element of the array that comes next, which has to step over it. For null it calls nothing.
func (w *Walker) Array(element func()) {
	if w.null() || !w.begins('[') {
		return
	}
	f := w.s.open()
	for w.s.element(&f) {
		element()
	}
}

// Text returns the string that comes next, which may be a piece of the text; known is false for null.
func (w *Walker) Text() (text string, known bool) {
	if w.null() || !w.begins('"') {
		return "", false
	}
	return w.s.str(), !w.s.bad
}

// Integer returns the integer that comes next, 0 for null.
func (w *Walker) Integer() int64 {
	if w.null() {
		return 0
	}
	number := w.s.number()
	if w.s.bad {
		return 0
	}
	n, ok := integer(number)
	if !ok {
		w.s.fail()
	}
	return n
}

// Instant returns the instant that comes next, in RFC 3339; 0 for null.
func (w *Walker) Instant() Time {
	text, known := w.Text()
	if !known {
		return 0
	}
	t, ok := ParseTime(text)
	if !ok {
		w.s.fail()
	}
	return t
}

// Skip steps over the value that comes next.
func (w *Walker) Skip() { w.s.skip() }

// End says whether the text was one JSON value, and everything in it as it has to be.
func (w *Walker) End() bool { return w.s.end() }

// null steps over null, if that comes next.
func (w *Walker) null() bool {
	if w.s.peek() != 'n' {
		return false
	}
	w.s.literal("null")
	return true
}

// begins says whether a value of a kind comes next.
func (w *Walker) begins(with byte) bool {
	if w.s.peek() == with {
		return true
	}
	w.s.fail()
	return false
}
