package query

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/query/auth"
	"github.com/freshet-io/freshet/query/credential"
	"github.com/freshet-io/freshet/query/credential/issue"
)

// listen serves on a port of its own until the test ends.
func listen(t *testing.T, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	srv, l, err := s.HTTP(l, true)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return addr
}

func TestTooManyConnections(t *testing.T) {
	f := refund(t)
	addr := listen(t, f.serve(t, Config{MaxConnections: 2}))
	try := func() (*http.Response, func(), error) {
		tr := &http.Transport{}
		r, err := (&http.Client{Transport: tr}).Post("http://"+addr+"/v1/check", "application/json", strings.NewReader(`{"workflow":"w"}`))
		if err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close()
		}
		return r, tr.CloseIdleConnections, err
	}
	ask := func() (*http.Response, func()) {
		t.Helper()
		r, closed, err := try()
		if err != nil {
			t.Fatal(err)
		}
		return r, closed
	}
	_, closeFirst := ask()
	_, closeSecond := ask()
	defer closeSecond()
	r, _ := ask()
	if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || !r.Close {
		t.Errorf("the third: %d %v", r.StatusCode, r.Header)
	}
	closeFirst()
	// Until the server has seen what is closed, it may be too many by far, which it does not answer at all.
	var err error
	for deadline := time.Now().Add(time.Minute); err != nil || r.StatusCode != 200; {
		if time.Now().After(deadline) {
			t.Fatalf("once one is closed: %+v, %v", r, err)
		}
		r, _, err = try()
	}
}

// over asks for a check over TLS, and returns the status, the serial number of the server's certificate and the protocol.
func over(addr string, cfg *tls.Config) (status int, serial int64, proto string, err error) {
	tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: cfg}
	defer tr.CloseIdleConnections()
	r, err := (&http.Client{Transport: tr}).Post("https://"+addr+"/v1/check", "application/json", strings.NewReader(`{"workflow":"w"}`))
	if err != nil {
		return 0, 0, "", err
	}
	defer r.Body.Close()
	return r.StatusCode, r.TLS.PeerCertificates[0].SerialNumber.Int64(), r.Proto, nil
}

func trust(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	pool, text := x509.NewCertPool(), read(t, file)
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s has no certificate", file)
	}
	return pool
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheCertificateIsReadAgain(t *testing.T) {
	a := issue.NewAuthority(t)
	files := a.Files(t)
	s := refund(t).serve(t, Config{MaxConnections: 10, CertFile: files.Cert, KeyFile: files.Key})
	addr := listen(t, s)
	cfg := &tls.Config{RootCAs: trust(t, files.Authorities)}
	_, first, proto, err := over(addr, cfg)
	if err != nil || proto != "HTTP/2.0" {
		t.Errorf("over %s: %v", proto, err)
	}
	a.Write(t, files)
	s.Refresh()
	if _, n, _, err := over(addr, cfg); err != nil || n != first+1 {
		t.Errorf("certificate %d after it has changed, %v", n, err)
	}
	if err := os.WriteFile(files.Cert, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Refresh()
	if _, n, _, err := over(addr, cfg); err != nil || n != first+1 {
		t.Errorf("certificate %d after a wrong one, %v", n, err)
	}
}

// A client may show a certificate instead of a token; the file of clients says whose it is.
func TestClientsShowCertificates(t *testing.T) {
	a, stranger := issue.NewAuthority(t), issue.NewAuthority(t)
	server, agent, reader, nobody := a.Files(t), a.Files(t, issue.URI("spiffe://acme/agent")), a.Files(t, issue.Named("reader")), a.Files(t, issue.Named("nobody"))
	clients := tokensFile(t, `clients:
  - {name: agent, certificates: ["uri:spiffe://acme/agent"], scopes: [check]}
  - {name: reader, certificates: ["cn:reader"], scopes: [read]}
  - {name: bearer, tokens: [%s], scopes: [check]}
`, "secret")
	cfg := Config{MaxConnections: 10, CertFile: server.Cert, KeyFile: server.Key, ClientCAFile: server.Authorities, Auth: auth.Config{TokensFile: clients}}
	var log logged
	s := refund(t).serveLogging(t, cfg, &log)
	addr := listen(t, s)
	showing := func(files credential.Files) *tls.Config {
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{RootCAs: trust(t, server.Authorities), Certificates: []tls.Certificate{pair}}
	}
	strange := stranger.Files(t, issue.URI("spiffe://acme/agent"))
	for name, one := range map[string]struct {
		cfg  *tls.Config
		want int // 0: no connection
	}{
		"agent": {showing(agent), 200}, "reader": {showing(reader), 403}, "nobody": {showing(nobody), 401}, "none": {&tls.Config{RootCAs: trust(t, server.Authorities)}, 401},
		"of another authority": {showing(strange), 0}, "expired": {showing(a.Files(t, issue.URI("spiffe://acme/agent"), issue.Ended(time.Now().Add(-time.Minute)))), 0},
	} {
		if got, _, _, err := over(addr, one.cfg); got != one.want || (err != nil) != (one.want == 0) {
			t.Errorf("%s: %d, %v; want %d", name, got, err, one.want)
		}
	}
	if !strings.Contains(log.String(), "why=unknown-token") || strings.Contains(log.String(), "nobody") {
		t.Errorf("the audit:\n%s", &log)
	}
	if err := os.WriteFile(server.Authorities, read(t, strange.Authorities), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Refresh()
	old, changed := showing(agent), showing(strange)
	old.RootCAs, changed.RootCAs = trust(t, agent.Authorities), trust(t, agent.Authorities)
	if got, _, _, err := over(addr, changed); got != 200 {
		t.Errorf("once the authority has changed, the new one's: %d, %v", got, err)
	}
	if got, _, _, err := over(addr, old); err == nil {
		t.Errorf("once the authority has changed, the old one's: %d", got)
	}
	cfg.ClientRequired, cfg.ClientCAFile = true, agent.Authorities
	addr = listen(t, refund(t).serve(t, cfg))
	if got, _, _, err := over(addr, &tls.Config{RootCAs: trust(t, agent.Authorities)}); err == nil {
		t.Errorf("without a certificate where one is required: %d", got)
	}
	if got, _, _, err := over(addr, old); got != 200 {
		t.Errorf("with one: %d, %v", got, err)
	}
}

// A client that does not send the whole header of a request is not waited for.
func TestASlowHeader(t *testing.T) {
	addr := listen(t, refund(t).serve(t, Config{MaxConnections: 10, HeaderTime: 10 * time.Millisecond}))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("POST /v1/check HTTP/1.1\r\nHost: local")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if b, err := io.ReadAll(conn); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it is still waited for: %s %v", b, err)
	}
}
