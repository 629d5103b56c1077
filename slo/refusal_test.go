package slo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/freshet-io/freshet/event"
)

// The cases under testdata/refusals are files with something wrong in them and every error that is found, as line:column, the rule's
// name, the path and the message. A case without errors is "accepted".
func TestRefusals(t *testing.T) {
	seen := map[Refusal]bool{}
	datadriven.Walk(t, "testdata/refusals", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "parse" {
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			_, err := Parse([]byte(d.Input), "contracts.yaml", secrets)
			if err == nil {
				return "accepted\n"
			}
			var errs Errors
			if !errors.As(err, &errs) {
				t.Fatalf("%T is not Errors", err)
			}
			var out strings.Builder
			for _, e := range errs {
				seen[e.Refusal] = true
				place := fmt.Sprintf("contracts.yaml:%d:%d: ", e.Line, e.Column)
				said, ok := strings.CutPrefix(e.Error(), place)
				if !ok {
					t.Errorf("%q does not begin with its place, %q", e.Error(), place)
				}
				fmt.Fprintf(&out, "%d:%d [%s] %s\n", e.Line, e.Column, e.Refusal, said)
			}
			return out.String()
		})
	})
	for _, big := range bigFiles() {
		_, err := Parse([]byte(big), "contracts.yaml", nil)
		for _, e := range err.(Errors) {
			seen[e.Refusal] = true
		}
	}
	for _, r := range refusals() {
		if !seen[r.rule] {
			t.Errorf("no case breaks the rule %s", r.rule)
		}
	}
}

// bigFiles are files beyond a limit.
func bigFiles() []string {
	var bomb strings.Builder
	bomb.WriteString("version: 1\nowners: {o: {}}\nmaintenance:\n  - {owner: o, from: 2026-01-01T00:00:00Z, to: 2026-01-02T00:00:00Z}\nslos:\n")
	fmt.Fprintf(&bomb, "  - &s {name: s, workflow: w, use: action.executed, objective: 0.9, window: 30d, alerting: {page: &p [%s]}}\n", strings.Repeat("{burn: 1, long: 2h, short: 1h}, ", 100))
	for range 1000 {
		bomb.WriteString("  - *s\n")
	}
	return []string{
		"version: 1\n" + strings.Repeat("#", maxFile),
		bomb.String(),
		"version: 1\nowners: {" + strings.Repeat("1: {}, ", 2*maxErrors) + "}\n",
	}
}

func TestLimits(t *testing.T) {
	for i, want := range []string{
		"contracts.yaml:1:1: the file has 1048587 bytes: at most 1048576 are read",
		"with its aliases written out the file has more than 262144 values",
		"there are more errors: only 999 are shown",
	} {
		_, err := Parse([]byte(bigFiles()[i]), "contracts.yaml", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("file %d: %.300v does not say %q", i, err, want)
		}
		if n := len(err.(Errors)); n > maxErrors {
			t.Errorf("file %d: %d errors", i, n)
		}
	}
}

// The cases under testdata/resolved show what a file comes to.
func TestResolved(t *testing.T) {
	datadriven.Walk(t, "testdata/resolved", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			f, err := Parse([]byte(d.Input), "contracts.yaml", secrets)
			if err != nil {
				return err.Error() + "\n"
			}
			var out strings.Builder
			switch d.Cmd {
			case "bounds":
				showBounds(&out, f)
			case "burn":
				for i := range f.SLOs {
					showRules(&out, &f.SLOs[i])
				}
			case "topics":
				for _, topic := range f.TopicSet() {
					showTopic(&out, topic)
				}
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			return out.String()
		})
	})
}

func showBounds(out *strings.Builder, f *File) {
	for _, w := range sorted(f.Contract().Classes) {
		for _, class := range sorted(f.Contract().Classes[w]) {
			fmt.Fprintf(out, "%s/%s", w, class)
			rules := f.Contract().Rules(w, class)
			for _, kind := range sorted(rules.Kinds) {
				k := rules.Kinds[kind]
				fmt.Fprintf(out, " %s:", kind)
				if !k.Judged {
					out.WriteString(" not judged")
				}
				if k.Bounds.HasStaleness {
					fmt.Fprintf(out, " staleness %s", FormatDuration(k.Bounds.MaxStaleness))
				}
				if k.Bounds.HasVersions {
					fmt.Fprintf(out, " versions %d", k.Bounds.MaxVersionsBehind)
				}
				if k.Bounds.HasAge {
					fmt.Fprintf(out, " age %s", FormatDuration(k.Bounds.MaxAge))
				}
				out.WriteString(";")
			}
			out.WriteString("\n")
		}
	}
}

func showRules(out *strings.Builder, s *SLO) {
	fmt.Fprintf(out, "%s: owner %s, budget %v, unknown is %s, at least %d events", s.Name, s.Owner, s.Budget, s.OnUnknown, s.MinEvents)
	for _, b := range s.Rules {
		fmt.Fprintf(out, "; %s %v over %s and %s", b.Severity, b.Burn, FormatDuration(b.Long), FormatDuration(b.Short))
	}
	out.WriteString("\n")
}

func showTopic(out *strings.Builder, t Topic) {
	fmt.Fprintf(out, "%s: %s, owner %q, lateness %s", t.Name, t.Category, t.Owner, FormatDuration(t.Lateness))
	if t.Rekey {
		out.WriteString(", rekey")
	}
	if t.DeadLetter != "" {
		fmt.Fprintf(out, ", dead letters to %s", t.DeadLetter)
	}
	if t.Retention != 0 {
		fmt.Fprintf(out, ", kept for %s", FormatDuration(t.Retention))
	}
	out.WriteString("\n")
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		Ticket.String(): "ticket", Page.String(): "page", Severity(9).String(): "unknown",
		CountBad.String(): "bad", Exclude.String(): "exclude", OnUnknown(9).String(): "unknown",
		defaultTopic(event.Unknown): "", defaultTopic(event.Source): "context.source",
	} {
		if got != want {
			t.Errorf("%q is not %q", got, want)
		}
	}
	if c := defaultCategory("legacy.tools"); c != event.Unknown {
		t.Errorf("legacy.tools is a default topic: of %s", c)
	}
}

// FuzzParse says that no bytes bring the parser down, that every error has a place inside the file, and that what is accepted is
// accepted again with the same hash.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	golden, _ := filepath.Glob("../testdata/golden/*.contracts.yaml")
	for _, file := range append(files, golden...) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{"", "---\n---\n", "a: &a [*a]", "version: 1\n\t", "\xff", "{", "version: 1\nslos: [{objective: 1e-400}]", "? [a]\n: b", "<<: {}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data, "contracts.yaml", secrets)
		if err == nil {
			again, err := Parse(data, "contracts.yaml", secrets)
			if err != nil || again.Hash() != c.Hash() {
				t.Fatalf("accepted as %s, then %v", c.Hash(), err)
			}
			return
		}
		errs := err.(Errors)
		if len(errs) == 0 || len(errs) > maxErrors {
			t.Fatalf("refused with %d errors", len(errs))
		}
		lines := 1 + strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + strings.Count(string(data), "\u0085") + strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029")
		for _, e := range errs {
			if e.Line < 1 || e.Column < 1 || e.Line > lines || e.Message == "" || e.Refusal == "" {
				t.Fatalf("%d lines: %+v", lines, e)
			}
		}
	})
}
