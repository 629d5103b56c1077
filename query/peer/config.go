package peer

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"

	"github.com/freshet-io/freshet/query/credential"
)

// Config says how instances reach each other.
type Config struct {
	Listen     string
	Advertise  string
	SecretFile string
	CertFile   string
	KeyFile    string
	CAFile     string
}

// RegisterFlags declares the flags.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Listen, "peer.listen", "", "Address at which other instances ask this one for workflows that it has. Empty: it is not asked, and asks nobody.")
	f.StringVar(&c.Advertise, "peer.advertise", "", "Address under which they reach it. Empty: that of -peer.listen.")
	f.StringVar(&c.SecretFile, "peer.secret-file", "", "File with the secret by which instances recognize each other, at least 16 bytes. Required with -peer.listen.")
	f.StringVar(&c.CertFile, "peer.tls-cert-file", "", "Certificate (PEM) that this instance shows to the others, asking and asked; with -peer.tls-key-file and -peer.tls-ca-file, all read again when they change. Empty: no TLS between instances.")
	f.StringVar(&c.KeyFile, "peer.tls-key-file", "", "Its key (PEM).")
	f.StringVar(&c.CAFile, "peer.tls-ca-file", "", "The authority (PEM) that has signed the instances' certificates.")
}

// Validate names the flag, the value and what is allowed.
func (c *Config) Validate() error {
	if c.Listen == "" {
		if *c != (Config{}) {
			return errors.New("-peer.*: have no effect without -peer.listen")
		}
		return nil
	}
	var errs []error
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		errs = append(errs, fmt.Errorf("-peer.listen %q: must be host:port", c.Listen))
	}
	if ip := net.ParseIP(host); err == nil && c.Advertise == "" && (host == "" || ip != nil && ip.IsUnspecified()) {
		errs = append(errs, fmt.Errorf("-peer.advertise is required with -peer.listen %q: others cannot reach that address", c.Listen))
	}
	if c.Advertise != "" {
		if _, _, err := net.SplitHostPort(c.Advertise); err != nil {
			errs = append(errs, fmt.Errorf("-peer.advertise %q: must be host:port", c.Advertise))
		}
	}
	if c.SecretFile == "" {
		errs = append(errs, errors.New("-peer.secret-file is required with -peer.listen"))
	}
	if given := (c.CertFile != "") == (c.KeyFile != "") && (c.CertFile != "") == (c.CAFile != ""); !given {
		errs = append(errs, errors.New("-peer.tls-cert-file, -peer.tls-key-file and -peer.tls-ca-file come together"))
	}
	return errors.Join(errs...)
}

const leastSecret = 16

// Secret reads the instances' secret.
func (c *Config) Secret() (Secret, error) {
	b, err := os.ReadFile(c.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("-peer.secret-file: %w", err)
	}
	b = bytes.TrimSpace(b)
	if len(b) < leastSecret {
		return nil, fmt.Errorf("-peer.secret-file %s: the secret has %d bytes, at least %d", c.SecretFile, len(b), leastSecret)
	}
	return Secret(b), nil
}

// Credential reads how instances speak to each other, nil for plaintext.
func (c *Config) Credential() (*credential.Credential, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	held, err := credential.Open(credential.Files{Cert: c.CertFile, Key: c.KeyFile, Authorities: c.CAFile})
	if err != nil {
		return nil, fmt.Errorf("-peer.tls-*: %w", err)
	}
	return held, nil
}
