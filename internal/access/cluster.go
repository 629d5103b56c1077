package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Cluster is a Kafka cluster and how it is reached.
type Cluster struct {
	Addrs []string // host:port of some of its brokers
	cfg   Config
	tls   *tls.Config // nil: plaintext
}

// Open reaches a cluster in plaintext, without authentication: the embedded broker, and those of tests.
func Open(addrs ...string) Cluster { return Cluster{Addrs: addrs} }

// Cluster returns the cluster at some addresses. It reads what files the connections rest on, so that a mistake is found at the start.
func (c Config) Cluster(addrs ...string) (Cluster, error) {
	k := Cluster{Addrs: addrs, cfg: c}
	if c.TLS {
		k.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
		if c.CAFile != "" {
			pem, err := os.ReadFile(c.CAFile)
			if err != nil {
				return k, fmt.Errorf("-kafka.tls.ca-file: %w", err)
			}
			k.tls.RootCAs = x509.NewCertPool()
			if !k.tls.RootCAs.AppendCertsFromPEM(pem) {
				return k, fmt.Errorf("-kafka.tls.ca-file %q: there is no PEM certificate in it", c.CAFile)
			}
		}
		if c.CertFile != "" {
			if _, err := c.certificate(); err != nil {
				return k, err
			}
			k.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate() }
		}
	}
	if c.PasswordFile != "" {
		if _, err := c.password(); err != nil {
			return k, err
		}
	}
	if c.TokenFile != "" {
		if _, err := c.token(); err != nil {
			return k, err
		}
	}
	return k, nil
}

func (k Cluster) String() string { return strings.Join(k.Addrs, ",") }

// Kgo returns the options of a franz-go client, followed by more. A client has nothing to tell the brokers when it is closed, no end of a
// fetch session and no last metrics: each would take a second where they are gone, and an engine closes its clients one after another.
func (k Cluster) Kgo(more ...kgo.Opt) []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(k.Addrs...), kgo.DisableClientMetrics(), kgo.DisableFetchSessions()}
	if k.tls != nil {
		opts = append(opts, kgo.DialTLSConfig(k.tls.Clone()))
	}
	if m := k.mechanism(); m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return append(opts, more...)
}

func (k Cluster) mechanism() sasl.Mechanism {
	c := k.cfg
	scrammed := func(context.Context) (scram.Auth, error) {
		password, err := c.password()
		return scram.Auth{User: c.Username, Pass: password}, err
	}
	switch c.SASL {
	case Plain:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := c.password()
			return plain.Auth{User: c.Username, Pass: password}, err
		})
	case SCRAMSHA256:
		return scram.Sha256(scrammed)
	case SCRAMSHA512:
		return scram.Sha512(scrammed)
	case OAuthBearer:
		return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
			token, err := c.token()
			return oauth.Auth{Token: token}, err
		})
	}
	return nil
}

// Sarama makes a sarama configuration one of the cluster. A plain password is read now: sarama keeps it.
func (k Cluster) Sarama(s *sarama.Config) error {
	c := k.cfg
	if k.tls != nil {
		s.Net.TLS.Enable, s.Net.TLS.Config = true, k.tls.Clone()
	}
	if c.SASL == None {
		return nil
	}
	n := &s.Net.SASL
	n.Enable, n.Handshake, n.Version, n.User = true, true, sarama.SASLHandshakeV1, c.Username
	switch c.SASL {
	case Plain:
		password, err := c.password()
		if err != nil {
			return err
		}
		n.Mechanism, n.Password = sarama.SASLTypePlaintext, password
	case SCRAMSHA256, SCRAMSHA512:
		n.Mechanism = sarama.SASLTypeSCRAMSHA256
		if c.SASL == SCRAMSHA512 {
			n.Mechanism = sarama.SASLTypeSCRAMSHA512
		}
		n.Password = "in a file" // sarama wants one; the client below reads the real one
		n.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{cfg: c} }
	case OAuthBearer:
		n.Mechanism, n.TokenProvider = sarama.SASLTypeOAuth, tokens{c}
	}
	return nil
}

// tokens gives sarama the token of the file.
type tokens struct{ cfg Config }

func (t tokens) Token() (*sarama.AccessToken, error) {
	token, err := t.cfg.token()
	if err != nil {
		return nil, err
	}
	return &sarama.AccessToken{Token: token}, nil
}

func (c Config) certificate() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("-kafka.tls.cert-file %q, -kafka.tls.key-file %q: %w", c.CertFile, c.KeyFile, err)
	}
	return &cert, nil
}

func (c Config) password() (string, error) {
	return secret("-kafka.sasl.password-file", c.PasswordFile)
}

func (c Config) token() (string, error) { return secret("-kafka.sasl.token-file", c.TokenFile) }

// secret reads a file with one line.
func secret(flag, path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return "", fmt.Errorf("%s %q: it is empty", flag, path)
	}
	return s, nil
}
