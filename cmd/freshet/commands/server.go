package commands

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/query/client"
)

// serverFlags say which server is asked, for commands that are its clients.
type serverFlags struct{ server, tokenFile, caFile, certFile, keyFile string }

func (s *serverFlags) register(f *flag.FlagSet) {
	f.StringVar(&s.server, "server", "http://127.0.0.1:8080", "The server that is asked.")
	f.StringVar(&s.tokenFile, "server.token-file", "", "File with the bearer token. Empty: none is sent.")
	f.StringVar(&s.caFile, "server.ca-file", "", "PEM file with the authorities that may have signed the server's certificate. Empty: the system's.")
	f.StringVar(&s.certFile, "server.cert-file", "", "PEM file with the certificate to show to the server (mTLS), with -server.key-file.")
	f.StringVar(&s.keyFile, "server.key-file", "", "PEM file with its key.")
}

// client returns a client of the server.
func (s *serverFlags) client() (*client.Client, error) {
	cfg := client.Config{Server: s.server, Agent: "freshet"}
	if s.tokenFile != "" {
		cfg.Token = func() (string, error) {
			b, err := os.ReadFile(s.tokenFile)
			return strings.TrimSpace(string(b)), err
		}
		if _, err := cfg.Token(); err != nil {
			return nil, cli.Usagef("-server.token-file: %w", err)
		}
	}
	security, err := s.security()
	if err != nil {
		return nil, err
	}
	if security != nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = security
		cfg.HTTP = &http.Client{Transport: transport}
	}
	c, err := client.New(cfg)
	if err != nil {
		return nil, cli.Usagef("-server: %w", err)
	}
	return c, nil
}

// security is how TLS is spoken with the server, nil for as usual.
func (s *serverFlags) security() (*tls.Config, error) {
	if s.caFile == "" && s.certFile == "" && s.keyFile == "" {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.caFile != "" {
		pem, err := os.ReadFile(s.caFile)
		if err != nil {
			return nil, cli.Usagef("-server.ca-file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, cli.Usagef("-server.ca-file %q: there is no PEM certificate in it", s.caFile)
		}
	}
	if s.certFile != "" || s.keyFile != "" {
		pair, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
		if err != nil {
			return nil, cli.Usagef("-server.cert-file %q, -server.key-file %q: %w", s.certFile, s.keyFile, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// asked makes of what a client returns an error with its exit status: that there is nothing of a name is an answer, what the server
// refuses is a matter of usage, a server that is not there is one of doing.
func (s *serverFlags) asked(err error) error {
	if err == nil {
		return nil
	}
	p := new(client.Problem)
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		return cli.Nof("%w", err)
	}
	if errors.As(err, &p) && p.Status >= 400 && p.Status < 500 && p.Status != http.StatusTooManyRequests {
		return cli.Usage(err)
	}
	return cli.Unavailable(fmt.Errorf("ask %s: %w", s.server, err))
}
