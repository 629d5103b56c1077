package lint_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/freshet-io/freshet/cmd/freshet/commands"
	"github.com/freshet-io/freshet/internal/metrics"
)

func doc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEveryCommandIsInTheDocs(t *testing.T) {
	text := doc(t, "commands.md")
	all := commands.New().Commands
	for _, c := range all {
		if !strings.Contains(text, "\n## freshet "+c.Name+"\n") {
			t.Errorf("docs/commands.md lacks %s", c.Name)
		}
	}
	if n := strings.Count(text, "\n## "); n != len(all) {
		t.Errorf("docs/commands.md has %d commands, there are %d", n, len(all))
	}
}

func TestEverySeriesIsInTheDocs(t *testing.T) {
	text := doc(t, "metrics.md")
	for _, s := range metrics.Reference() {
		if !strings.Contains(text, "| `"+s.Name+"` |") {
			t.Errorf("docs/metrics.md lacks %s", s.Name)
		}
	}
}

// A document that names a series names one that exists.
func TestDocsNameSeriesThatExist(t *testing.T) {
	exists := map[string]bool{}
	for _, s := range metrics.Reference() {
		exists[s.Name] = true
	}
	series := regexp.MustCompile(`\bfreshet_[a-z_]+(_total|_seconds|_info|_records|_ratio)\b`)
	eachFile(t, func(path, text string) {
		if !strings.HasSuffix(path, ".md") {
			return
		}
		for _, name := range series.FindAllString(text, -1) {
			if !exists[name] {
				t.Errorf("%s names %s, which does not exist", path, name)
			}
		}
	})
}

// Links between documents lead somewhere.
func TestLinksBetweenDocsHold(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#: ]+)(#[^)]*)?\)`)
	eachFile(t, func(path, text string) {
		if !strings.HasSuffix(path, ".md") {
			return
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", path, m[1])
			}
		}
	})
}

func TestComposeFileHasBrokerAndEngine(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no docker-compose.yml")
	}
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image string    `yaml:"image"`
			Build yaml.Node `yaml:"build"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	for _, name := range []string{"kafka", "freshet"} {
		s, ok := file.Services[name]
		if !ok || s.Image == "" && s.Build.IsZero() {
			t.Errorf("docker-compose.yml: service %s with an image or a build is missing", name)
		}
	}
}
