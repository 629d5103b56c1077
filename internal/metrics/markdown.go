package metrics

import (
	"fmt"
	"strings"
)

// Markdown returns docs/metrics.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# Metrics\n\n<!-- Generated from internal/metrics: go test ./internal/metrics -run Reference -rewrite -->\n\n")
	b.WriteString("Workflow ids, context keys and decision ids are never labels. Label values come from the contract file or from closed sets: `" + Other +
		"` is what the contract does not name, `" + Unset + "` what an event does not say.\nWhat can stop is exported as a timestamp: its age is `time() - series`. " +
		"The series of a partition (`workflows/3`: group and number) go when the partition goes.\n\n")
	b.WriteString("| series | type | labels | what |\n|---|---|---|---|\n")
	for _, s := range Reference() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Name, s.Type, labelList(s), s.Help)
	}
	return b.String()
}

func labelList(s Series) string {
	var parts []string
	for _, l := range s.Labels {
		text := "`" + l + "`"
		if v := s.Values[l]; v != nil {
			text += ": " + strings.Join(v, " ")
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " · ")
}
