package retime

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/freshet-io/freshet/event"
)

// Shift returns the function that moves instants by a fixed time.
func Shift(by event.Time) func(event.Time) event.Time {
	return func(t event.Time) event.Time { return t + by }
}

// Append appends the event in line to dst with all its instants moved: time and recordedtime of the event, effective_at, as_of and
// through in its data. What is no instant is left as it is.
func Append(dst, line []byte, move func(event.Time) event.Time) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	var stack []level
	copied, end := 0, 0
	for {
		before := end
		token, err := d.Token()
		if errors.Is(err, io.EOF) && len(stack) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if errors.Is(err, io.EOF) {
			return append(dst, line[copied:]...), nil
		}
		if err != nil {
			return dst, fmt.Errorf("move the instants of an event: %w", err)
		}
		end = int(d.InputOffset())
		if delim, ok := token.(json.Delim); ok {
			stack = nest(stack, delim)
			continue
		}
		text, isString := token.(string)
		top := len(stack) - 1
		if top >= 0 && stack[top].wantKey {
			stack[top].key, stack[top].wantKey = text, false
			continue
		}
		if isString && holdsInstant(stack) {
			if t, ok := event.ParseTime(text); ok {
				start := before + bytes.IndexByte(line[before:end], '"')
				dst = append(append(dst, line[copied:start]...), '"')
				dst = append(move(t).Append(dst), '"')
				copied = end
			}
		}
		if top >= 0 {
			stack[top].wantKey = stack[top].object
		}
	}
}

// level is an object or array that is open.
type level struct {
	object, wantKey bool
	key             string // whose value is being read
}

func nest(stack []level, delim json.Delim) []level {
	switch delim {
	case '{':
		return append(stack, level{object: true, wantKey: true})
	case '[':
		return append(stack, level{})
	}
	stack = stack[:len(stack)-1]
	if top := len(stack) - 1; top >= 0 {
		stack[top].wantKey = stack[top].object
	}
	return stack
}

// holdsInstant says whether a value at this place is one of the instants that Freshet reads.
func holdsInstant(stack []level) bool {
	top := len(stack) - 1
	if top < 0 || !stack[top].object {
		return false
	}
	if top == 0 {
		return stack[0].key == "time" || stack[0].key == "recordedtime"
	}
	switch stack[top].key {
	case "effective_at", "as_of", "through":
		return stack[0].key == "data"
	}
	return false
}
