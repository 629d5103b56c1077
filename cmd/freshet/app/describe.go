package app

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/alerts/dispatch"
)

// describe returns every flag with its value, one a line, as -config.file would have it.
func (c *Config) describe() string {
	// Registering sets defaults, so it happens on a copy whose values are put back through the flags' own fields.
	fs := flag.NewFlagSet("config", flag.ContinueOnError)
	shown := *c
	(&shown).RegisterFlags(fs)
	values := *c
	shown = values
	var b strings.Builder
	fs.VisitAll(func(f *flag.Flag) {
		value := f.Value.String()
		if value != "" && slices.Contains(dispatch.Secrets(), f.Name) { // such addresses may be all that it takes to write there
			value = "<redacted>"
		}
		fmt.Fprintf(&b, "%s: %s\n", f.Name, quoted(value))
	})
	return strings.TrimSuffix(b.String(), "\n")
}

func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, ":#{}[],&*!|>'\"%@` \n") {
		return fmt.Sprintf("%q", s)
	}
	return s
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
