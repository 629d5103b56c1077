package lint_test

import (
	"flag"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/commands"
)

// flagsOf returns the flags of every command by its name.
func flagsOf() map[string]*flag.FlagSet {
	all := map[string]*flag.FlagSet{}
	for _, c := range commands.New().Commands {
		flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
		if c.Flags != nil {
			c.Flags(flags)
		}
		all[c.Name] = flags
	}
	return all
}

var (
	span    = regexp.MustCompile("(?s)```sh\n(.*?)```|`(freshet [^`]+)`")
	dotted  = regexp.MustCompile("`-([a-z]+(?:[.-][a-z]+)*\\.[a-z][a-z.-]*[a-z])[ =`]")
	comment = regexp.MustCompile(`\s#.*`)
)

// own are flags with a dot that are no command's own: of the tests, and what every command with a configuration file takes.
var own = []string{"exact.full", "exact.brokers", "soak.speed", "soak.heap", "torture.kills", "config.file"}

// A document that names a command, or a flag of one, names one that there is.
func TestDocsNameCommandsAndFlagsThatExist(t *testing.T) {
	all := flagsOf()
	lines, named := 0, 0
	eachFile(t, func(path, text string) {
		if !strings.HasSuffix(path, ".md") || strings.HasPrefix(path, "clients/") {
			return
		}
		for _, m := range span.FindAllStringSubmatch(text, -1) {
			shell := strings.ReplaceAll(m[1]+m[2], "\\\n", " ")
			for line := range strings.Lines(shell) {
				for _, call := range regexp.MustCompile(`[|;&]+`).Split(comment.ReplaceAllString(line, ""), -1) {
					words := strings.Fields(call)
					if len(words) < 2 || words[0] != "freshet" {
						continue
					}
					lines++
					checkCall(t, path, all, words[1:])
				}
			}
		}
		for _, m := range dotted.FindAllStringSubmatch(text, -1) {
			named++
			known := slices.Contains(own, m[1])
			for _, flags := range all {
				known = known || flags.Lookup(m[1]) != nil
			}
			if !known {
				t.Errorf("%s names -%s, which is no flag", path, m[1])
			}
		}
	})
	if lines < 50 || named < 40 {
		t.Errorf("only %d calls and %d flags were looked at", lines, named)
	}
}

// checkCall checks the command and the flags of one call.
func checkCall(t *testing.T, path string, all map[string]*flag.FlagSet, words []string) {
	t.Helper()
	if words[0] == "help" || words[0] == strings.ToUpper(words[0]) {
		return
	}
	name := words[0]
	if len(words) > 1 && all[name+" "+words[1]] != nil {
		name += " " + words[1]
	}
	flags := all[name]
	if flags == nil {
		if !slices.ContainsFunc(commands.New().Commands, func(c *cli.Command) bool { return strings.HasPrefix(c.Name, name+" ") }) {
			t.Errorf("%s calls freshet %s, which there is not", path, strings.Join(words, " "))
		}
		return
	}
	for _, w := range words[1:] {
		w = strings.Trim(w, "[]()`,.")
		if f, is := strings.CutPrefix(w, "-"); is && f != "" && f != "h" {
			if f, _, _ = strings.Cut(f, "="); flags.Lookup(f) == nil && !regexp.MustCompile(`^\d`).MatchString(f) {
				t.Errorf("%s calls freshet %s with -%s, which it has not", path, name, f)
			}
		}
	}
}
