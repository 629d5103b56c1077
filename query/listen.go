package query

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

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
		Handler: c.bounded(s, s.Handler(local)), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ConnContext: c.mark, Protocols: protocols,
	}
	if s.cfg.CertFile == "" {
		return srv, c, nil
	}
	if err := s.certificate.read(s.cfg.CertFile, s.cfg.KeyFile); err != nil {
		return nil, nil, fmt.Errorf("-http.tls-cert-file: %w", err)
	}
	srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: s.certificate.get}
	return srv, tls.NewListener(c, srv.TLSConfig), nil
}

// Refresh reads again what may have changed on disk: tokens and certificate. What is wrong with them is said aloud; those of before stay.
func (s *Server) Refresh() {
	if s.tokens != nil {
		changed, err := s.tokens.Reread()
		s.refreshed("tokens", changed, err)
	}
	if s.cfg.CertFile != "" {
		s.refreshed("certificate", false, s.certificate.read(s.cfg.CertFile, s.cfg.KeyFile))
	}
}

func (s *Server) refreshed(what string, changed bool, err error) {
	switch {
	case err != nil:
		_ = level.Error(s.Logger).Log("msg", "a file cannot be used, what was read before stays", "file", what, "err", err)
	case changed:
		_ = level.Info(s.Logger).Log("msg", "a file has been read again", "file", what)
	}
}

// certificate is the server's, as it was read last.
type certificate struct {
	mu  sync.Mutex
	at  time.Time // of the newer of both files
	now atomic.Pointer[tls.Certificate]
}

// read reads the files, if they are not those of before.
func (c *certificate) read(cert, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var at time.Time
	for _, name := range []string{cert, key} {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("look at %s: %w", name, err)
		}
		if info.ModTime().After(at) {
			at = info.ModTime()
		}
	}
	if c.now.Load() != nil && at.Equal(c.at) {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("read certificate %s: %w", cert, err)
	}
	c.now.Store(&pair)
	c.at = at
	return nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil }

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
}

// Close closes the connection.
func (c *connection) Close() error {
	c.once.Do(func() { c.of.shown(float64(c.of.open.Add(-1))) })
	return c.Conn.Close()
}

type overLimit struct{}

// mark notes of a connection's requests that it is one too many.
func (c *connections) mark(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if one, ok := conn.(*connection); ok && one.over {
		return context.WithValue(ctx, overLimit{}, true)
	}
	return ctx
}

// bounded answers requests of connections that are too many.
func (c *connections) bounded(s *Server, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(overLimit{}) != nil {
			s.deny(r, "", problem.TooManyConns.Name)
			w.Header().Set("Connection", "close")
			problem.TooManyConns.Write(w, "", "")
			return
		}
		next.ServeHTTP(w, r)
	})
}
