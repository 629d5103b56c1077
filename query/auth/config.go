package auth

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Config says how clients are recognized.
type Config struct {
	TokensFile   string
	Issuer       string
	Audience     string
	Keys         string
	CAFile       string
	NameClaim    string
	ScopesClaim  string
	ScopesPrefix string
	TypesClaim   string
}

// RegisterFlags declares the flags with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.TokensFile, "auth.tokens-file", "", "Clients with the hashes of their tokens, names of their certificates or claims, scopes and workflow types; read again when it changes. Empty, and without -auth.jwt.issuer: nobody is asked who they are.")
	f.StringVar(&c.Issuer, "auth.jwt.issuer", "", "Issuer (iss) whose signed tokens (JWT, OpenID Connect) are taken. Empty: none are.")
	f.StringVar(&c.Audience, "auth.jwt.audience", "", "Audiences (aud) of which a signed token must have one, separated by commas. Required with -auth.jwt.issuer.")
	f.StringVar(&c.Keys, "auth.jwt.keys", "", "File or https URL of the issuer's keys (JWKS); read again when it changes. Empty: where the issuer's /.well-known/openid-configuration says.")
	f.StringVar(&c.CAFile, "auth.jwt.ca-file", "", "The authorities (PEM) that have signed the certificate of that URL. Empty: those of the system.")
	f.StringVar(&c.NameClaim, "auth.jwt.name-claim", "sub", "Claim that names the client: in the audit, and for its rate.")
	f.StringVar(&c.ScopesClaim, "auth.jwt.scopes-claim", "scope", "Claim with the client's scopes, words or a list; dots lead into objects.")
	f.StringVar(&c.ScopesPrefix, "auth.jwt.scopes-prefix", "freshet:", "What stands before the scopes of that claim that are ours, as in freshet:check.")
	f.StringVar(&c.TypesClaim, "auth.jwt.types-claim", "", "Claim with the workflow types that the client may see, words or a list; a token without it sees none. Empty: all.")
}

// On says whether clients are asked who they are.
func (c *Config) On() bool { return c.TokensFile != "" || c.Issuer != "" }

// Validate names the flag, the value and what is allowed.
func (c *Config) Validate() error {
	var errs []error
	switch {
	case c.Issuer == "" && (c.Audience != "" || c.Keys != "" || c.CAFile != "" || c.TypesClaim != ""):
		errs = append(errs, errors.New("-auth.jwt.*: have no effect without -auth.jwt.issuer"))
	case c.Issuer != "" && len(c.audiences()) == 0:
		errs = append(errs, errors.New("-auth.jwt.audience is required with -auth.jwt.issuer: tokens for others would be taken"))
	case c.Issuer != "" && (c.NameClaim == "" || c.ScopesClaim == ""):
		errs = append(errs, errors.New("-auth.jwt.name-claim and -auth.jwt.scopes-claim must not be empty"))
	}
	if c.Issuer != "" && c.Keys == "" && !private(c.Issuer) {
		errs = append(errs, fmt.Errorf("-auth.jwt.issuer %q: must be an https URL where -auth.jwt.keys does not say where its keys are", c.Issuer))
	}
	if strings.Contains(c.Keys, "://") && !private(c.Keys) {
		errs = append(errs, fmt.Errorf("-auth.jwt.keys %q: must be a file or an https URL; whoever stands between could give us keys of their own", c.Keys))
	}
	return errors.Join(errs...)
}

// private says whether nobody can stand between us and a URL: it is https, or of this machine.
func private(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

func (c *Config) audiences() []string {
	return strings.FieldsFunc(c.Audience, func(r rune) bool { return r == ',' || r == ' ' })
}
