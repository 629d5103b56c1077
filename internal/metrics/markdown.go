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
		"The series of a partition (`freshet-workflows/3`: group and number) go when the partition goes.\n\n" +
		"About once a second, an observation of a histogram, or a count of `freshet_stale_decisions_total`, carries an exemplar with the `workflow`, and, where it is about one, the `decision_id`; ids that are longer than an exemplar may be (128 characters with their names) are left out. " +
		"Which [dashboards](dashboards.md) show what, and how metrics are sent by [OTLP](operations.md#metrics), has pages of its own.\n\n")
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
