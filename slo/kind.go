package slo

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kind is a kind of value: what the reference calls it, how it is read, and what a JSON schema says of it.
type kind[V any] struct {
	is     string
	read   func(r *reader, v value, into *V) (canonical any, ok bool)
	keys   func(path string) []Key // what stands below it, nil for scalars
	schema func() object
}

// object is a JSON object of the schema.
type object = map[string]any

// Key is one key of the file as the reference shows it.
type Key struct {
	Path     string // contexts.KIND.owner, slos[].burn: capitals stand for names of one's own
	Type     string
	Default  string // "": none
	Required bool
	Doc      string
	Example  string
}

// field is one key of a mapping that is read into a T.
type field[T any] struct {
	name, doc, example, is string
	fallback               string // what holds where the key is not written, in words
	preset                 string // and as it would be written, if filled
	required, filled       bool

	read   func(r *reader, v value, into *T) (any, bool)
	keys   func(path string) []Key
	schema func() object
}

// key describes one key: its kind, where its value goes, what it means.
func key[T, V any](name string, k kind[V], at func(*T) *V, doc string) field[T] {
	return field[T]{
		name: name, doc: doc, is: k.is, keys: k.keys, schema: k.schema,
		read: func(r *reader, v value, into *T) (any, bool) { return k.read(r, v, at(into)) },
	}
}

// must says that the key has to be written.
func (f field[T]) must() field[T] {
	f.required = true
	return f
}

// or gives the value that holds where the key is not written, as it would be written.
func (f field[T]) or(text string) field[T] {
	f.fallback, f.preset, f.filled = "`"+text+"`", text, true
	return f
}

// empty says that where the key is not written the defaults of what stands below it hold.
func (f field[T]) empty() field[T] {
	f.filled = true
	return f
}

// otherwise says in words what holds where the key is not written; the mapping's check sees to it.
func (f field[T]) otherwise(words string) field[T] {
	f.fallback = words
	return f
}

// such gives an example.
func (f field[T]) such(example string) field[T] {
	f.example = example
	return f
}

// entries are the values that were written in a mapping, by key.
type entries map[string]struct {
	value
	good bool
}

// read returns a value that was written and could be read.
func (e entries) read(key string) (value, bool) {
	one := e[key]
	return one.value, one.good
}

// written says whether a key was written, whatever stands under it.
func (e entries) written(key string) bool {
	_, ok := e[key]
	return ok
}

// mapping is a mapping with known keys. check, if there is one, looks at the whole after its keys have been read.
func mapping[T any](fields []field[T], check func(r *reader, v value, has entries, t *T)) kind[T] {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].name
	}
	return kind[T]{
		is: "mapping",
		read: func(r *reader, v value, into *T) (any, bool) {
			for i := range fields {
				if f := &fields[i]; f.filled {
					f.read(r, value{node: &yaml.Node{Kind: yaml.ScalarNode, Value: f.preset}}, into)
				}
			}
			written, has := object{}, entries{}
			good := r.mappingOrNothing(v)
			if good && !v.null() {
				r.pairs(v, func(name string, child value) {
					i := slices.Index(names, name)
					if i < 0 {
						good = false
						line, column := child.entry()
						r.refuse(line, column, v.path, UnknownKey, "unknown key %q%s", name, meant(name, names, "known"))
						return
					}
					said, ok := fields[i].read(r, child, into)
					e := has[name]
					e.value, e.good = child, ok
					has[name], written[name], good = e, said, good && ok
				})
			}
			for i := range fields {
				if fields[i].required && !has.written(fields[i].name) && (v.null() || v.node.Kind == yaml.MappingNode) {
					good = false
					r.entry(v, MissingKey, "the key %q is missing: %s", fields[i].name, fields[i].doc)
				}
			}
			if check != nil {
				check(r, v, has, into)
			}
			return written, good
		},
		keys: func(path string) []Key {
			var all []Key
			for i := range fields {
				f := &fields[i]
				p := f.name
				if path != "" {
					p = path + "." + f.name
				}
				all = append(all, Key{Path: p, Type: f.is, Default: f.fallback, Required: f.required, Doc: f.doc, Example: f.example})
				if f.keys != nil {
					all = append(all, f.keys(p)...)
				}
			}
			return all
		},
		schema: func() object { return mappingSchema(fields) },
	}
}

