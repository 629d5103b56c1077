package cli

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// EnvName returns the environment variable of a flag: FRESHET_KAFKA_BROKERS for kafka.brokers.
func EnvName(flagName string) string {
	return "FRESHET_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(flagName))
}

// layers gives the flags that the command line has not set the value of the environment, else of the configuration file. Known are the
// flags of all commands: one file serves run and topics apply.
func layers(fs *flag.FlagSet, known map[string]bool, io *Stdio) error {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var err error
	fs.VisitAll(func(f *flag.Flag) {
		if err != nil || given[f.Name] {
			return
		}
		if v, ok := io.Getenv(EnvName(f.Name)); ok {
			given[f.Name] = true
			if e := fs.Set(f.Name, v); e != nil {
				err = Usagef("environment variable %s is %q: %w", EnvName(f.Name), v, e)
			}
		}
	})
	if err != nil {
		return err
	}
	file := fs.Lookup(configFlag).Value.String()
	if file == "" {
		return nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return Usagef("-%s: %w", configFlag, err)
	}
	values, err := settings(raw, known)
	if err != nil {
		return Usagef("%s:%w", file, err)
	}
	for _, s := range values {
		if given[s.name] || fs.Lookup(s.name) == nil {
			continue // set already, or a flag of another command
		}
		if err := fs.Set(s.name, s.value); err != nil {
			return Usagef("%s:%d: %s is %q: %w", file, s.line, s.name, s.value, err)
		}
	}
	return nil
}

// setting is one flag's value in a configuration file.
type setting struct {
	name, value string
	line        int
}

// settings reads a configuration file. Keys that are no flag of any command are refused. Errors begin with the line.
func settings(raw []byte, known map[string]bool) ([]setting, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf(" %w", err) // it names the line itself
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	r := settingsReader{known: known, lines: map[string]int{}}
	if err := r.mapping("", doc.Content[0]); err != nil {
		return nil, err
	}
	return r.out, nil
}

type settingsReader struct {
	known map[string]bool
	lines map[string]int
	out   []setting
}

func (r *settingsReader) mapping(prefix string, n *yaml.Node) error {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%d: a mapping of flags to values is wanted here", n.Line)
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		if err := r.entry(prefix+key.Value, key.Line, value); err != nil {
			return err
		}
	}
	return nil
}

func (r *settingsReader) entry(name string, line int, value *yaml.Node) error {
	if !r.known[name] {
		if value.Kind == yaml.MappingNode && r.isPrefix(name+".") {
			return r.mapping(name+".", value)
		}
		var names []string
		for n := range r.known {
			names = append(names, n)
		}
		return fmt.Errorf("%d: unknown key %s%s", line, name, didYouMean(name, names))
	}
	if at, twice := r.lines[name]; twice {
		return fmt.Errorf("%d: %s is set already in line %d", line, name, at)
	}
	r.lines[name] = line
	v, err := scalar(value)
	if err != nil {
		return fmt.Errorf("%d: %s: %w", line, name, err)
	}
	r.out = append(r.out, setting{name, v, line})
	return nil
}

func (r *settingsReader) isPrefix(p string) bool {
	for n := range r.known {
		if strings.HasPrefix(n, p) {
			return true
		}
	}
	return false
}

// scalar returns a value as the command line would have it; a list is its elements with commas between.
func scalar(n *yaml.Node) (string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "", nil
		}
		return n.Value, nil
	case yaml.SequenceNode:
		var parts []string
		for _, e := range n.Content {
			e = resolve(e)
			if e.Kind != yaml.ScalarNode {
				return "", fmt.Errorf("a list of plain values is wanted")
			}
			parts = append(parts, e.Value)
		}
		return strings.Join(parts, ","), nil
	}
	return "", fmt.Errorf("a plain value or a list of them is wanted")
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
