package lint_test

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	longestFile     = 600 // lines
	longestFunction = 80
)

func TestBannedCalls(t *testing.T) {
	for _, s := range sources(t) {
		s.calls(func(pkg, name string, at token.Pos) {
			call := pkg + "." + name
			switch {
			case pkg == "time" && slices.Contains([]string{"Now", "Since", "Until"}, name) && (within(s.dir, "checkid", "event", "freshness", "slo") || s.dir == "alerts") && !s.test:
				t.Errorf("%s: %s: here time is a parameter", s.at(at), call)
			case pkg == "fmt" && strings.HasPrefix(name, "Print") && !s.test:
				t.Errorf("%s: %s: write to what is handed in", s.at(at), call)
			case pkg == "log" && !s.test:
				t.Errorf("%s: %s: the logger is handed in", s.at(at), call)
			case call == "os.Exit" && s.ast.Name.Name != "main" && !s.test:
				t.Errorf("%s: %s: return an error", s.at(at), call)
			case call == "time.Sleep" && s.test:
				t.Errorf("%s: %s: inject the time, or wait for a condition", s.at(at), call)
			}
		})
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	has, documented := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if s.test || s.dir == "." {
			continue
		}
		has[s.dir] = true
		file := path.Base(s.path)
		if comment := s.ast.Doc.Text(); comment != "" {
			switch {
			case s.ast.Name.Name == "main":
				documented[s.dir] = true
			case file != "doc.go":
				t.Errorf("%s: the package comment belongs in doc.go", s.path)
			case !strings.HasPrefix(comment, "Package "+s.ast.Name.Name+" "):
				t.Errorf("%s: the package comment begins with %q", s.path, "Package "+s.ast.Name.Name)
			default:
				documented[s.dir] = true
			}
		}
	}
	for dir := range has {
		if !documented[dir] {
			t.Errorf("%s: doc.go with a package comment is missing", dir)
		}
	}
}

func TestPackagesAreNamedForOneThing(t *testing.T) {
	for _, s := range sources(t) {
		if name := strings.TrimSuffix(s.ast.Name.Name, "_test"); slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "base", "types", "manager", "misc"}, name) {
			t.Errorf("%s: package %s says nothing of what is in it", s.path, name)
		}
	}
}

func TestNothingRunsBeforeMain(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init", s.at(f.Pos()))
			}
		}
	}
}

func TestFilesAndFunctionsFitTheEye(t *testing.T) {
	for _, s := range sources(t) {
		if s.test { // a table of cases may be as long as it is
			continue
		}
		if n := strings.Count(s.text, "\n"); n > longestFile {
			t.Errorf("%s has %d lines, at most %d", s.path, n, longestFile)
		}
		for _, d := range s.ast.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > longestFunction {
				t.Errorf("%s: %s has %d lines, at most %d", s.at(f.Pos()), f.Name.Name, n, longestFunction)
			}
		}
	}
}

// What is not done is an issue, not a comment.
func TestNothingIsLeftForLater(t *testing.T) {
	marks := []string{"TO" + "DO", "FIX" + "ME", "X" + "XX"}
	eachFile(t, func(path, text string) {
		n := 0
		for line := range strings.Lines(text) {
			n++
			for _, m := range marks {
				if strings.Contains(line, m) {
					t.Errorf("%s:%d: %s", path, n, m)
				}
			}
		}
	})
}
