package slo

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	referenceFile = "../docs/contract.md"
	schemaFile    = "../docs/contract.schema.json"
)

// rewriting says whether generated files are to be written anew. The flag belongs to datadriven, which writes cases anew with it.
func rewriting() bool { return flag.Lookup("rewrite").Value.String() == "true" }

// TestReferenceIsCurrent compares the generated parts of docs/contract.md with the code: tables of keys, the refusals, the example.
func TestReferenceIsCurrent(t *testing.T) {
	old, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	blocks := regexp.MustCompile(`(?s)<!-- generated: ([^>]*) -->\n.*?<!-- end -->`)
	want := blocks.ReplaceAllStringFunc(string(old), func(block string) string {
		what := blocks.FindStringSubmatch(block)[1]
		used[what] = true
		return "<!-- generated: " + what + " -->\n" + generated(t, what) + "<!-- end -->"
	})
	for _, k := range Keys() {
		if section, _, _ := strings.Cut(strings.NewReplacer("[", ".").Replace(k.Path), "."); !used["keys "+section] && !used["keys"] {
			t.Errorf("no table of %s has the keys of %s", referenceFile, section)
		}
	}
	for _, what := range []string{"keys", "refusals", "example"} {
		if !used[what] {
			t.Errorf("%s has no %s", referenceFile, what)
		}
	}
	current(t, referenceFile, old, []byte(want))
}

func TestSchemaIsCurrent(t *testing.T) {
	want, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(schemaFile)
	if err != nil && !rewriting() {
		t.Fatal(err)
	}
	current(t, schemaFile, old, append(want, '\n'))
}

func current(t *testing.T, file string, old, want []byte) {
	t.Helper()
	if bytes.Equal(old, want) {
		return
	}
	if !rewriting() {
		t.Fatalf("%s is not what the code says; go test ./slo -run Current -rewrite", file)
	}
	if err := os.WriteFile(file, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

func generated(t *testing.T, what string) string {
	t.Helper()
	var b strings.Builder
	switch name, section, _ := strings.Cut(what, " "); name {
	case "keys":
		b.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
		for _, k := range Keys() {
			top := strings.TrimSuffix(strings.Split(k.Path, ".")[0], "[]")
			if section == "" && k.Path == top || section != "" && top == section && k.Path != top {
				keyRow(&b, k)
			}
		}
	case "refusals":
		b.WriteString("| rule | what is wrong |\n|---|---|\n")
		for _, r := range refusals() {
			fmt.Fprintf(&b, "| `%s` | %s |\n", r.rule, r.says)
		}
	case "example":
		data, err := os.ReadFile("testdata/example.yaml")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "```yaml\n%s```\n", data)
	default:
		t.Fatalf("nothing generates %q", what)
	}
	return b.String()
}

func keyRow(b *strings.Builder, k Key) {
	fallback := k.Default
	switch {
	case k.Required:
		fallback = "**required**"
	case fallback == "":
		fallback = "–"
	}
	doc := k.Doc
	if k.Example != "" {
		doc += " `" + k.Example + "`"
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", k.Path, strings.ReplaceAll(k.Type, " | ", " · "), strings.ReplaceAll(fallback, "|", "\\|"), strings.ReplaceAll(doc, "|", "\\|"))
}

// TestEveryKeyIsUsed: the example of the documentation and the schema have every key that the file can have, and no other.
func TestEveryKeyIsUsed(t *testing.T) {
	data, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rare := []string{"contexts.KIND.versions_limit"}
	for _, k := range Keys() {
		last := k.Path[strings.LastIndexByte(k.Path, '.')+1:]
		if !slices.Contains(rare, k.Path) && !regexp.MustCompile(`(?m)\b`+last+`:`).Match(data) {
			t.Errorf("the example does not use %s", k.Path)
		}
		if k.Doc == "" || k.Type == "" || !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: type %q, doc %q", k.Path, k.Type, k.Doc)
		}
		if k.Required && k.Default != "" {
			t.Errorf("%s has to be written and has a default", k.Path)
		}
	}
}

// TestExamplesOfKeys: what the reference shows of a key is YAML that begins with that key.
func TestExamplesOfKeys(t *testing.T) {
	for _, k := range Keys() {
		if k.Example == "" {
			continue
		}
		var m map[string]any
		if err := yaml.Unmarshal([]byte(k.Example), &m); err != nil || len(m) != 1 {
			t.Errorf("%s: %q is not one entry: %v", k.Path, k.Example, err)
		}
		if last := k.Path[strings.LastIndexByte(k.Path, '.')+1:]; !strings.HasPrefix(k.Example, last+":") {
			t.Errorf("%s: the example is of another key: %s", k.Path, k.Example)
		}
	}
}

// TestSchemaKnowsEveryKey walks from the root of the schema to each key of the reference.
func TestSchemaKnowsEveryKey(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	for _, k := range Keys() {
		at := root
		for _, part := range strings.Split(k.Path, ".") {
			name, isList := strings.CutSuffix(part, "[]")
			properties, _ := at["properties"].(map[string]any)
			next, ok := properties[name].(map[string]any)
			if !ok {
				next, ok = at["additionalProperties"].(map[string]any)
			}
			if !ok {
				t.Fatalf("the schema does not know %s of %s", part, k.Path)
			}
			if at = next; isList {
				at, _ = at["items"].(map[string]any)
			}
		}
	}
}
