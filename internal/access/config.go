package access

import (
	"errors"
	"flag"
	"fmt"
	"strings"
)

// Mechanism is a SASL mechanism. The zero value is none.
type Mechanism string

// The mechanisms, as -kafka.sasl.mechanism names them.
const (
	None        Mechanism = ""
	Plain       Mechanism = "plain"
	SCRAMSHA256 Mechanism = "scram-sha-256"
	SCRAMSHA512 Mechanism = "scram-sha-512"
	OAuthBearer Mechanism = "oauthbearer"
)

// Set reads a mechanism.
func (m *Mechanism) Set(s string) error {
	switch v := Mechanism(strings.ToLower(s)); v {
	case None, Plain, SCRAMSHA256, SCRAMSHA512, OAuthBearer:
		*m = v
		return nil
	}
	return errors.New("use plain, scram-sha-256, scram-sha-512 or oauthbearer")
}

func (m *Mechanism) String() string { return string(*m) }

// Config is what an operator says of a cluster's listeners.
type Config struct {
	TLS        bool
	CAFile     string
	CertFile   string
	KeyFile    string
	ServerName string

	SASL         Mechanism
	Username     string
	PasswordFile string
	TokenFile    string
}

// RegisterFlags declares the flags.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.BoolVar(&c.TLS, "kafka.tls.enabled", false, "Speak TLS to the brokers.")
	f.StringVar(&c.CAFile, "kafka.tls.ca-file", "", "PEM file with the authorities that may have signed the brokers' certificates. Empty: the system's.")
	f.StringVar(&c.CertFile, "kafka.tls.cert-file", "", "PEM file with the certificate to show to the brokers (mTLS). Read again for every connection.")
	f.StringVar(&c.KeyFile, "kafka.tls.key-file", "", "PEM file with the key of -kafka.tls.cert-file.")
	f.StringVar(&c.ServerName, "kafka.tls.server-name", "", "Name that the brokers' certificates must have. Empty: the host that is connected to.")
	f.Var(&c.SASL, "kafka.sasl.mechanism", "How to authenticate to the brokers: `plain|scram-sha-256|scram-sha-512|oauthbearer`. Empty: not.")
	f.StringVar(&c.Username, "kafka.sasl.username", "", "User name for plain and SCRAM.")
	f.StringVar(&c.PasswordFile, "kafka.sasl.password-file", "", "File with the password for plain and SCRAM. A line's end at its end does not count.")
	f.StringVar(&c.TokenFile, "kafka.sasl.token-file", "", "File with the token for oauthbearer, read again for every connection.")
}

// Validate names the flag, the value and what is allowed.
func (c *Config) Validate() error {
	var errs []error
	needs := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	needs((c.CertFile == "") == (c.KeyFile == ""), "-kafka.tls.cert-file %q and -kafka.tls.key-file %q: give both or neither", c.CertFile, c.KeyFile)
	for _, f := range []struct{ name, value string }{
		{"ca-file", c.CAFile}, {"cert-file", c.CertFile}, {"key-file", c.KeyFile}, {"server-name", c.ServerName},
	} {
		needs(f.value == "" || c.TLS, "-kafka.tls.%s %q: has no effect without -kafka.tls.enabled", f.name, f.value)
	}
	switch c.SASL {
	case Plain, SCRAMSHA256, SCRAMSHA512:
		needs(c.Username != "", "-kafka.sasl.username is required with -kafka.sasl.mechanism %s", c.SASL)
		needs(c.PasswordFile != "", "-kafka.sasl.password-file is required with -kafka.sasl.mechanism %s", c.SASL)
		needs(c.TokenFile == "", "-kafka.sasl.token-file %q: is for oauthbearer, not for %s", c.TokenFile, c.SASL)
	case OAuthBearer:
		needs(c.TokenFile != "", "-kafka.sasl.token-file is required with -kafka.sasl.mechanism oauthbearer")
		needs(c.Username == "" && c.PasswordFile == "", "-kafka.sasl.username and -kafka.sasl.password-file are not for oauthbearer")
	case None:
		needs(c.Username == "" && c.PasswordFile == "" && c.TokenFile == "", "-kafka.sasl.username, -kafka.sasl.password-file, -kafka.sasl.token-file: have no effect without -kafka.sasl.mechanism")
	default:
		errs = append(errs, fmt.Errorf("-kafka.sasl.mechanism %q: use plain, scram-sha-256, scram-sha-512 or oauthbearer", c.SASL))
	}
	return errors.Join(errs...)
}
