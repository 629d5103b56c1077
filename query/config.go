package query

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/freshet-io/freshet/query/auth"
)

// Config is what the server can be told beside where it listens.
type Config struct {
	Hosts          string
	Auth           auth.Config
	Rate           float64
	MaxBodyBytes   int
	MaxConnections int
	MaxWaiters     int
	MaxWatchers    int
	CertFile       string
	KeyFile        string
	ClientCAFile   string
	ClientRequired bool
	HeaderTime     time.Duration
	CheckKeyFile   string
	CacheBytes     int
}

// RegisterFlags declares the flags with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Hosts, "http.hosts", "", "Names by which clients may call the HTTP server beside local ones, separated by commas. Empty: on a loopback address local names only, on others any.")
	f.Float64Var(&c.Rate, "http.rate", 0, "Requests per second that a client may make, unless the file of clients says otherwise. 0: any number.")
	f.IntVar(&c.MaxBodyBytes, "http.max-body-bytes", 256<<10, "Largest body of a request.")
	f.IntVar(&c.MaxConnections, "http.max-connections", 10_000, "Open connections; on what comes beyond it is answered 503.")
	f.IntVar(&c.MaxWaiters, "http.max-waiters", 1000, "Callers that may wait at a time for a record to be applied.")
	f.IntVar(&c.MaxWatchers, "http.max-watchers", 1000, "Callers that may watch at a time.")
	f.StringVar(&c.CertFile, "http.tls-cert-file", "", "Certificate (PEM); read again when it changes. Empty: HTTP without TLS.")
	f.StringVar(&c.KeyFile, "http.tls-key-file", "", "Key of the certificate (PEM); read again when it changes.")
	f.IntVar(&c.CacheBytes, "http.cache-bytes", 64<<20, "Bytes of rows whose decoded form is kept for answers.")
	f.StringVar(&c.ClientCAFile, "http.tls-client-ca-file", "", "The authorities (PEM) that have signed clients' certificates (mTLS); read again when it changes. -auth.tokens-file says whose they are. Empty: clients are not asked for any.")
	f.BoolVar(&c.ClientRequired, "http.tls-client-required", false, "Take no connection without a client's certificate, whatever else it shows.")
	f.DurationVar(&c.HeaderTime, "http.header-time", 5*time.Second, "How long a client may take to send the header of a request.")
	c.Auth.RegisterFlags(f)
	f.StringVar(&c.CheckKeyFile, "check.key-file", "", "Key that signs the ids of checks. Empty: they are not signed.")
}

// Validate names the flag, the value and what is allowed.
func (c *Config) Validate() error {
	var errs []error
	for name, n := range map[string]int{
		"http.max-body-bytes": c.MaxBodyBytes, "http.max-connections": c.MaxConnections, "http.max-waiters": c.MaxWaiters,
		"http.max-watchers": c.MaxWatchers, "http.cache-bytes": c.CacheBytes,
	} {
		if n <= 0 {
			errs = append(errs, fmt.Errorf("-%s %d: must be greater than 0", name, n))
		}
	}
	if c.Rate < 0 {
		errs = append(errs, fmt.Errorf("-http.rate %g: must not be negative", c.Rate))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("-http.tls-cert-file and -http.tls-key-file come together"))
	}
	switch {
	case c.ClientCAFile == "" && c.ClientRequired:
		errs = append(errs, errors.New("-http.tls-client-required: needs -http.tls-client-ca-file"))
	case c.ClientCAFile != "" && c.CertFile == "":
		errs = append(errs, errors.New("-http.tls-client-ca-file: needs -http.tls-cert-file; certificates are shown over TLS"))
	case c.ClientCAFile != "" && !c.Auth.On():
		errs = append(errs, errors.New("-http.tls-client-ca-file: needs -auth.tokens-file, which says whose certificates are whose"))
	}
	if c.HeaderTime <= 0 {
		errs = append(errs, fmt.Errorf("-http.header-time %v: must be greater than 0", c.HeaderTime))
	}
	return errors.Join(append(errs, c.Auth.Validate())...)
}

// Key reads the key that signs the ids of checks, nil if there is none.
func (c *Config) Key() ([]byte, error) {
	if c.CheckKeyFile == "" {
		return nil, nil
	}
	b, err := os.ReadFile(c.CheckKeyFile)
	if err != nil {
		return nil, fmt.Errorf("-check.key-file: %w", err)
	}
	key := []byte(strings.TrimSpace(string(b)))
	if len(key) < 16 {
		return nil, fmt.Errorf("-check.key-file %s: the key has %d bytes, at least 16", c.CheckKeyFile, len(key))
	}
	return key, nil
}
