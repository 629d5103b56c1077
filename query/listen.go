package query

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/query/credential"
	"github.com/freshet-io/freshet/query/problem"
	"github.com/go-kit/log/level"
)

// HTTP returns an http.Server for a listener of the server's, with its limits, and the listener as it has to be served. Local says that
// only this machine reaches it.
func (s *Server) HTTP(l net.Listener, local bool) (*http.Server, net.Listener, error) {
	c := &connections{Listener: l, limit: int64(s.cfg.MaxConnections), shown: s.Metrics.Connections.Set}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler: c.bounded(s, s.Handler(local)), ReadHeaderTimeout: s.cfg.HeaderTime, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ConnContext: c.mark, Protocols: protocols,
	}
	if s.cfg.CertFile == "" {
		return srv, c, nil
	}
	var err error
	if s.held, err = credential.Open(credential.Files{Cert: s.cfg.CertFile, Key: s.cfg.KeyFile, Authorities: s.cfg.ClientCAFile}); err != nil {
		return nil, nil, fmt.Errorf("-http.tls-*: %w", err)
	}
	shown := tls.NoClientCert
	switch {
	case s.cfg.ClientRequired:
		shown = tls.RequireAndVerifyClientCert
	case s.cfg.ClientCAFile != "":
		shown = tls.VerifyClientCertIfGiven
	}
	srv.TLSConfig = s.held.Server(shown, "h2", "http/1.1")
	return srv, tls.NewListener(c, srv.TLSConfig), nil
}

// Refresh reads again what may have changed on disk, or at the issuer of tokens. What is wrong with it is said aloud; what was read before
// stays.
func (s *Server) Refresh() {
	if s.auth != nil {
		s.auth.Refresh()
	}
	if s.held != nil {
		s.Reread("-http.tls-*", s.held)
	}
}

// Reread reads a credential again, and says what came of it. What is how it is configured.
func (s *Server) Reread(what string, held *credential.Credential) {
	changed, err := held.Reread()
	s.reread(what, changed, err)
}

func (s *Server) reread(what string, changed bool, err error) {
	switch {
	case err != nil:
		_ = level.Error(s.Logger).Log("msg", "what a flag names cannot be used, what was read before stays", "flag", what, "err", err)
	case changed:
		_ = level.Info(s.Logger).Log("msg", "what a flag names has been read again", "flag", what)
	}
}

// connections counts those that are open. What comes beyond the limit is answered once, with 503, and closed; beyond twice the limit it is
// closed at once.
type connections struct {
	net.Listener
	limit int64
	open  atomic.Int64
	shown func(float64)
}

// Accept waits for the next connection.
func (c *connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		n := c.open.Add(1)
		c.shown(float64(n))
		counted := &connection{Conn: conn, of: c, over: n > c.limit}
		if n <= 2*c.limit {
			return counted, nil
		}
		_ = counted.Close()
	}
}

// connection is one of them.
type connection struct {
	net.Conn
	of   *connections
	over bool
	once sync.Once

	mu   sync.Mutex
	held []byte // what is written, while holding
	hold bool
}

// heldLimit bounds the memory that a connection uses again.
const heldLimit = 16 << 10

// Write writes, unless it is held.
func (c *connection) Write(b []byte) (int, error) {
	c.mu.Lock()
	if c.hold {
		c.held = append(c.held, b...)
		c.mu.Unlock()
		return len(b), nil
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// atOnce has what f writes leave in one piece. Net/http writes in pieces of 4 KiB: each is a system call here, and one there.
func (c *connection) atOnce(f func()) {
	c.mu.Lock()
	c.hold = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		held := c.held
		c.hold, c.held = false, held[:0]
		if cap(held) > heldLimit {
			c.held = nil
		}
		c.mu.Unlock()
		_, _ = c.Conn.Write(held) // the next who reads or writes hears of it
	}()
	f()
}

// Close closes the connection.
func (c *connection) Close() error {
	c.once.Do(func() { c.of.shown(float64(c.of.open.Add(-1))) })
	return c.Conn.Close()
}

type connectionKey struct{}

// mark notes of requests which connection they came on.
func (c *connections) mark(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if one, ok := conn.(*connection); ok {
		return context.WithValue(ctx, connectionKey{}, one)
	}
	return ctx
}

// connectionOf returns the connection that a request came on, nil if it is none of ours.
func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}

// bounded answers requests of connections that are too many.
func (c *connections) bounded(s *Server, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if one := connectionOf(r); one != nil && one.over {
			s.deny(r, "", problem.TooManyConns.Name)
			w.Header().Set("Connection", "close")
			problem.TooManyConns.Write(w, "", "")
			return
		}
		next.ServeHTTP(w, r)
	})
}
