package query

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// Every route is described. TestEveryRouteOfTheProgramIsDescribed of the application knows those of operations and alerts, too, and that nothing
// else is.
func TestEveryRouteIsDescribed(t *testing.T) {
	for _, pattern := range refund(t).serve(t, Config{}).Patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		if walk(described(t), "paths", path, strings.ToLower(method)) == nil {
			t.Errorf("%s is not described", pattern)
		}
	}
}

// exemplary returns the requests that an operation's examples make: one for each example of a body, or one with those of the parameters.
func exemplary(t *testing.T, method, path string, op any) (all []*http.Request) {
	t.Helper()
	query := url.Values{}
	r := map[string]string{}
	parameters, _ := walk(op, "parameters").([]any)
	for _, p := range parameters {
		name, _ := walk(p, "name").(string)
		switch x := walk(p, "example"); walk(p, "in") {
		case "path":
			if x == nil {
				t.Errorf("%s: %s has no example", path, name)
			}
			path = strings.ReplaceAll(path, "{"+name+"}", fmt.Sprint(x))
		case "query":
			if x != nil {
				query.Set(name, fmt.Sprint(x))
			}
		case "header":
			if x != nil {
				r[name] = fmt.Sprint(x)
			}
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	bodies, _ := walk(op, "requestBody", "content", "application/json", "examples").(map[string]any)
	if walk(op, "requestBody") != nil && len(bodies) == 0 {
		t.Errorf("%s: the body has no example", path)
	}
	if len(bodies) == 0 {
		bodies = map[string]any{"": nil}
	}
	for _, e := range bodies {
		body, err := json.Marshal(walk(e, "value"))
		if err != nil {
			t.Fatal(err)
		}
		one := request(strings.ToUpper(method), path, string(body))
		one.Header.Set("Content-Type", "application/json")
		one.Header.Set("Accept", "application/json, text/event-stream")
		for name, v := range r {
			one.Header.Set(name, v)
		}
		all = append(all, one)
	}
	return all
}

// Every example is executed, and its answer has the members that the schema of its status says, no more and no less.
func TestAnswersAreAsDescribed(t *testing.T) {
	doc := described(t)
	f := refund(t, tell("source.updated", "policy/p", 100, `{"kind":"policy","key":"p","version":"v2","seq":2}`),
		tell("action.executed", "w", 300, `{"decision_id":"d"}`))
	f.live(zero + 301*second)
	f.position = 1
	s := f.serve(t, Config{})
	h := s.Handler(true)
	executed := 0
	for _, pattern := range s.Patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		op := walk(doc, "paths", path, strings.ToLower(method))
		if path == "/v1/watch" {
			continue // a stream; TestTheExampleOfWatching
		}
		for _, r := range exemplary(t, method, path, op) {
			executed++
			w := ask(h, r)
			if w.Code != 200 && (path != "/v1/gate" || w.Code != 412 && w.Code != 503) {
				t.Errorf("the example %s %s: %d %s", method, r.URL, w.Code, w.Body)
			}
			answers(t, doc, op, w)
		}
	}
	if executed < 16 {
		t.Errorf("%d examples", executed)
	}
	schema := func(name string) any { return walk(doc, "components", "schemas", name) }
	_, refusal := post(t, h, "/v1/gate", `{"workflow":"w"}`)
	conforms(t, doc, schema("Answer"), only(refusal, schema("Answer")), "refusal")
	conforms(t, doc, schema("Problem"), only(refusal, schema("Problem")), "refusal")
	_, missing := get(t, h, "/v1/workflows/none")
	conforms(t, doc, schema("Problem"), missing, "/v1/workflows/none")
}

// The example of watching begins with a bookmark, and then says how the workflow stands.
func TestTheExampleOfWatching(t *testing.T) {
	doc := described(t)
	f := refund(t)
	f.live(zero + 100*second)
	addr := running(t, f, Config{})
	examples := exemplary(t, "GET", "/v1/watch", walk(doc, "paths", "/v1/watch", "get"))
	if len(examples) != 1 || examples[0].URL.Query().Get("workflow") == "" {
		t.Fatalf("examples: %v", examples)
	}
	events, _ := watch(t, addr, examples[0].URL.RequestURI(), "")
	first := <-events
	if got := slices.Sorted(maps.Keys(first.data)); first.kind != "bookmark" || first.id == "" || !slices.Equal(got, []string{"applied_through", "at", "complete_through", "engine_lag_s"}) {
		t.Errorf("%+v", first)
	}
	verdict := next(t, events)
	if verdict.kind != "verdict" || verdict.data["provisional"] != true {
		t.Errorf("%+v", verdict)
	}
	delete(verdict.data, "provisional")
	conforms(t, doc, walk(doc, "components", "schemas", "Answer"), verdict.data, "verdict")
}

// answers compares an answer with what is described for its status and content type.
func answers(t *testing.T, doc map[string]any, op any, w *httptest.ResponseRecorder) {
	t.Helper()
	kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
	said := walk(op, "responses", fmt.Sprint(w.Code), "content", kind)
	if said == nil {
		t.Errorf("%v: %d with %s is not described", walk(op, "operationId"), w.Code, kind)
		return
	}
	var x any
	if err := json.Unmarshal(w.Body.Bytes(), &x); err != nil {
		t.Errorf("%v: %v", walk(op, "operationId"), err)
	}
	conforms(t, doc, walk(said, "schema"), x, fmt.Sprint(walk(op, "operationId")))
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

func either(a, b any) any {
	if a != nil {
		return a
	}
	return b
}

// resolved returns the schema that a reference leads to.
func resolved(doc map[string]any, schema any) any {
	ref, ok := walk(schema, "$ref").(string)
	if !ok {
		return schema
	}
	return walk(doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
}

func differs(doc map[string]any, schema, x any, where string) string {
	s, ok := schema.(map[string]any)
	if !ok {
		return ""
	}
	if s["$ref"] != nil {
		return differs(doc, resolved(doc, s), x, where)
	}
	if all, ok := s["allOf"].([]any); ok {
		for _, one := range all {
			part := resolved(doc, one)
			if wrong := differs(doc, part, only(x.(map[string]any), part), where); wrong != "" {
				return wrong
			}
		}
		return ""
	}
	if any, ok := either(s["oneOf"], s["anyOf"]).([]any); ok {
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
