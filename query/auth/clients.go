package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"go.yaml.in/yaml/v3"
)

// file is the file of clients. It is safe for concurrent use.
type file struct {
	path string
	rate float64 // requests per second of a client for which the file says nothing, 0: any number
	text []byte  // as it was read last
	now  atomic.Pointer[clients]
}

// clients are those of the file, by what they are recognized by.
type clients struct {
	tokens       map[[sha256.Size]byte]*Client
	certificates map[string]*Client
	claims       []claimed
}

// claimed is whose a signed token is that has some claims.
type claimed struct {
	want   map[string]string
	client *Client
}

// token returns the client a token belongs to, nil if it is nobody's.
func (c *clients) token(token string) *Client { return c.tokens[sha256.Sum256([]byte(token))] }

// certificate returns the client a certificate belongs to, nil if it is nobody's.
func (c *clients) certificate(cert *x509.Certificate) *Client {
	for _, u := range cert.URIs {
		if found := c.certificates["uri:"+u.String()]; found != nil {
			return found
		}
	}
	for _, name := range cert.DNSNames {
		if found := c.certificates["dns:"+name]; found != nil {
			return found
		}
	}
	return c.certificates["cn:"+cert.Subject.CommonName]
}

// claim returns the client that the claims of a token name, nil if they name none.
func (c *clients) claim(said map[string]any) *Client {
	for _, one := range c.claims {
		all := true
		for name, want := range one.want {
			all = all && slices.Contains(words(claim(said, name), false), want)
		}
		if all {
			return one.client
		}
	}
	return nil
}

func open(path string, perSecond float64) (*file, error) {
	f := &file{path: path, rate: perSecond}
	if path == "" {
		f.now.Store(&clients{})
		return f, nil
	}
	_, err := f.reread()
	return f, err
}

// reread reads the file again, and says whether it was another one than before. After an error the clients are those of before.
func (f *file) reread() (changed bool, err error) {
	text, err := os.ReadFile(f.path)
	if err != nil {
		return false, fmt.Errorf("read clients: %w", err)
	}
	if f.now.Load() != nil && bytes.Equal(text, f.text) {
		return false, nil
	}
	all, err := parse(text, f.rate)
	if err != nil {
		return false, fmt.Errorf("%s: %w", f.path, err)
	}
	f.text = text
	f.now.Store(all)
	return true, nil
}

// entry is what the file says of a client.
type entry struct {
	Name          string              `yaml:"name"`
	Tokens        []string            `yaml:"tokens"`
	Certificates  []string            `yaml:"certificates"`
	Claims        []map[string]string `yaml:"claims"`
	Scopes        []string            `yaml:"scopes"`
	WorkflowTypes []string            `yaml:"workflow_types"`
	Rate          float64             `yaml:"rate"`
}

func parse(text []byte, perSecond float64) (*clients, error) {
	var said struct {
		Clients []entry `yaml:"clients"`
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&said); err != nil {
		return nil, fmt.Errorf("not a file of clients: %w", err)
	}
	all := &clients{tokens: map[[sha256.Size]byte]*Client{}, certificates: map[string]*Client{}}
	names := map[string]bool{}
	var errs []error
	for i, in := range said.Clients {
		if in.Name == "" || names[in.Name] {
			errs = append(errs, fmt.Errorf("clients[%d]: name %q: every client has a name of its own", i, in.Name))
			continue
		}
		names[in.Name] = true
		for _, err := range all.add(&in, perSecond) {
			errs = append(errs, fmt.Errorf("client %s: %w", in.Name, err))
		}
	}
	return all, errors.Join(errs...)
}

// add adds a client, and says what is wrong with it.
func (c *clients) add(in *entry, perSecond float64) (errs []error) {
	if in.Rate > 0 {
		perSecond = in.Rate
	}
	one := &Client{Name: in.Name, types: slices.Clone(in.WorkflowTypes), limit: limiter(perSecond)}
	slices.Sort(one.types)
	if len(in.Scopes) == 0 {
		errs = append(errs, errors.New("no scopes; there are check, read, explain, admin"))
	}
	for _, name := range in.Scopes {
		s, ok := scope(name)
		if !ok {
			errs = append(errs, fmt.Errorf("scope %q: must be check, read, explain or admin", name))
		}
		one.scope |= s
	}
	for _, token := range in.Tokens {
		sum, err := digest(token)
		switch {
		case err != nil:
			errs = append(errs, err)
		case c.tokens[sum] != nil:
			errs = append(errs, fmt.Errorf("a token of it is also a token of %s", c.tokens[sum].Name))
		default:
			c.tokens[sum] = one
		}
	}
	for _, name := range in.Certificates {
		kind, rest, _ := strings.Cut(name, ":")
		switch {
		case rest == "" || !slices.Contains([]string{"uri", "dns", "cn"}, kind):
			errs = append(errs, fmt.Errorf("certificate %q: must be uri:, dns: or cn:, and the name that the certificate has", name))
		case c.certificates[name] != nil:
			errs = append(errs, fmt.Errorf("certificate %q is also one of %s", name, c.certificates[name].Name))
		default:
			c.certificates[name] = one
		}
	}
	for _, want := range in.Claims {
		if len(want) == 0 {
			errs = append(errs, errors.New("claims: an entry without a claim would be everyone's"))
			continue
		}
		c.claims = append(c.claims, claimed{want, one})
	}
	return errs
}

func digest(s string) (sum [sha256.Size]byte, err error) {
	rest, ok := strings.CutPrefix(s, "sha256:")
	b, bad := hex.DecodeString(rest)
	if !ok || bad != nil || len(b) != len(sum) {
		return sum, errors.New("a token is given as sha256: and the hash of it in 64 hexadecimal digits, never as itself")
	}
	return [sha256.Size]byte(b), nil
}
