package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/internal/access"
)

// reach asks a cluster something with both clients.
func reach(t *testing.T, k access.Cluster) (kgoErr, saramaErr error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client, err := kgo.NewClient(k.Kgo(kgo.RetryTimeout(2 * time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	kgoErr = client.Ping(ctx)

	cfg := sarama.NewConfig()
	cfg.Version, cfg.Metadata.Retry.Max = sarama.V3_0_0_0, 0
	if err := k.Sarama(cfg); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	other, err := sarama.NewClient(k.Addrs, cfg)
	if err == nil {
		_ = other.Close()
	}
	return kgoErr, err
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBothClientsAuthenticate(t *testing.T) {
	for m, method := range map[access.Mechanism]string{access.Plain: "PLAIN", access.SCRAMSHA256: "SCRAM-SHA-256", access.SCRAMSHA512: "SCRAM-SHA-512"} {
		t.Run(string(m), func(t *testing.T) {
			c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(method, "freshet", "s3cret"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			password := file(t, "password", "s3cret\n")
			cfg := access.Config{SASL: m, Username: "freshet", PasswordFile: password}
			if err := cfg.Validate(); err != nil {
				t.Fatal(err)
			}
			k, err := cfg.Cluster(c.ListenAddrs()...)
			if err != nil {
				t.Fatal(err)
			}
			if a, b := reach(t, k); a != nil || b != nil {
				t.Errorf("with the password: franz-go %v, sarama %v", a, b)
			}
			if err := os.WriteFile(password, []byte("wrong"), 0o600); err != nil {
				t.Fatal(err)
			}
			if a, b := reach(t, k); a == nil || b == nil {
				t.Errorf("with another password, put into the file since: franz-go %v, sarama %v", a, b)
			}
			if a, b := reach(t, access.Open(c.ListenAddrs()...)); a == nil || b == nil {
				t.Errorf("without a password: franz-go %v, sarama %v", a, b)
			}
		})
	}
}

func TestBothClientsSpeakTLS(t *testing.T) {
	cert, key := selfSigned(t)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(cert))
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12,
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	certFile, keyFile := file(t, "cert.pem", cert), file(t, "key.pem", key)
	mutual := access.Config{TLS: true, CAFile: certFile, CertFile: certFile, KeyFile: keyFile}
	for name, want := range map[string]struct {
		cfg access.Config
		ok  bool
	}{
		"with a certificate":    {mutual, true},
		"without a certificate": {access.Config{TLS: true, CAFile: certFile}, false},
		"unknown authority":     {access.Config{TLS: true, CertFile: certFile, KeyFile: keyFile}, false},
		"another name":          {access.Config{TLS: true, CAFile: certFile, CertFile: certFile, KeyFile: keyFile, ServerName: "elsewhere"}, false},
		"plaintext":             {access.Config{}, false},
	} {
		k, err := want.cfg.Cluster(c.ListenAddrs()...)
		if err != nil {
			t.Fatal(err)
		}
		a, b := reach(t, k)
		if (a == nil) != want.ok || (b == nil) != want.ok {
			t.Errorf("%s: franz-go %v, sarama %v", name, a, b)
		}
	}
}

// selfSigned returns a certificate for the loopback address, which is its own authority, and its key.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "freshet"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", der), block("EC PRIVATE KEY", keyDER)
}

// A token is handed to both clients as the file has it at that moment. (What a broker makes of it is tested on a real Kafka.)
func TestTokensAreReadAgain(t *testing.T) {
	token := file(t, "token", "first\n")
	k, err := access.Config{SASL: access.OAuthBearer, TokenFile: token}.Cluster("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	cfg := sarama.NewConfig()
	if err := k.Sarama(cfg); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(token, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := cfg.Net.SASL.TokenProvider.Token(); err != nil || got.Token != want {
			t.Errorf("token %v, %v; want %s", got, err, want)
		}
	}
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.Net.SASL.TokenProvider.Token(); err == nil {
		t.Error("a token without a file")
	}
}

func TestErrorsNameTheFlag(t *testing.T) {
	for _, c := range []struct {
		cfg  access.Config
		want string
	}{
		{access.Config{TLS: true, CertFile: "c"}, "-kafka.tls.key-file"},
		{access.Config{CAFile: "c"}, "-kafka.tls.enabled"},
		{access.Config{SASL: access.Plain, PasswordFile: "p"}, "-kafka.sasl.username"},
		{access.Config{SASL: access.SCRAMSHA256, Username: "u"}, "-kafka.sasl.password-file"},
		{access.Config{SASL: access.Plain, Username: "u", PasswordFile: "p", TokenFile: "t"}, "-kafka.sasl.token-file"},
		{access.Config{SASL: access.OAuthBearer}, "-kafka.sasl.token-file"},
		{access.Config{SASL: access.OAuthBearer, TokenFile: "t", Username: "u"}, "-kafka.sasl.username"},
		{access.Config{Username: "u"}, "-kafka.sasl.mechanism"},
		{access.Config{SASL: "gssapi"}, "gssapi"},
	} {
		if err := c.cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s named", c.cfg, err, c.want)
		}
	}
	empty := file(t, "empty", "\n")
	for _, c := range []struct {
		cfg  access.Config
		want string
	}{
		{access.Config{TLS: true, CAFile: "missing.pem"}, "-kafka.tls.ca-file"},
		{access.Config{TLS: true, CAFile: empty}, "-kafka.tls.ca-file"},
		{access.Config{TLS: true, CertFile: empty, KeyFile: empty}, "-kafka.tls.cert-file"},
		{access.Config{SASL: access.Plain, Username: "u", PasswordFile: empty}, "-kafka.sasl.password-file"},
		{access.Config{SASL: access.OAuthBearer, TokenFile: "missing"}, "-kafka.sasl.token-file"},
	} {
		if _, err := c.cfg.Cluster("x:1"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s named", c.cfg, err, c.want)
		}
	}
	var m access.Mechanism
	if err := m.Set("SCRAM-SHA-256"); err != nil || m != access.SCRAMSHA256 {
		t.Errorf("mechanism %q, %v", m, err)
	}
	if m.Set("kerberos") == nil {
		t.Error("kerberos is taken for a mechanism")
	}
}
