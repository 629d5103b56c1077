package query

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	ask := func() (*http.Response, func()) {
		tr := &http.Transport{}
		r, err := (&http.Client{Transport: tr}).Post("http://"+addr+"/v1/check", "application/json", strings.NewReader(`{"workflow":"w"}`))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
		return r, tr.CloseIdleConnections
	}
	_, closeFirst := ask()
	_, closeSecond := ask()
	defer closeSecond()
	r, _ := ask()
	if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || !r.Close {
		t.Errorf("the third: %d %v", r.StatusCode, r.Header)
	}
	closeFirst()
	deadline := time.Now().Add(10 * time.Second)
	for r.StatusCode != 200 && time.Now().Before(deadline) {
		r, _ = ask()
	}
	if r.StatusCode != 200 {
		t.Errorf("once one is closed: %d", r.StatusCode)
	}
}

func TestTheCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certify := func(serial int64, at time.Time) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalECPrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: private}} {
			if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(name, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	began := time.Now().Add(-time.Hour)
	certify(1, began)
	s := refund(t).serve(t, Config{MaxConnections: 10, CertFile: cert, KeyFile: key})
	addr := listen(t, s)
	serial := func() (int64, string) {
		client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		r, err := client.Post("https://"+addr+"/v1/check", "application/json", strings.NewReader(`{"workflow":"w"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		return r.TLS.PeerCertificates[0].SerialNumber.Int64(), r.Proto
	}
	if n, proto := serial(); n != 1 || proto != "HTTP/2.0" {
		t.Errorf("certificate %d over %s", n, proto)
	}
	certify(2, began.Add(time.Minute))
	s.Refresh()
	if n, _ := serial(); n != 2 {
		t.Errorf("certificate %d after it has changed", n)
	}
	if err := os.WriteFile(cert, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Refresh()
	if n, _ := serial(); n != 2 {
		t.Errorf("certificate %d after a wrong one", n)
	}
}
