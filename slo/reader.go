package slo

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// maxFile is the largest file that is read. A contract of a thousand workflows is a tenth of it.
	maxFile = 1 << 20
	// maxNodes is how many nodes are read: aliases can make a small file mean a large one.
	maxNodes = 1 << 18
	// maxErrors is how many errors are collected.
	maxErrors = 1000
)

// value is a node of the file with the way to it.
type value struct {
	node *yaml.Node // never an alias
	key  *yaml.Node // the key it stands under, nil in a list
	path string
}

// place is where an error about the value itself is shown.
func (v value) place() (line, column int) { return v.node.Line, v.node.Column }

// entry is where an error about the whole entry is shown: at its key, because that is what one looks for.
func (v value) entry() (line, column int) {
	if v.key != nil {
		return v.key.Line, v.key.Column
	}
	return v.place()
}

func (v value) null() bool { return v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!null" }

// reader goes through the tree of a file once and collects what is wrong with it.
type reader struct {
	file    *File
	secrets func(string) (string, bool)
	errs    Errors
	checks  []func()       // what can only be checked once everything has been read
	names   map[string]int // lines of the names that have to be unique
	nodes   int
}

func (r *reader) refuse(line, column int, path string, rule Refusal, format string, args ...any) {
	switch {
	case len(r.errs) < maxErrors-1:
		r.errs = append(r.errs, Error{File: r.file.Name, Line: line, Column: column, Path: path, Refusal: rule, Message: fmt.Sprintf(format, args...)})
	case !r.full():
		r.errs = append(r.errs, Error{File: r.file.Name, Line: line, Column: column, Path: path, Refusal: TooLarge, Message: fmt.Sprintf("there are more errors: only %d are shown", maxErrors-1)})
	}
}

// full says that errors are no longer collected.
func (r *reader) full() bool { return len(r.errs) == maxErrors }

// at refuses a value, shown at the value.
func (r *reader) at(v value, rule Refusal, format string, args ...any) {
	line, column := v.place()
	r.refuse(line, column, v.path, rule, format, args...)
}

// entry refuses a whole entry, shown at its key.
func (r *reader) entry(v value, rule Refusal, format string, args ...any) {
	line, column := v.entry()
	r.refuse(line, column, v.path, rule, format, args...)
}

// later calls check when the whole file has been read.
func (r *reader) later(check func()) { r.checks = append(r.checks, check) }

// visit counts a node and says whether to go on.
func (r *reader) visit(v value) bool {
	r.nodes++
	if r.nodes == maxNodes+1 {
		r.at(v, TooLarge, "with its aliases written out the file has more than %d values", maxNodes)
	}
	return r.nodes <= maxNodes
}

// resolved returns what an alias stands for.
func resolved(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// below writes the path of an entry: keys that are not plain words are quoted.
func below(path, key string) string {
	if key == "" || strings.ContainsFunc(key, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-'
	}) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// pairs calls f for each entry of a mapping, once for each key, and refuses what cannot be a key. Text of keys is never a variable.
func (r *reader) pairs(v value, f func(key string, v value)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := resolved(v.node.Content[i])
		child := value{node: resolved(v.node.Content[i+1]), key: v.node.Content[i], path: below(v.path, key.Value)}
		if key.Kind != yaml.ScalarNode {
			r.refuse(key.Line, key.Column, v.path, WrongType, "a key is a text, not %s", called(key))
			continue
		}
		if key.Tag == "!!merge" {
			r.entry(value{key: child.key, path: v.path}, MergeKey, "merge keys (<<) are not taken: name the whole value with an anchor (&name) and use it with *name")
			continue
		}
		if key.ShortTag() != "!!str" {
			r.entry(child, WrongType, "the key %s is %s: put it in quotes to mean a text", key.Value, called(key))
			continue
		}
		if line, twice := seen[key.Value]; twice {
			r.entry(child, DuplicateKey, "the key %q is there already, in line %d", key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		if r.visit(child) {
			f(key.Value, child)
		}
	}
}

// called is what an error calls a node.
func called(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!str":
		return "a text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a boolean"
	case "!!null":
		return "empty"
	case "!!timestamp":
		return "a date"
	}
	return "of the type " + n.ShortTag()
}

// document returns the root of the one document in data, or refuses it.
func (r *reader) document(data []byte) (value, bool) {
	if len(data) > maxFile {
		r.refuse(1, 1, "", TooLarge, "the file has %d bytes: at most %d are read", len(data), maxFile)
		return value{}, false
	}
	d := yaml.NewDecoder(strings.NewReader(string(data)))
	var root, more yaml.Node
	err := d.Decode(&root)
	if err == nil && len(root.Content) == 1 && !(value{node: root.Content[0]}).null() {
		err = d.Decode(&more)
	} else if err == nil || errors.Is(err, io.EOF) {
		r.refuse(1, 1, "", Empty, "the file is empty: it begins with version: 1")
		return value{}, false
	}
	switch {
	case err == nil:
		r.refuse(more.Line, more.Column, "", ManyDocuments, "a second document begins here: the file is one document")
		return value{}, false
	case !errors.Is(err, io.EOF):
		line, column, hint := locate(data, err)
		r.refuse(line, column, "", Syntax, "this is not YAML: %s%s", unsaid(err), hint)
		return value{}, false
	}
	return value{node: resolved(root.Content[0])}, true
}
