package lint_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/freshet-io/freshet"
)

// source is a Go file of the repository.
type source struct {
	path string // from the root, with slashes
	dir  string
	test bool
	text string
	ast  *ast.File
	fset *token.FileSet
}

// at returns where a node is, for messages.
func (s *source) at(p token.Pos) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(p).Line)
}

// sources parses every Go file of the repository.
func sources(t *testing.T) []*source {
	t.Helper()
	var all []*source
	eachFile(t, func(path, text string) {
		if !strings.HasSuffix(path, ".go") {
			return
		}
		s := &source{path: path, dir: filepath.ToSlash(filepath.Dir(path)), test: strings.HasSuffix(path, "_test.go"), text: text, fset: token.NewFileSet()}
		var err error
		if s.ast, err = parser.ParseFile(s.fset, path, text, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	})
	if len(all) < 10 {
		t.Fatalf("only %d Go files were found", len(all))
	}
	return all
}

// eachFile calls f for every text file of the repository that people write.
func eachFile(t *testing.T, f func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if name := d.Name(); rel != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "freshet-data" || name == "__pycache__" || rel == "build" || rel == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(rel) {
		case ".go", ".md", ".yaml", ".yml", ".sh", ".css", ".js", ".html", ".py", "":
		default:
			return nil
		}
		if d.Name() == "freshet" || d.Name() == "LICENSE" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f(rel, string(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// within says whether a directory is one of the given ones or below one.
func within(dir string, roots ...string) bool {
	for _, r := range roots {
		if dir == r || strings.HasPrefix(dir, r+"/") {
			return true
		}
	}
	return false
}

// calls calls f with every selector on an imported package, as in time.Now, called or not.
func (s *source) calls(f func(pkg, name string, at token.Pos)) {
	names := map[string]string{}
	for _, i := range s.ast.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		name := path[strings.LastIndexByte(path, '/')+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name] = path
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Obj == nil && names[x.Name] != "" {
			f(names[x.Name], sel.Sel.Name, sel.Pos())
		}
		return true
	})
}
