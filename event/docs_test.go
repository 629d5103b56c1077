package event

import (
	"os"
	"strings"
	"testing"
)

// TestEventsReference holds docs/events.md to the code: every type, category and reason is there, and both examples are good events.
func TestEventsReference(t *testing.T) {
	text, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	names := []string{HeaderReason, HeaderTopic, HeaderPartition, HeaderOffset}
	for _, typ := range Types() {
		names = append(names, typ.String())
	}
	for _, reason := range Reasons() {
		names = append(names, reason.String())
	}
	for c := Live; c <= Replay; c++ {
		names = append(names, c.String())
	}
	for c := Updated; c <= RolledBack; c++ {
		names = append(names, c.String())
	}
	for _, name := range names {
		if !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("docs/events.md does not mention %s", name)
		}
	}
	for c := Control; c <= Source; c++ {
		if !strings.Contains(doc, "| "+c.String()+" |") {
			t.Errorf("docs/events.md has no types of %v", c)
		}
	}
	for _, reason := range Reasons() {
		if !strings.Contains(doc, "| `"+reason.String()+"` | ") {
			t.Errorf("docs/events.md does not explain %v", reason)
		}
	}

	block := func(language string) string {
		_, rest, ok := strings.Cut(doc, "```"+language+"\n")
		if !ok {
			t.Fatalf("docs/events.md has no %s example", language)
		}
		example, _, _ := strings.Cut(rest, "```")
		return example
	}
	var e Event
	parts := strings.Split(block("text"), "\n\n")
	if len(parts) != 3 {
		t.Fatalf("the example in binary mode has %d parts, want key, headers, value", len(parts))
	}
	r := Record{Key: []byte(strings.TrimPrefix(parts[0], "key: ")), Value: []byte(strings.TrimSpace(parts[2])), Category: Context}
	for _, line := range strings.Split(parts[1], "\n") {
		name, value, _ := strings.Cut(line, ": ")
		r.Headers = append(r.Headers, Header{[]byte(name), []byte(value)})
	}
	if reason := NewDecoder(Config{}).Decode(&r, &e); reason != OK || len(e.Refs) != 2 || e.BadRefs != 0 || e.WorkflowType != "refund" {
		t.Errorf("the example in binary mode: %v, %+v", reason, e)
	}
	r = Record{Key: []byte("policy/refund"), Value: []byte(block("json")), Category: Source,
		Headers: []Header{{[]byte("content-type"), []byte("application/cloudevents+json")}}}
	if reason := NewDecoder(Config{}).Decode(&r, &e); reason != OK || e.Type != SourceUpdated || e.Seq != 18 {
		t.Errorf("the example in structured mode: %v, %+v", reason, e)
	}
}
