package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is a program with two commands, and what they were called with.
type world struct {
	*Program
	brokers string
	speed   float64
	args    []string
	result  error
	env     map[string]string
	out     bytes.Buffer
	err     bytes.Buffer
}

func newWorld() *world {
	w := &world{env: map[string]string{}}
	w.Program = &Program{Name: "freshet", About: "Freshet.", Version: "v1", Commands: []*Command{
		{Name: "load", Summary: "load events", Usage: "FILE… | -", About: "Loads.", Example: "freshet load a.ndjson",
			Flags: func(fs *flag.FlagSet) {
				fs.StringVar(&w.brokers, "kafka.brokers", "localhost:9092", "Where the `brokers` are.")
				fs.Float64Var(&w.speed, "speed", 0, "How fast.")
			},
			Run: func(_ context.Context, args []string, _ *Stdio) error { w.args = args; return w.result }},
		{Name: "topics plan", Summary: "say what would change", Flags: func(fs *flag.FlagSet) {
			fs.Int("topics.partitions", 8, "Partitions.")
		}, Run: func(context.Context, []string, *Stdio) error { return nil }},
		{Name: "topics apply", Summary: "change it", Run: func(context.Context, []string, *Stdio) error { return nil }},
	}}
	return w
}

func (w *world) run(args ...string) int {
	return w.Main(context.Background(), args, &Stdio{In: strings.NewReader(""), Out: &w.out, Err: &w.err,
		Getenv: func(k string) (string, bool) { v, ok := w.env[k]; return v, ok }})
}

func TestStatusFollowsTheKindOfError(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {Nof("2 differ"), 1}, {Usagef("-x"), 2}, {Usage(errors.New("y")), 2}, {Unavailable(errors.New("no broker")), 3}, {errors.New("anything"), 3}, {context.Canceled, 3},
	} {
		w := newWorld()
		w.result = c.err
		if got := w.run("load", "f"); got != c.want {
			t.Errorf("%v: status %d, want %d", c.err, got, c.want)
		}
		if w.out.Len() > 0 {
			t.Errorf("%v: on stdout: %q", c.err, w.out.String())
		}
		if (c.err != nil) != strings.HasPrefix(w.err.String(), "freshet: ") {
			t.Errorf("%v: on stderr: %q", c.err, w.err.String())
		}
	}
	if Usage(nil) != nil || Unavailable(nil) != nil {
		t.Error("no error became one")
	}
}

func TestWrongNamesAreAnsweredWithTheNearest(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"laod"}, `"laod" is not a command: did you mean load?`},
		{[]string{"zzzzzzzz"}, `"zzzzzzzz" is not a command; freshet help`},
		{[]string{"topics"}, `topics: say which: plan, apply`},
		{[]string{"topics", "pla"}, `"pla" is not a command of topics: use one of plan, apply`},
		{[]string{"load", "-kafka.broker", "x"}, `-kafka.broker is not a flag of load: did you mean -kafka.brokers?`},
		{[]string{"load", "-speed", "fast"}, `invalid value "fast" for flag -speed`},
	} {
		w := newWorld()
		if got := w.run(c.args...); got != ExitUsage {
			t.Errorf("%v: status %d, want %d", c.args, got, ExitUsage)
		}
		if !strings.Contains(w.err.String(), c.want) {
			t.Errorf("%v: said %q, want %q in it", c.args, w.err.String(), c.want)
		}
	}
}

// A command of two words may begin with the name of another, whichever is listed first.
func TestTheLongestNameIsMeant(t *testing.T) {
	for _, reversed := range []bool{false, true} {
		var ran string
		var with []string
		command := func(name string) *Command {
			return &Command{Name: name, Summary: name, Run: func(_ context.Context, args []string, _ *Stdio) error { ran, with = name, args; return nil }}
		}
		w := newWorld()
		w.Commands = append(w.Commands, command("workflows"), command("workflows erase"))
		if reversed {
			slices.Reverse(w.Commands)
		}
		for _, c := range []struct {
			args, want []string
			name       string
		}{
			{[]string{"workflows"}, nil, "workflows"},
			{[]string{"workflows", "wf-1"}, []string{"wf-1"}, "workflows"},
			{[]string{"workflows", "erase"}, nil, "workflows erase"},
			{[]string{"workflows", "erase", "wf-1"}, []string{"wf-1"}, "workflows erase"},
			{[]string{"workflows", "--", "erase"}, []string{"erase"}, "workflows"},
		} {
			if got := w.run(c.args...); got != 0 || ran != c.name || !slices.Equal(with, c.want) {
				t.Errorf("%v: status %d, ran %q with %q", c.args, got, ran, with)
			}
		}
		if w.run("help", "workflows", "erase"); !strings.Contains(w.out.String(), "freshet workflows erase") {
			t.Errorf("help says %q", w.out.String())
		}
	}
}

