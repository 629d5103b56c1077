package honest

import (
	"fmt"
	"os"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

const zero = event.Time(1_790_000_000_000)

// TestWhatIsWrongIsFound compares answers with a log in which a workflow has loaded version 1 at second 1, and version 2 was published between
// seconds 10 and 11; a note that it loads at second 2 is too old 20 s after second 0.
func TestWhatIsWrongIsFound(t *testing.T) {
	file, err := slo.Parse([]byte(Contract), "contract", os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	at := func(s float64) string { return (zero + event.Time(s*1000)).String() }
	told := func(l *Log, kind, subject string, sent, acked float64, data string) {
		t.Helper()
		one, err := l.Sending(line(kind, subject, int(sent*10), zero+event.Time(sent*1000), data), zero+event.Time(sent*1000), zero+event.Time(sent*1000))
		if err != nil {
			t.Fatal(err)
		}
		l.Acked(one, zero+event.Time(acked*1000))
	}
	answer := func(verdict string, x, applied, received float64, more string) string {
		return fmt.Sprintf(`{"verdict":%q,"reasons":[],"at":%q,"applied_through":%q,"engine_lag_s":%.3f%s}`, verdict, at(x), at(applied), max(0, x-applied), more)
	}
	until := func(s float64) string { return fmt.Sprintf(`,"valid_until":%q`, at(s)) }
	own := &Check{Workflow: "w", Least: map[string]int{"policy/k": 2}}
	for name, c := range map[string]struct {
		check    *Check
		answer   string
		received float64
		wrong    string // fresh, stale, until
	}{
		"fresh, before the change":                  {nil, answer("fresh", 9, 8.9, 9.1, until(20.001)), 9.1, ""},
		"fresh, the change may not have been seen":  {nil, answer("fresh", 11.5, 10.9, 12, until(20.001)), 12, ""},
		"fresh, the change has been applied":        {nil, answer("fresh", 12, 11.5, 12.1, until(20.001)), 12.1, "fresh"},
		"stale, the change may have been seen":      {nil, answer("stale", 10.5, 10, 10.6, ""), 10.6, ""},
		"stale, before the change":                  {nil, answer("stale", 9, 8.9, 9.1, ""), 9.1, "stale"},
		"fresh, from an engine that is far behind":  {nil, answer("fresh", 9, 6.5, 9.1, until(20.001)), 9.1, "fresh"},
		"fresh, though the caller names the change": {own, answer("fresh", 11.5, 10.9, 12, until(20.001)), 12, "fresh"},
		"fresh for too long":                        {nil, answer("fresh", 9, 8.9, 9.1, until(20.002)), 9.1, "until"},
		"fresh for ever":                            {nil, answer("fresh", 9, 8.9, 9.1, ""), 9.1, "until"},
		"fresh, nobody knows the workflow":          {&Check{Workflow: "v"}, answer("fresh", 9, 8.9, 9.1, ""), 9.1, "fresh"},
		"unknown is never wrong":                    {nil, answer("unknown", 9, 8.9, 9.1, ""), 9.1, ""},
		"stale of old news":                         {nil, answer("stale", 25, 24.9, 25.1, ""), 25.1, ""},
	} {
		l := NewLog(file.Contract())
		told(l, "source.updated", "policy/k", 0, 0.1, `{"kind":"policy","key":"k","seq":1}`)
		told(l, "source.updated", "note/k", 0, 0.1, `{"kind":"note","key":"k","seq":1}`)
		told(l, "context.loaded", "w", 1, 1.1, `{"refs":[{"kind":"policy","key":"k","seq":1}]}`)
		told(l, "context.loaded", "w", 2, 2.1, `{"refs":[{"kind":"note","key":"k","seq":1}]}`)
		told(l, "source.updated", "policy/k", 10, 11, `{"kind":"policy","key":"k","seq":2}`)
		if c.check == nil {
			c.check = &Check{Workflow: "w"}
		}
		a, err := Read(c.check, "one", []byte(c.answer), zero+event.Time(c.received*1000))
		if err != nil {
			t.Fatal(err)
		}
		l.Answered(a)
		r := l.Compare()
		got := ""
		for name, n := range map[string]int{"fresh": r.WrongFresh, "stale": r.WrongStale, "until": r.WrongUntil} {
			if n > 0 {
				got += name
			}
		}
		if got != c.wrong || r.Answers != 1 || r.Events != 5 {
			t.Errorf("%s: wrong %q, want %q; %v", name, got, c.wrong, r)
		}
	}
}

// An actor that does not wait for acknowledgements makes beginnings that are no prefixes.
func TestEventsOfASubjectAreToldOneByOne(t *testing.T) {
	l := NewLog(nil)
	if _, err := l.Sending(line("task.started", "w", 1, zero, `{}`), zero, zero); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Sending(line("task.waiting", "w", 2, zero, `{}`), zero, zero); err == nil {
		t.Error("the second event was sent before the first was acknowledged")
	}
	if _, err := l.Sending([]byte(`{}`), zero, zero); err == nil {
		t.Error("what is no event was logged")
	}
}
