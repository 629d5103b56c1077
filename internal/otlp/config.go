package otlp

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Config says where metrics are sent.
type Config struct {
	Endpoint    string
	HeadersFile string
	CAFile      string
	Interval    time.Duration
	Timeout     time.Duration
}

// RegisterFlags declares the flags with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Endpoint, "otlp.endpoint", "", "OTLP over HTTP that metrics are sent to, besides what is scraped, such as http://collector:4318/v1/metrics. Empty: nowhere.")
	f.StringVar(&c.HeadersFile, "otlp.headers-file", "", "File with headers of these requests, such as Authorization: Bearer …, one a line. Read again for each request.")
	f.StringVar(&c.CAFile, "otlp.ca-file", "", "PEM file with the authorities that may have signed the certificate of -otlp.endpoint. Empty: the system's.")
	f.DurationVar(&c.Interval, "otlp.interval", 30*time.Second, "How often metrics are sent to -otlp.endpoint.")
	f.DurationVar(&c.Timeout, "otlp.timeout", 10*time.Second, "How long one of these requests may take.")
}

// Enabled says whether metrics are sent at all.
func (c *Config) Enabled() bool { return c.Endpoint != "" }

// Validate names the flag and what is allowed; of the endpoint only what cannot be a secret.
func (c *Config) Validate() error {
	var errs []error
	if u, err := url.Parse(c.Endpoint); c.Enabled() && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path == "" || u.Path == "/" || u.User != nil) {
		errs = append(errs, errors.New("-otlp.endpoint: must be an http or https URL with its whole path, such as http://collector:4318/v1/metrics; credentials stand in -otlp.headers-file"))
	}
	for _, f := range []struct{ name, value string }{{"headers-file", c.HeadersFile}, {"ca-file", c.CAFile}} {
		if f.value != "" && !c.Enabled() {
			errs = append(errs, fmt.Errorf("-otlp.%s %q: has no effect without -otlp.endpoint", f.name, f.value))
		}
	}
	if c.Interval < time.Second {
		errs = append(errs, fmt.Errorf("-otlp.interval %v: must be at least 1s", c.Interval))
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("-otlp.timeout %v: must be greater than 0", c.Timeout))
	}
	return errors.Join(errs...)
}

// readHeaders reads a file of headers.
func readHeaders(path string) (http.Header, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("-otlp.headers-file: %w", err)
	}
	all, n := http.Header{}, 0
	for line := range strings.Lines(string(text)) {
		n++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if name, value = strings.TrimSpace(name), strings.TrimSpace(value); !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("-otlp.headers-file %s, line %d: must be NAME: VALUE", path, n)
		}
		all.Add(name, value)
	}
	return all, nil
}