func TestFlagsAndArgumentsComeInAnyOrder(t *testing.T) {
	for _, c := range []struct{ args, want []string }{
		{[]string{"load", "a", "-speed", "2", "b"}, []string{"a", "b"}},
		{[]string{"load", "-speed=2", "-"}, []string{"-"}},
		{[]string{"load", "-speed=2", "a", "--", "-b", "--"}, []string{"a", "-b", "--"}},
		{[]string{"load", "-speed=2", "--", "-b"}, []string{"-b"}},
	} {
		w := newWorld()
		if got := w.run(c.args...); got != 0 || w.speed != 2 || !slices.Equal(w.args, c.want) {
			t.Errorf("%v: status %d, speed %v, arguments %q, want %q; %s", c.args, got, w.speed, w.args, c.want, w.err.String())
		}
	}
}

func TestCommandLineBeforeEnvironmentBeforeFileBeforeDefault(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("kafka:\n  brokers: [f1:1, f2:2]\nspeed: 3\ntopics.partitions: 4\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		env     map[string]string
		args    []string
		brokers string
		speed   float64
	}{
		{"default", nil, nil, "localhost:9092", 0},
		{"file", nil, []string{"-config.file", file}, "f1:1,f2:2", 3},
		{"environment", map[string]string{"FRESHET_KAFKA_BROKERS": "e:1"}, []string{"-config.file", file}, "e:1", 3},
		{"command line", map[string]string{"FRESHET_KAFKA_BROKERS": "e:1", "FRESHET_SPEED": "9"}, []string{"-config.file", file, "-kafka.brokers", "c:1", "-speed=7"}, "c:1", 7},
		{"file named by the environment", map[string]string{"FRESHET_CONFIG_FILE": file}, nil, "f1:1,f2:2", 3},
		{"empty in the environment", map[string]string{"FRESHET_KAFKA_BROKERS": ""}, []string{"-config.file", file}, "", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			w.env = c.env
			if got := w.run(append([]string{"load"}, c.args...)...); got != 0 {
				t.Fatalf("status %d: %s", got, w.err.String())
			}
			if w.brokers != c.brokers || w.speed != c.speed {
				t.Errorf("brokers %q, speed %v; want %q, %v", w.brokers, w.speed, c.brokers, c.speed)
			}
		})
	}
}

func TestBadConfigurationNamesTheLine(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"speed: 1\nkafka:\n  broker: x\n", "c.yaml:3: unknown key kafka.broker: did you mean kafka.brokers?"},
		{"speeed: 1\n", "c.yaml:1: unknown key speeed: did you mean speed?"},
		{"speed: 1\nspeed: 2\n", "c.yaml:2: speed is set already in line 1"},
		{"kafka.brokers: x\nkafka: {brokers: y}\n", "c.yaml:2: kafka.brokers is set already in line 1"},
		{"\nspeed: fast\n", `c.yaml:2: speed is "fast"`},
		{"speed: {x: 1}\n", "c.yaml:1: speed: a plain value or a list of them is wanted"},
		{"- speed\n", "c.yaml:1: a mapping of flags to values is wanted here"},
		{"speed: [\n", "c.yaml:"},
		{"config.file: x\n", "unknown key config.file"},
	} {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		w := newWorld()
		if got := w.run("load", "-config.file", file); got != ExitUsage || !strings.Contains(w.err.String(), c.want) {
			t.Errorf("%q: status %d, said %q, want %q in it", c.text, got, w.err.String(), c.want)
		}
	}
	w := newWorld()
	w.env["FRESHET_SPEED"] = "fast"
	if got := w.run("load"); got != ExitUsage || !strings.Contains(w.err.String(), `environment variable FRESHET_SPEED is "fast"`) {
		t.Errorf("status %d, said %q", got, w.err.String())
	}
	w = newWorld()
	if got := w.run("load", "-config.file", "no-such.yaml"); got != ExitUsage || !strings.Contains(w.err.String(), "-config.file: open no-such.yaml") {
		t.Errorf("status %d, said %q", got, w.err.String())
	}
}

