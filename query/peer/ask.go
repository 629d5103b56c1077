package peer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/freshet-io/freshet/query/credential"
)

// Asker asks other instances.
type Asker struct {
	secret  Secret
	http    *http.Client
	streams *http.Client // what does not end has connections of its own: it leaves none to those who ask
	scheme  string
	now     func() time.Time
}

const (
	dialTime  = 300 * time.Millisecond // an instance that does not take a connection by then is as good as gone
	perPeer   = 256                    // connections
	kept      = 64                     // of them, while nobody asks
	longBody  = 64 << 20
	idleConns = 90 * time.Second
)

// NewAsker returns an Asker. Held is what instances show each other, nil for plaintext.
func NewAsker(secret Secret, held *credential.Credential, now func() time.Time) *Asker {
	a := &Asker{secret: secret, scheme: "http", now: now}
	d := &net.Dialer{Timeout: dialTime}
	t := &http.Transport{DialContext: d.DialContext, MaxConnsPerHost: perPeer, MaxIdleConnsPerHost: kept, IdleConnTimeout: idleConns, DisableCompression: true}
	if held != nil {
		a.scheme = "https"
		t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return held.Dial(ctx, d, network, addr, dialTime)
		}
	}
	a.http = &http.Client{Transport: t}
	unbounded := t.Clone()
	unbounded.MaxConnsPerHost = 0 // as many as the other one lets watch
	a.streams = &http.Client{Transport: unbounded}
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
	resp, err := a.send(ctx, a.http, addr, method, path, body, c, http.Header{})
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

// Open asks the instance at an address for a stream; the answer's body is the caller's to read and close.
func (a *Asker) Open(ctx context.Context, addr, path string, c Client, header http.Header) (*http.Response, error) {
	return a.send(ctx, a.streams, addr, http.MethodGet, path, nil, c, header)
}

func (a *Asker) send(ctx context.Context, through *http.Client, addr, method, path string, body []byte, c Client, header http.Header) (*http.Response, error) {
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
	resp, err := through.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", addr, err)
	}
	return resp, nil
}

// Close closes the connections that nobody uses.
func (a *Asker) Close() {
	a.http.CloseIdleConnections()
	a.streams.CloseIdleConnections()
}
