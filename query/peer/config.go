package peer

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
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
	f.StringVar(&c.CertFile, "peer.tls-cert-file", "", "Certificate (PEM) that this instance shows to the others, asking and asked; with -peer.tls-key-file and -peer.tls-ca-file. Empty: no TLS between instances.")
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

// TLS returns how instances speak to each other, nil for plaintext. The certificate is read again for every connection.
func (c *Config) TLS() (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("-peer.tls-ca-file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("-peer.tls-ca-file %q: there is no PEM certificate in it", c.CAFile)
	}
	read := func() (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("-peer.tls-cert-file %q: %w", c.CertFile, err)
		}
		return &cert, nil
	}
	if _, err := read(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return read() },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return read() },
	}, nil
}
