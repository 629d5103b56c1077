package credential

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Files are where it stands, as PEM. The authorities may be left out.
type Files struct {
	Cert, Key, Authorities string
}

// Credential is what the files said when they were read last. It is safe for concurrent use.
type Credential struct {
	files Files
	mu    sync.Mutex
	text  [3][]byte // of the files, as they were read last
	now   atomic.Pointer[pair]
}

// pair is a certificate with the authorities that go with it.
type pair struct {
	cert tls.Certificate
	pool *x509.CertPool // nil: no authorities were given
}

// Open reads the files.
func Open(files Files) (*Credential, error) {
	c := &Credential{files: files}
	if _, err := c.Reread(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reread reads the files again, and says whether they were others than before. After an error what was read before stays.
func (c *Credential) Reread() (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text [3][]byte
	for i, name := range []string{c.files.Cert, c.files.Key, c.files.Authorities} {
		if name == "" {
			continue
		}
		if text[i], err = os.ReadFile(name); err != nil {
			return false, fmt.Errorf("read what TLS needs: %w", err)
		}
	}
	if c.now.Load() != nil && bytes.Equal(text[0], c.text[0]) && bytes.Equal(text[1], c.text[1]) && bytes.Equal(text[2], c.text[2]) {
		return false, nil
	}
	next := &pair{}
	if next.cert, err = tls.X509KeyPair(text[0], text[1]); err != nil {
		return false, fmt.Errorf("certificate %s with key %s: %w", c.files.Cert, c.files.Key, err)
	}
	if c.files.Authorities != "" {
		next.pool = x509.NewCertPool()
		if !next.pool.AppendCertsFromPEM(text[2]) {
			return false, fmt.Errorf("authorities %s: there is no PEM certificate in it", c.files.Authorities)
		}
	}
	c.text = text
	c.now.Store(next)
	return true, nil
}

// Server returns how to be spoken to. Of clients it asks what ask says; their certificates have to be signed by the authorities.
func (c *Credential) Server(ask tls.ClientAuthType, protocols ...string) *tls.Config {
	config := func(p *pair) *tls.Config {
		return &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: []tls.Certificate{p.cert}, ClientCAs: p.pool, ClientAuth: ask,
			SessionTicketsDisabled: ask != tls.NoClientCert, // a session that is resumed would rest on the authorities of before
		}
	}
	type made struct {
		of  *pair
		cfg *tls.Config
	}
	var last atomic.Pointer[made] // sessions are resumed with the config that they began with
	outer := config(c.now.Load())
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		p := c.now.Load()
		m := last.Load()
		if m == nil || m.of != p {
			m = &made{p, config(p)}
			last.Store(m)
		}
		return m.cfg, nil
	}
	return outer
}

// Dial connects to an address as TLS, shows the certificate, and trusts who is signed by the authorities. The handshake takes at most patience.
func (c *Credential) Dial(ctx context.Context, d *net.Dialer, network, addr string, patience time.Duration) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	raw, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	p := c.now.Load()
	conn := tls.Client(raw, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: p.pool, Certificates: []tls.Certificate{p.cert}})
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("dial %s: %w", addr, err), raw.Close())
	}
	return conn, nil
}