func TestHelpShowsFlagsDefaultsAndExample(t *testing.T) {
	for _, args := range [][]string{{"help", "load"}, {"load", "-h"}, {"load", "a", "--help"}} {
		w := newWorld()
		if got := w.run(args...); got != 0 {
			t.Fatalf("%v: status %d: %s", args, got, w.err.String())
		}
		for _, want := range []string{"Usage: freshet load [flags] FILE… | -", "-kafka.brokers brokers", "(default localhost:9092)", "freshet load a.ndjson", "-config.file"} {
			if !strings.Contains(w.out.String(), want) {
				t.Errorf("%v: %q is missing in\n%s", args, want, w.out.String())
			}
		}
	}
	w := newWorld()
	if got := w.run("help"); got != 0 || !strings.Contains(w.out.String(), "topics plan") {
		t.Errorf("status %d: %s", got, w.out.String())
	}
	w = newWorld()
	if got := w.run("help", "topics"); got != 0 || !strings.Contains(w.out.String(), "topics apply") {
		t.Errorf("help topics: status %d: %s", got, w.out.String())
	}
	w = newWorld()
	if got := w.run(); got != ExitUsage || w.out.Len() > 0 || !strings.Contains(w.err.String(), "topics plan") {
		t.Errorf("no arguments: status %d, stdout %q", got, w.out.String())
	}
	w = newWorld()
	if got := w.run("-version"); got != 0 || w.out.String() != "v1\n" {
		t.Errorf("-version: status %d, %q", got, w.out.String())
	}
	if doc := w.Markdown("make it"); !strings.Contains(doc, "| `-kafka.brokers` | `localhost:9092` | Where the brokers are. |") {
		t.Errorf("the reference lacks a flag:\n%s", doc)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "", 2}, {"load", "load", 0}, {"laod", "load", 1}, {"lod", "load", 1}, {"lxad", "load", 1}, {"abcd", "dcba", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestResultsAreATableForPeopleAndLinesForPrograms(t *testing.T) {
	type row struct {
		Name string `json:"name"`
	}
	for _, c := range []struct {
		name     string
		flags    []string
		terminal bool
		want     string
	}{
		{"pipe", nil, false, "{\"name\":\"<a>\"}\n{\"name\":\"bb\"}\n"},
		{"terminal", nil, true, "NAME  N\n<a>   1\nbb    2\n"},
		{"table", []string{"-o", "table"}, false, "NAME  N\n<a>   1\nbb    2\n"},
		{"json", []string{"-o", "json"}, true, "{\"name\":\"<a>\"}\n{\"name\":\"bb\"}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var f Format
			fs := flag.NewFlagSet("x", flag.ContinueOnError)
			f.RegisterFlags(fs)
			if err := fs.Parse(c.flags); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			r := f.Results(&Stdio{Out: &out, OutTerminal: c.terminal}, "NAME", "N")
			if err := errors.Join(r.Add(row{"<a>"}, "<a>", "1"), r.Add(row{"bb"}, "bb", "2"), r.Flush(), r.Flush()); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.want {
				t.Errorf("got %q, want %q", out.String(), c.want)
			}
		})
	}
	fs := flag.NewFlagSet("x", flag.ContinueOnError)
	fs.SetOutput(&bytes.Buffer{})
	new(Format).RegisterFlags(fs)
	if err := fs.Parse([]string{"-o", "xml"}); err == nil {
		t.Error("-o xml was taken")
	}
}

func TestProgressIsForTerminals(t *testing.T) {
	if got, want := progressText(30000, "events", 0.25, 10*time.Second), "30,000 events · 3,000/s · 25 % · 30s left"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := progressText(5, "events", -1, 0), "5 events"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	at := time.Unix(0, 0)
	var out bytes.Buffer
	p := (&Stdio{Err: &out}).Progress("events", at)
	p.Say(1, 0.5, at.Add(time.Second))
	p.Clear()
	if out.Len() > 0 {
		t.Errorf("without a terminal: %q", out.String())
	}
	p = (&Stdio{Err: &out, ErrTerminal: true}).Progress("events", at)
	p.Say(1, 0.5, at.Add(time.Millisecond))
	if out.Len() > 0 {
		t.Errorf("too often: %q", out.String())
	}
	p.Say(1, 0.5, at.Add(time.Second))
	p.Clear()
	if !strings.HasSuffix(out.String(), " \r") || !strings.Contains(out.String(), "50 %") {
		t.Errorf("on a terminal: %q", out.String())
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}
