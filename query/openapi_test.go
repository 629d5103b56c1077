package query

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// described returns the description of the routes.
func described(t *testing.T) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(openapi, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// at walks down a document.
func walk(x any, path ...string) any {
	for _, p := range path {
		m, _ := x.(map[string]any)
		x = m[p]
	}
	return x
}

// Every route is described, and nothing else is. Those of operations are the application's.
func TestEveryRouteIsDescribed(t *testing.T) {
	var want, got []string
	for path, methods := range walk(described(t), "paths").(map[string]any) {
		for method := range methods.(map[string]any) {
			if !slices.Contains([]string{"/healthz", "/ready", "/metrics", "/services", "/config"}, path) {
				want = append(want, strings.ToUpper(method)+" "+path)
			}
		}
	}
	got = refund(t).serve(t, Config{}).Patterns()
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("routes\n %v\ndescribed\n %v", got, want)
	}
}

// Every example is answered, and every answer has the members that its schema says, no more and no less.
func TestAnswersAreAsDescribed(t *testing.T) {
	doc := described(t)
	f := refund(t, tell("source.updated", "policy/p", 100, `{"kind":"policy","key":"p","version":"v2","seq":2}`),
		tell("action.executed", "w", 300, `{"decision_id":"d"}`))
	f.live(zero + 301*second)
	f.position = 1
	h := f.serve(t, Config{}).Handler(true)
	schema := func(name string) any { return walk(doc, "components", "schemas", name) }
	examples := 0
	for _, path := range []string{"/v1/check", "/v1/gate", "/v1/check:batch"} {
		all, _ := walk(doc, "paths", path, "post", "requestBody", "content", "application/json", "examples").(map[string]any)
		for name, e := range all {
			body, _ := json.Marshal(walk(e, "value"))
			w := ask(h, request(http.MethodPost, path, string(body)))
			examples++
			if w.Code != 200 && path != "/v1/gate" {
				t.Errorf("%s, example %s: %d %s", path, name, w.Code, w.Body)
			}
		}
	}
	if examples < 5 {
		t.Errorf("%d examples", examples)
	}
	_, answer := post(t, h, "/v1/check", `{"workflow":"w"}`)
	conforms(t, doc, schema("Answer"), answer, "answer")
	_, refusal := post(t, h, "/v1/gate", `{"workflow":"w"}`)
	conforms(t, doc, schema("Answer"), only(refusal, schema("Answer")), "refusal")
	conforms(t, doc, schema("Problem"), only(refusal, schema("Problem")), "refusal")
	for path, name := range map[string]string{
		"/v1/workflows": "Workflows", "/v1/workflows/w": "Workflow", "/v1/workflows/w/timeline": "Timeline", "/v1/decisions/w/d": "Explanation",
		"/v1/sources/policy/p": "Source", "/v1/sources/policy/p/users": "Users", "/v1/status": "Status", "/v1/slos": "SLOs", "/v1/workflows/none": "Problem",
	} {
		_, got := get(t, h, path)
		conforms(t, doc, schema(name), got, path)
	}
}

func only(m map[string]any, schema any) map[string]any {
	kept := maps.Clone(m)
	maps.DeleteFunc(kept, func(k string, _ any) bool { return walk(schema, "properties", k) == nil })
	return kept
}

// conforms compares a value with a schema, as far as these schemas go: references, alternatives, types, members, enums.
func conforms(t *testing.T, doc map[string]any, schema, x any, where string) {
	t.Helper()
	if wrong := differs(doc, schema, x, where); wrong != "" {
		t.Error(wrong)
	}
}

func differs(doc map[string]any, schema, x any, where string) string {
	s, ok := schema.(map[string]any)
	if !ok {
		return ""
	}
	if ref, ok := s["$ref"].(string); ok {
		return differs(doc, walk(doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...), x, where)
	}
	if any, ok := s["oneOf"].([]any); ok {
		said := ""
		for _, one := range any {
			if said = differs(doc, one, x, where); said == "" {
				return ""
			}
		}
		return said
	}
	types, _ := s["type"].([]any)
	if one, ok := s["type"].(string); ok {
		types = []any{one}
	}
	is := typeOf(x)
	if len(types) > 0 && !slices.Contains(types, any(is)) && !(is == "integer" && slices.Contains(types, any("number"))) {
		return fmt.Sprintf("%s is %s, not %v", where, is, types)
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, x) {
		return fmt.Sprintf("%s is %v, not one of %v", where, x, enum)
	}
	switch v := x.(type) {
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		required, _ := s["required"].([]any)
		for _, name := range required {
			if _, there := v[name.(string)]; !there {
				return fmt.Sprintf("%s has no %v", where, name)
			}
		}
		for name, member := range v {
			if properties != nil && properties[name] == nil {
				return fmt.Sprintf("%s has %s, which is not described", where, name)
			}
			if wrong := differs(doc, properties[name], member, where+"/"+name); wrong != "" {
				return wrong
			}
		}
	case []any:
		for i, e := range v {
			if wrong := differs(doc, s["items"], e, fmt.Sprint(where, "/", i)); wrong != "" {
				return wrong
			}
		}
	}
	return ""
}

func typeOf(x any) string {
	switch v := x.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
