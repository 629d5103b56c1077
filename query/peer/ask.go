package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Asker asks other instances.
type Asker struct {
	secret Secret
	http   *http.Client
	scheme string
	now    func() time.Time
}

const (
	dialTime  = 300 * time.Millisecond // an instance that does not take a connection by then is as good as gone
	perPeer   = 256                    // connections
	kept      = 64                     // of them, while nobody asks
	longBody  = 64 << 20
	idleConns = 90 * time.Second
)

// NewAsker returns an Asker. Security is nil for plaintext.
func NewAsker(secret Secret, security *tls.Config, now func() time.Time) *Asker {
	a := &Asker{secret: secret, scheme: "http", now: now}
	if security != nil {
		a.scheme = "https"
	}
	a.http = &http.Client{Transport: &http.Transport{
		DialContext:     (&net.Dialer{Timeout: dialTime}).DialContext,
		TLSClientConfig: security, TLSHandshakeTimeout: dialTime, MaxConnsPerHost: perPeer, MaxIdleConnsPerHost: kept, IdleConnTimeout: idleConns,
		DisableCompression: true,
	}}
	return a
}

// Answer is what an instance has answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Ask asks the instance at an address. Path has the query, too.
func (a *Asker) Ask(ctx context.Context, addr, method, path string, body []byte, c Client) (*Answer, error) {
	resp, err := a.Open(ctx, addr, method, path, body, c, http.Header{})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, longBody))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", addr, err)
	}
	return &Answer{resp.StatusCode, resp.Header, b}, nil
}

// Open asks the instance at an address; the answer's body is the caller's to read and close.
func (a *Asker) Open(ctx context.Context, addr, method, path string, body []byte, c Client, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, a.scheme+"://"+addr+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", addr, err)
	}
	r.Header = header
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if err := a.secret.sign(r, c, body, a.now()); err != nil {
		return nil, err
	}
	resp, err := a.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", addr, err)
	}
	return resp, nil
}

// Close closes the connections that nobody uses.
func (a *Asker) Close() { a.http.CloseIdleConnections() }