// meant ends an error about a name that is not among names.
func meant(name string, names []string, word string) string {
	hint := ""
	if len(names) <= maxErrors {
		if n, ok := nearest(name, names); ok {
			hint = " – did you mean " + quote(n) + "?"
			if word == "known" {
				return hint
			}
		}
	}
	return hint + " " + list(word, slices.Clone(names))
}

func quote(s string) string { return `"` + s + `"` }

// mappingOrNothing refuses what is no mapping. A section that was left empty counts as an empty mapping.
func (r *reader) mappingOrNothing(v value) bool {
	if v.node.Kind == yaml.MappingNode || v.null() {
		return true
	}
	r.at(v, WrongType, "this is %s: a mapping (key: value) is expected", called(v.node))
	return false
}

// dict is a mapping whose keys are names of one's own. The reference calls a name as placeholder says; rule says whether a name is
// allowed, and refuses it if it is not.
func dict[V any](placeholder string, rule func(r *reader, name string, v value) bool, k kind[V]) kind[map[string]V] {
	return kind[map[string]V]{
		is: "mapping by " + strings.ToLower(placeholder),
		read: func(r *reader, v value, into *map[string]V) (any, bool) {
			written := object{}
			*into = map[string]V{}
			good := r.mappingOrNothing(v)
			if !good || v.null() {
				return written, good
			}
			r.pairs(v, func(name string, child value) {
				if !rule(r, name, child) {
					good = false
					return
				}
				var one V
				said, ok := k.read(r, child, &one)
				(*into)[name], written[name], good = one, said, good && ok
			})
			return written, good
		},
		keys: func(path string) []Key { return entryKeys(k, path, "."+placeholder) },
		schema: func() object {
			return object{"type": []string{"object", "null"}, "additionalProperties": k.schema()}
		},
	}
}

// entryKeys lists what stands below an entry of a mapping by name, or of a list.
func entryKeys[V any](k kind[V], path, entry string) []Key {
	if k.keys == nil {
		return nil
	}
	return k.keys(path + entry)
}

// listOf is a list of values of one kind.
func listOf[V any](k kind[V]) kind[[]V] {
	return kind[[]V]{
		is: "list of " + k.is,
		read: func(r *reader, v value, into *[]V) (any, bool) {
			written := []any{}
			*into = nil
			if v.null() {
				return written, true
			}
			if v.node.Kind != yaml.SequenceNode {
				r.at(v, WrongType, "this is %s: a list ([…], or lines that begin with -) is expected", called(v.node))
				return written, false
			}
			good := true
			for i, n := range v.node.Content {
				child := value{node: resolved(n), path: v.path + index(i)}
				if !r.visit(child) {
					return written, false
				}
				var one V
				said, ok := k.read(r, child, &one)
				*into, written, good = append(*into, one), append(written, said), good && ok
			}
			return written, good
		},
		keys:   func(path string) []Key { return entryKeys(k, path, "[]") },
		schema: func() object { return object{"type": []string{"array", "null"}, "items": k.schema()} },
	}
}

// once is a list of names, none of them twice.
func once(k kind[string]) kind[[]string] {
	l := listOf(k)
	read := l.read
	l.read = func(r *reader, v value, into *[]string) (any, bool) {
		said, good := read(r, v, into)
		for i, name := range *into {
			if good && slices.Contains((*into)[:i], name) {
				good = false
				r.at(value{node: resolved(v.node.Content[i]), path: v.path + index(i)}, DuplicateName, "%q is in the list already", name)
			}
		}
		return said, good
	}
	return l
}

// mappingSchema is the JSON schema of a mapping with known keys.
func mappingSchema[T any](fields []field[T]) object {
	properties, required := object{}, []string{}
	for i := range fields {
		f := &fields[i]
		s := maps.Clone(f.schema())
		s["description"] = f.doc
		if f.preset != "" {
			s["description"] = f.doc + " Default: " + f.preset + "."
		}
		properties[f.name] = s
		if f.required {
			required = append(required, f.name)
		}
	}
	s := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	} else {
		s["type"] = []string{"object", "null"}
	}
	return s
}
