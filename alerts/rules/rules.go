package rules

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/freshet-io/freshet/slo"
)

// File is a rule file as Prometheus reads it.
type File struct {
	Groups []Group `yaml:"groups"`
}

// Group is evaluated as one.
type Group struct {
	Name     string `yaml:"name"`
	Interval string `yaml:"interval,omitempty"`
	Rules    []Rule `yaml:"rules"`
}

// Rule records a series or raises an alert.
type Rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// Options say what rules are about beside the contract.
type Options struct {
	Job      string // of the scrape configuration that scrapes Freshet
	Owner    string // label of the alerts about the engine itself
	Runbooks string // URL that the names of runbooks are put behind, "": no links
}

// Build makes the rules for a contract; nil is none: only the engine is watched.
func Build(f *slo.File, o Options) File {
	out := File{Groups: []Group{{Name: "freshet-engine", Rules: o.engine()}}}
	if f == nil {
		return out
	}
	for i := range f.SLOs {
		out.Groups = append(out.Groups, o.objective(&f.SLOs[i]))
	}
	return out
}

// YAML writes the file.
func (f File) YAML() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# Written by freshet rules. Do not edit: change the contract and write them again.\n")
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(f)
	if err == nil {
		err = e.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("write rules: %w", err)
	}
	return b.Bytes(), nil
}
