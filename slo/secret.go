package slo

import (
	"fmt"
	"strings"
)

// Secret is a text of the file that nobody may see: it prints, and is written as JSON or YAML, as "<redacted>".
type Secret struct{ text string }

// redacted is what a secret is shown as.
const redacted = "<redacted>"

// NewSecret returns a secret that holds text.
func NewSecret(text string) Secret { return Secret{text: text} }

// Reveal returns the text itself. Only what sends it to its destination calls it.
func (s Secret) Reveal() string { return s.text }

// Set says whether there is a secret at all.
func (s Secret) Set() bool { return s.text != "" }

func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return redacted
}

// Format writes the secret as String does, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText writes the secret as String does; JSON and YAML use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

const (
	// variablePrefix begins the name of every variable that may be asked for, so that a contract cannot read the rest of the environment.
	variablePrefix = "FRESHET_"
	variableOpen   = "${"
)

// expand replaces ${FRESHET_…} in a secret field. Its errors name the variable, never the text around it.
func expand(s string, secrets func(string) (string, bool)) (string, Refusal, error) {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, variableOpen)
		out.WriteString(before)
		if !found {
			return out.String(), "", nil
		}
		name, rest, closed := strings.Cut(after, "}")
		if !closed || !variableName(name) {
			return "", BadVariable, fmt.Errorf("a variable is written ${%sNAME}, in capitals, digits and _: only the environment's %s… variables can be asked for", variablePrefix, variablePrefix)
		}
		if secrets != nil {
			text, ok := secrets(name)
			if !ok {
				return "", UnsetVariable, fmt.Errorf("the environment variable %s is not set", name)
			}
			out.WriteString(text)
		}
		s = rest
	}
}

func variableName(name string) bool {
	if len(name) <= len(variablePrefix) || !strings.HasPrefix(name, variablePrefix) {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
