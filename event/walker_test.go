package event

import (
	"fmt"
	"testing"
)

// A walker takes what it is asked for, null for nothing, and says whether all of the text was as it had to be.
func TestWalker(t *testing.T) {
	var w Walker
	walk := func(text string) (said string, ok bool) {
		w.Start([]byte(text))
		w.Object(func(name string) {
			switch name {
			case "s":
				s, known := w.Text()
				said += fmt.Sprintf("%q %v, ", s, known)
			case "n":
				said += fmt.Sprint(w.Integer(), ", ")
			case "t":
				said += fmt.Sprint(w.Instant(), ", ")
			case "a":
				w.Array(func() { said += fmt.Sprint(w.Integer(), ", ") })
			case "o":
				w.Object(func(name string) {
					said += name + ", "
					w.Skip()
				})
			default:
				w.Skip()
			}
		})
		return said, w.End()
	}
	for text, want := range map[string]string{
		`{"s":"a\n\"ä","n":-7,"x":[{"s":"b"}],"t":"1970-01-01T00:00:01Z","a":[1,2],"o":{"p":1,"q":[]}}`: `"a\n\"ä" true, -7, 1970-01-01T00:00:01.000Z, 1, 2, p, q, `,
		` { "s" : null , "n" : null , "t" : null , "a" : null , "o" : null } `:                          `"" false, 0, 1970-01-01T00:00:00.000Z, `,
		`{"a":[],"o":{}}`: "",
		`null`:            "",
	} {
		if got, ok := walk(text); got != want || !ok {
			t.Errorf("%s: %q, %v; want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{``, `[]`, `{"s":7}`, `{"n":"7"}`, `{"n":1.5}`, `{"t":"today"}`, `{"a":{}}`, `{"a":["1"]}`, `{"o":[]}`, `{"s":"a"`, `{"n":1}}`, `{"n":1,"n":1}`, `{"n":nul}`} {
		if said, ok := walk(text); ok {
			t.Errorf("%s is taken, as %q", text, said)
		}
	}
}
