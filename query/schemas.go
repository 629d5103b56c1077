package query

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

const inDocument = "#/components/schemas/"

var reference = regexp.MustCompile(regexp.QuoteMeta(inDocument) + `(\w+)`)

// schemas are those of the description of the routes, each by itself: with the others that it speaks of.
type schemas map[string]*jsonschema.Schema

// readSchemas reads the schemas of some answers.
func readSchemas(names ...string) (schemas, error) {
	var doc struct {
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(openapi, &doc); err != nil {
		return nil, fmt.Errorf("read the description of the routes: %w", err)
	}
	all := schemas{}
	for _, name := range names {
		s, err := standalone(name, doc.Components.Schemas)
		if err != nil {
			return nil, fmt.Errorf("read the schema %s: %w", name, err)
		}
		all[name] = s
	}
	return all, nil
}

// standalone returns a schema that has in it what it refers to.
func standalone(name string, all map[string]json.RawMessage) (*jsonschema.Schema, error) {
	own := map[string]json.RawMessage{}
	var take func(text []byte) json.RawMessage
	take = func(text []byte) json.RawMessage {
		for _, m := range reference.FindAllSubmatch(text, -1) {
			if other := string(m[1]); own[other] == nil {
				own[other] = all[other] // in time for those that refer to themselves
				own[other] = take(all[other])
			}
		}
		return json.RawMessage(strings.ReplaceAll(string(text), inDocument, "#/$defs/"))
	}
	root := map[string]json.RawMessage{}
	if err := json.Unmarshal(take(all[name]), &root); err != nil {
		return nil, err
	}
	defs, err := json.Marshal(own)
	if err != nil {
		return nil, err
	}
	root["$defs"] = defs
	text, err := json.Marshal(root)
	if err != nil {
		return nil, err
	}
	var s jsonschema.Schema
	return &s, json.Unmarshal(text, &s)
}
