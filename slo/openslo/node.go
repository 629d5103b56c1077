package openslo

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Note is something to say about a place in a file: an error, or what a contract cannot express.
type Note struct {
	File         string
	Line, Column int
	Path         string
	Message      string
}

func (n Note) String() string {
	path := n.Path
	if path != "" {
		path += ": "
	}
	return fmt.Sprintf("%s:%d:%d: %s%s", n.File, n.Line, n.Column, path, n.Message)
}

// Errors is why documents were refused.
type Errors []Note

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].String()
	}
	return strings.Join(lines, "\n")
}

// value is a node with the way to it.
type value struct {
	*yaml.Node
	path string
	doc  *document
}

// document is one document of a file.
type document struct {
	file string
	root value
	kind string
	name string
	read map[*yaml.Node]bool // what has found its way into the contract, or has been named
	errs *Errors
}

func (v value) there() bool { return v.Node != nil }

// fail refuses the document.
func (v value) fail(format string, args ...any) {
	*v.doc.errs = append(*v.doc.errs, Note{v.doc.file, v.Line, v.Column, v.path, fmt.Sprintf(format, args...)})
}

// get returns what stands under a key of a mapping.
func (v value) get(key string) value {
	child := value{path: strings.TrimPrefix(v.path+"."+key, "."), doc: v.doc}
	if v.Node == nil || v.Kind != yaml.MappingNode {
		return child
	}
	for i := 0; i+1 < len(v.Content); i += 2 {
		if v.Content[i].Value == key {
			child.Node = v.Content[i+1]
		}
	}
	return child
}

// has says whether a mapping has a key.
func (v value) has(key string) bool { return v.get(key).there() }

// each returns the elements of a list.
func (v value) each() (list []value) {
	if v.Node == nil || v.Kind != yaml.SequenceNode {
		return nil
	}
	for i, n := range v.Content {
		list = append(list, value{n, v.path + "[" + strconv.Itoa(i) + "]", v.doc})
	}
	return list
}

// take reads a text, number or boolean, and marks it as read.
func (v value) take() string {
	if v.Node == nil {
		return ""
	}
	v.done()
	return v.Value
}

// word returns a text, "" where there is none.
func (v value) word() string {
	if v.Node == nil || v.Kind != yaml.ScalarNode {
		return ""
	}
	return v.Value
}

// done marks a node and all below it as read.
func (v value) done() {
	if v.Node == nil {
		return
	}
	v.doc.read[v.Node] = true
}

// left returns what has not been read: of a mapping or list of which nothing has been, the whole.
func (d *document) left(n *yaml.Node, path string) (whole bool, notes []Note) {
	if d.read[n] {
		return false, nil
	}
	if n.Kind != yaml.MappingNode && n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return true, []Note{{d.file, n.Line, n.Column, path, ""}}
	}
	all := true
	add := func(child *yaml.Node, at *yaml.Node, path string) {
		whole, more := d.left(child, path)
		all = all && whole
		if whole {
			more = []Note{{d.file, at.Line, at.Column, path, ""}}
		}
		notes = append(notes, more...)
	}
	if n.Kind == yaml.SequenceNode {
		for i, c := range n.Content {
			add(c, c, path+"["+strconv.Itoa(i)+"]")
		}
		return all, notes
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		add(n.Content[i+1], n.Content[i], strings.TrimPrefix(path+"."+n.Content[i].Value, "."))
	}
	return all, notes
}

// maxFile is the largest file that is read.
const maxFile = 4 << 20

// documents reads the documents of a file.
func documents(name string, data []byte, errs *Errors) (docs []*document) {
	if len(data) > maxFile {
		*errs = append(*errs, Note{name, 1, 1, "", fmt.Sprintf("the file has %d bytes: at most %d are read", len(data), maxFile)})
		return nil
	}
	d := yaml.NewDecoder(strings.NewReader(string(data)))
	for {
		var n yaml.Node
		err := d.Decode(&n)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			*errs = append(*errs, Note{name, line(err), 1, "", "this is not YAML: " + err.Error()})
			return docs
		}
		if len(n.Content) == 0 || n.Content[0].ShortTag() == "!!null" {
			continue
		}
		doc := &document{file: name, read: map[*yaml.Node]bool{}, errs: errs}
		doc.root = value{n.Content[0], "", doc}
		if a := alias(n.Content[0]); a != nil {
			*errs = append(*errs, Note{name, a.Line, a.Column, "", "aliases (*" + a.Value + ") are not read: write the value out"})
			continue
		}
		docs = append(docs, doc)
	}
}

// alias returns the first alias below a node: few lines of them can mean a file without end.
func alias(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n
	}
	for _, c := range n.Content {
		if a := alias(c); a != nil {
			return a
		}
	}
	return nil
}

// line finds the line that an error of the YAML reader names.
func line(err error) int {
	for _, word := range strings.FieldsFunc(err.Error(), func(c rune) bool { return c == ' ' || c == ':' }) {
		if n, bad := strconv.Atoi(word); bad == nil {
			return n
		}
	}
	return 1
}

func oneOf(words []string, word string) bool { return slices.Contains(words, word) }
