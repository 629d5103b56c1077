package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// scenario is one run of a scenario of the CloudEvents conformance features: an outline is one for each of its examples.
type scenario struct {
	name, payload, data string
	headers, attributes [][2]string
}

// features reads a feature file. A step it does not know is an error, so that none is passed over.
func features(t *testing.T, file string) []scenario {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []scenario
	var outline *scenario
	var examples [][]string
	flush := func() {
		if outline == nil {
			return
		}
		if len(examples) == 0 {
			examples = [][]string{{}, {}}
		}
		for _, row := range examples[1:] {
			s := *outline
			fill := func(text string) string {
				for i, name := range examples[0] {
					text = strings.ReplaceAll(text, "<"+name+">", row[i])
				}
				return text
			}
			s.name, s.payload, s.data = fill(s.name), fill(s.payload), fill(s.data)
			s.headers, s.attributes = slices.Clone(s.headers), slices.Clone(s.attributes)
			for _, table := range [][][2]string{s.headers, s.attributes} {
				for i := range table {
					table[i][1] = fill(table[i][1])
				}
			}
			all = append(all, s)
		}
		outline, examples = nil, nil
	}
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		step := line
		for _, word := range []string{"Given ", "And ", "When ", "Then "} {
			step = strings.TrimPrefix(step, word)
		}
		docString := func() string {
			if i++; strings.TrimSpace(lines[i]) != `"""` {
				t.Fatalf("%s:%d: no text for: %s", file, i+1, step)
			}
			var b strings.Builder
			for i++; strings.TrimSpace(lines[i]) != `"""`; i++ {
				b.WriteString(strings.TrimSpace(lines[i]) + "\n")
			}
			return b.String()
		}
		table := func() [][]string {
			var rows [][]string
			for ; i+1 < len(lines) && strings.HasPrefix(strings.TrimSpace(lines[i+1]), "|"); i++ {
				var row []string
				for _, cell := range strings.Split(strings.Trim(strings.TrimSpace(lines[i+1]), "|"), "|") {
					row = append(row, strings.TrimSpace(cell))
				}
				rows = append(rows, row)
			}
			return rows
		}
		pairs := func() [][2]string {
			var p [][2]string
			for _, row := range table()[1:] {
				p = append(p, [2]string{row[0], row[1]})
			}
			return p
		}
		switch {
		case strings.HasPrefix(line, "Scenario"):
			flush()
			_, name, _ := strings.Cut(line, ": ")
			outline = &scenario{name: name}
		case step == "a Kafka message with payload:":
			outline.payload = docString()
		case step == "Kafka headers:":
			outline.headers = pairs()
		case step == "the attributes are:":
			outline.attributes = pairs()
		case step == "the data is equal to the following JSON:":
			outline.data = docString()
		case line == "Examples:":
			examples = table()
		case line == "", strings.HasPrefix(line, "Feature:"), strings.HasPrefix(line, "Background:"), strings.HasPrefix(line, "The Kafka Protocol Binding"),
			step == "Kafka Protocol Binding is supported", step == "parsed as Kafka message":
		default:
			t.Fatalf("%s:%d: unknown step: %s", file, i+1, line)
		}
	}
	flush()
	return all
}

// attribute returns what e has for an attribute, as the conformance files write it.
func attribute(t *testing.T, e *Event, name string) string {
	t.Helper()
	switch name {
	case "id":
		return e.ID
	case "specversion":
		return "1.0" // what has another one is no event
	case "type":
		return e.TypeName
	case "source":
		return e.Source
	case "time":
		return strings.Replace(e.Time.String(), ".000Z", "Z", 1)
	case "datacontenttype":
		return e.DataContentType
	}
	t.Fatalf("unknown attribute %s", name)
	return ""
}

// TestKafkaBindingFeatures runs the Kafka protocol binding's conformance features. Their events have no subject, which Freshet asks for;
// so each must be refused for that alone, and be the event that the feature describes once it has one.
func TestKafkaBindingFeatures(t *testing.T) {
	scenarios := features(t, "testdata/cloudevents/kafka-protocol-binding.feature")
	if len(scenarios) != 3 {
		t.Fatalf("found %d scenarios, want 3", len(scenarios))
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			r := &Record{Value: []byte(s.payload)}
			for _, h := range s.headers {
				r.Headers = append(r.Headers, Header{[]byte(h[0]), []byte(h[1])})
			}
			d, e := NewDecoder(Config{}), new(Event)
			if got := d.Decode(r, e); got != MissingAttribute {
				t.Fatalf("without a subject: %v", got)
			}
			r.Key = []byte("wf-1")
			if strings.Contains(s.payload, "specversion") {
				r.Value = []byte(strings.Replace(s.payload, "{", `{"subject":"wf-1",`, 1))
			}
			if got := d.Decode(r, e); got != OK {
				t.Fatal(got)
			}
			for _, a := range s.attributes {
				if got := attribute(t, e, a[0]); got != a[1] {
					t.Errorf("%s is %q, want %q", a[0], got, a[1])
				}
			}
			var got, want any
			if err := errors.Join(json.Unmarshal([]byte(e.Data), &got), json.Unmarshal([]byte(s.data), &want)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("data is %v, want %v", got, want)
			}
		})
	}
}

