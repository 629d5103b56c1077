package lint_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/commands"
	"github.com/freshet-io/freshet/internal/metrics"
)

var rewrite = flag.Bool("rewrite", false, "write generated files anew")

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

// compose is what of docker-compose.yml is held against the repository.
type compose struct {
	Services map[string]struct {
		Image   string    `yaml:"image"`
		Build   yaml.Node `yaml:"build"`
		Command []string  `yaml:"command"`
		Volumes []string  `yaml:"volumes"`
	} `yaml:"services"`
	Volumes map[string]any `yaml:"volumes"`
}

func TestComposeFileFitsTheRepository(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file compose
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	for _, name := range []string{"kafka", "topics", "freshet", "prometheus", "alertmanager", "grafana"} {
		s, ok := file.Services[name]
		if !ok || s.Image == "" && s.Build.IsZero() {
			t.Errorf("docker-compose.yml: service %s with an image or a build is missing", name)
		}
		if s.Build.IsZero() && !regexp.MustCompile(`:v?[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(s.Image) {
			t.Errorf("docker-compose.yml: the image of %s is %q, not of one version", name, s.Image)
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if !strings.HasPrefix(source, "./") {
				if _, ok := file.Volumes[source]; !ok {
					t.Errorf("docker-compose.yml: %s uses volume %s, which is not declared", name, source)
				}
			} else if _, err := os.Stat(filepath.Join(root, source)); err != nil {
				t.Errorf("docker-compose.yml: %s mounts %s, which is not there", name, source)
			}
		}
	}
	for _, name := range []string{"topics", "freshet"} {
		checkCommand(t, name, file.Services[name].Command)
	}
}

// checkCommand checks that the program has a command and its flags.
func checkCommand(t *testing.T, service string, args []string) {
	t.Helper()
	for _, c := range commands.New().Commands {
		words := strings.Fields(c.Name)
		if len(args) < len(words) || !slices.Equal(args[:len(words)], words) {
			continue
		}
		flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
		c.Flags(flags)
		for _, arg := range args[len(words):] {
			name, isFlag := strings.CutPrefix(arg, "-")
			if name, _, _ = strings.Cut(name, "="); isFlag && flags.Lookup(name) == nil {
				t.Errorf("docker-compose.yml: %s: %s has no flag -%s", service, c.Name, name)
			}
		}
		return
	}
	t.Errorf("docker-compose.yml: %s: there is no command %v", service, args)
}

// The configuration of the programs around Freshet is checked by the programs themselves, where they are installed.
func TestDeployedConfigurationIsTaken(t *testing.T) {
	for _, c := range [][]string{
		{"promtool", "check", "config", "--syntax-only", "deploy/prometheus/prometheus.yml"},
		{"promtool", "check", "rules", "examples/contracts.rules.yaml"},
		{"amtool", "check-config", "deploy/alertmanager/alertmanager.yml"},
	} {
		if _, err := exec.LookPath(c[0]); err != nil && c[0] == "promtool" && os.Getenv("FRESHET_PROMETHEUS") == "require" {
			t.Error("promtool is not installed (Debian: apt-get install prometheus)")
			continue
		} else if err != nil {
			t.Logf("NOT TESTED: %s is not installed, %s was not checked", c[0], c[len(c)-1])
			continue
		}
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", c, err, out)
		}
	}
	for _, path := range []string{"deploy/grafana/datasources/prometheus.yml", "deploy/grafana/dashboards/freshet.yml"} {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		var any map[string]any
		if err := yaml.Unmarshal(text, &any); err != nil || any["apiVersion"] != 1 {
			t.Errorf("%s: %v", path, err)
		}
		// Whoever follows the link of an exemplar has a browser, and no token to show for /v1.
		const trail = "exemplarTraceIdDestinations: [{name: " + metrics.TrailWorkflow + `, url: "http://localhost:8080/ui/#/workflow/${__value.raw}"`
		if strings.Contains(path, "datasources") && !strings.Contains(string(text), trail) {
			t.Errorf("%s: exemplars do not lead to the page of their workflow: %s", path, trail)
		}
	}
}

// The example's rules are what the command writes.
func TestExampleRulesAreCurrent(t *testing.T) {
	var out, stderr strings.Builder
	status := commands.New().Main(t.Context(), []string{"rules", "-contracts.file", filepath.Join(root, "examples/contracts.yaml")},
		&cli.Stdio{In: strings.NewReader(""), Out: &out, Err: &stderr, Getenv: func(string) (string, bool) { return "", false }})
	if status != cli.ExitOK {
		t.Fatalf("freshet rules: %s", stderr.String())
	}
	path := filepath.Join(root, "examples/contracts.rules.yaml")
	if *rewrite {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != out.String() {
		t.Errorf("examples/contracts.rules.yaml is not what freshet rules writes (%v); go test ./internal/lint -run Rules -rewrite", err)
	}
}
