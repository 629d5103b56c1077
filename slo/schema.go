package slo

import "encoding/json"

// Keys returns every key that a contract can have, in the order of the reference.
func Keys() []Key { return file().keys("") }

// Schema returns the JSON schema of the file, for editors. It knows types, words and ranges; what depends on other places of the file
// (owners, kinds, burn rates) only Parse knows.
func Schema() ([]byte, error) {
	s := file().schema()
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Freshet contract, version 1"
	return json.MarshalIndent(s, "", "  ")
}
