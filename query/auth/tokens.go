package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"go.yaml.in/yaml/v3"
	"golang.org/x/time/rate"
)

// Scope is what a client may do.
type Scope uint8

const (
	Check   Scope = 1 << iota // ask whether context holds
	Read                      // lists, sources, status, watching
	Explain                   // the evidence of decisions, and timelines
	Admin                     // operations
)

// String returns the name of a single scope.
func (s Scope) String() string {
	switch s {
	case Check:
		return "check"
	case Read:
		return "read"
	case Explain:
		return "explain"
	case Admin:
		return "admin"
	default:
		return "unknown"
	}
}

func scope(name string) (Scope, bool) {
	for _, s := range []Scope{Check, Read, Explain, Admin} {
		if s.String() == name {
			return s, true
		}
	}
	return 0, false
}

// Client is who asks.
type Client struct {
	Name  string
	scope Scope
	types []string // workflow types, sorted; nil: all
	limit *rate.Limiter
}

// May says whether the client has a scope.
func (c *Client) May(s Scope) bool { return c.scope&s == s }

// Limited says whether the client may see some workflow types only.
func (c *Client) Limited() bool { return c.types != nil }

// Sees says whether the client may see workflows of a type.
func (c *Client) Sees(workflowType string) bool {
	if c.types == nil {
		return true
	}
	_, ok := slices.BinarySearch(c.types, workflowType)
	return ok
}

// Allow says whether the client may ask now, as often as it has asked.
func (c *Client) Allow() bool { return c.limit == nil || c.limit.Allow() }

// Anyone is who asks where nobody is asked who they are.
func Anyone(perSecond float64) *Client {
	return &Client{Name: "anyone", scope: Check | Read | Explain | Admin, limit: limiter(perSecond)}
}

// Passed is who asks, as another instance knows it: that one has looked at scopes and rate.
func Passed(name string, types []string) *Client {
	return &Client{Name: name, scope: Check | Read | Explain | Admin, types: types}
}

// Types returns the workflow types that the client may see, nil for all.
func (c *Client) Types() []string { return c.types }

func limiter(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond)))
}

// Tokens are the clients of a file. It is safe for concurrent use.
type Tokens struct {
	path    string
	rate    float64 // requests per second of a client for which the file says nothing, 0: any number
	text    []byte  // of the file, as it was read last
	clients atomic.Pointer[map[[sha256.Size]byte]*Client]
}

// Open reads a file of tokens.
func Open(path string, perSecond float64) (*Tokens, error) {
	t := &Tokens{path: path, rate: perSecond}
	if _, err := t.Reread(); err != nil {
		return nil, err
	}
	return t, nil
}

// Client returns the client a token belongs to, nil if it is nobody's.
func (t *Tokens) Client(token string) *Client {
	return (*t.clients.Load())[sha256.Sum256([]byte(token))]
}

// Reread reads the file again, and says whether it was another one than before. After an error the tokens are those of before.
func (t *Tokens) Reread() (changed bool, err error) {
	text, err := os.ReadFile(t.path)
	if err != nil {
		return false, fmt.Errorf("read tokens: %w", err)
	}
	if t.clients.Load() != nil && bytes.Equal(text, t.text) {
		return false, nil
	}
	clients, err := parse(text, t.rate)
	if err != nil {
		return false, fmt.Errorf("%s: %w", t.path, err)
	}
	t.text = text
	t.clients.Store(&clients)
	return true, nil
}

// file is what the file says.
type file struct {
	Clients []struct {
		Name          string   `yaml:"name"`
		Tokens        []string `yaml:"tokens"`
		Scopes        []string `yaml:"scopes"`
		WorkflowTypes []string `yaml:"workflow_types"`
		Rate          float64  `yaml:"rate"`
	} `yaml:"clients"`
}

func parse(text []byte, perSecond float64) (map[[sha256.Size]byte]*Client, error) {
	var f file
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("not a file of tokens: %w", err)
	}
	all := map[[sha256.Size]byte]*Client{}
	names := map[string]bool{}
	var errs []error
	for i, in := range f.Clients {
		if in.Name == "" || names[in.Name] {
			errs = append(errs, fmt.Errorf("clients[%d]: name %q: every client has a name of its own", i, in.Name))
			continue
		}
		names[in.Name] = true
		c := &Client{Name: in.Name, types: slices.Clone(in.WorkflowTypes), limit: limiter(perSecond)}
		slices.Sort(c.types)
		if in.Rate > 0 {
			c.limit = limiter(in.Rate)
		}
		if len(in.Scopes) == 0 {
			errs = append(errs, fmt.Errorf("client %s: no scopes; there are check, read, explain, admin", in.Name))
		}
		for _, name := range in.Scopes {
			s, ok := scope(name)
			if !ok {
				errs = append(errs, fmt.Errorf("client %s: scope %q: must be check, read, explain or admin", in.Name, name))
			}
			c.scope |= s
		}
		for _, token := range in.Tokens {
			sum, err := digest(token)
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("client %s: %w", in.Name, err))
			case all[sum] != nil:
				errs = append(errs, fmt.Errorf("client %s: a token of it is also a token of %s", in.Name, all[sum].Name))
			default:
				all[sum] = c
			}
		}
	}
	return all, errors.Join(errs...)
}

func digest(s string) (sum [sha256.Size]byte, err error) {
	rest, ok := strings.CutPrefix(s, "sha256:")
	b, bad := hex.DecodeString(rest)
	if !ok || bad != nil || len(b) != len(sum) {
		return sum, errors.New("a token is given as sha256: and the hash of it in 64 hexadecimal digits, never as itself")
	}
	return [sha256.Size]byte(b), nil
}