// conformanceEvent is one document of CloudEvents' conformance YAML files.
type conformanceEvent struct {
	Mode              string
	ContextAttributes struct {
		SpecVersion     yaml.Node
		Type, ID        string
		Time            string
		Source          string
		DataContentType string
		Extensions      map[string]string
	}
	Data string
}

func conformanceEvents(t *testing.T, file string) []conformanceEvent {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	// The files write Extensions in upper case and everything else as CloudEvents does.
	text = bytes.ReplaceAll(text, []byte("ContextAttributes:"), []byte("contextattributes:"))
	text = bytes.ReplaceAll(text, []byte("Extensions:"), []byte("extensions:"))
	text = bytes.ReplaceAll(text, []byte("Mode:"), []byte("mode:"))
	text = bytes.ReplaceAll(text, []byte("Data:"), []byte("data:"))
	text = bytes.ReplaceAll(text, []byte("Transportextensions:"), []byte("transportextensions:"))
	var all []conformanceEvent
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var e conformanceEvent
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
}

// TestConformanceEvents decodes the conformance events in both modes: those of version 1.0 are kept, whatever their data is, as they
// are of a type Freshet does not know; those of 0.3 are no CloudEvents to it. The minimal ones have no time, which Freshet asks for.
func TestConformanceEvents(t *testing.T) {
	for _, c := range []struct {
		file   string
		events int
		want   Reason
	}{
		{"v1.yaml", 2, OK}, {"v1_minimum.yaml", 6, OK}, {"v03_minimum.yaml", 6, NotCloudEvent},
	} {
		events := conformanceEvents(t, "testdata/cloudevents/"+c.file)
		if len(events) != c.events {
			t.Fatalf("%s has %d events, want %d", c.file, len(events), c.events)
		}
		for _, in := range events {
			for _, withTime := range []bool{false, true} {
				want := c.want
				if withTime {
					in.ContextAttributes.Time = at
				} else if want == OK && in.ContextAttributes.Time == "" {
					want = MissingAttribute
				}
				e := new(Event)
				if got := NewDecoder(Config{}).Decode(in.binary(), e); got != want {
					t.Errorf("%s: %s: got %v, want %v", c.file, in.ContextAttributes.ID, got, want)
				} else if got == OK {
					in.check(t, e)
				}
				if got := NewDecoder(Config{}).DecodeStructured(in.structured(t), 0, e); got != want {
					t.Errorf("%s: %s, structured: got %v, want %v", c.file, in.ContextAttributes.ID, got, want)
				} else if got == OK {
					in.check(t, e)
				}
			}
		}
	}
}

func (c *conformanceEvent) attributes() map[string]string {
	a := map[string]string{"specversion": c.ContextAttributes.SpecVersion.Value, "subject": "wf-1"}
	for name, value := range map[string]string{
		"type": c.ContextAttributes.Type, "id": c.ContextAttributes.ID, "time": c.ContextAttributes.Time, "source": c.ContextAttributes.Source,
	} {
		if value != "" {
			a[name] = value
		}
	}
	for name, value := range c.ContextAttributes.Extensions {
		a[name] = value
	}
	return a
}

func (c *conformanceEvent) binary() *Record {
	r := &Record{Value: []byte(c.Data)}
	for name, value := range c.attributes() {
		r.Headers = append(r.Headers, Header{[]byte("ce_" + name), []byte(value)})
	}
	r.Headers = append(r.Headers, Header{[]byte("content-type"), []byte(c.ContextAttributes.DataContentType)})
	return r
}

func (c *conformanceEvent) structured(t *testing.T) []byte {
	t.Helper()
	members := map[string]any{"data": c.Data}
	for name, value := range c.attributes() {
		members[name] = value
	}
	if c.ContextAttributes.DataContentType != "" {
		members["datacontenttype"] = c.ContextAttributes.DataContentType
	}
	if isJSON(c.ContextAttributes.DataContentType) {
		members["data"] = json.RawMessage(c.Data)
	}
	line, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func (c *conformanceEvent) check(t *testing.T, e *Event) {
	t.Helper()
	if e.Type != Other || e.TypeName != c.ContextAttributes.Type || e.ID != c.ContextAttributes.ID || e.Source != c.ContextAttributes.Source {
		t.Errorf("%s: got %+v", c.ContextAttributes.ID, e)
	}
	if want := c.ContextAttributes.DataContentType; want != "" && e.DataContentType != want {
		t.Errorf("%s: data is %q, want %q", c.ContextAttributes.ID, e.DataContentType, want)
	}
	if !isJSON(c.ContextAttributes.DataContentType) {
		if e.Opaque != c.Data || e.Data != "" {
			t.Errorf("%s: data is %q and %q, want %q", c.ContextAttributes.ID, e.Data, e.Opaque, c.Data)
		}
		return
	}
	var got, want any
	if err := errors.Join(json.Unmarshal([]byte(e.Data), &got), json.Unmarshal([]byte(c.Data), &want)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: data is %s, want %s (%v)", c.ContextAttributes.ID, e.Data, c.Data, err)
	}
}
