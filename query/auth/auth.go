package auth

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Auth recognizes clients. It is safe for concurrent use.
type Auth struct {
	file   *file
	signed *signed // nil: no issuer's tokens are taken
	now    func() time.Time
	report func(what string, changed bool, err error)
}

// Open reads what a configuration names. Of clients for which nothing says how often they may ask perSecond is what they may, 0: any number.
// Report is told when something has been read again, or could not be.
func Open(cfg Config, perSecond float64, now func() time.Time, report func(what string, changed bool, err error)) (*Auth, error) {
	a := &Auth{now: now, report: report}
	var err error
	if a.file, err = open(cfg.TokensFile, perSecond); err != nil {
		return nil, fmt.Errorf("-auth.tokens-file: %w", err)
	}
	if cfg.Issuer == "" {
		return a, nil
	}
	s := &signed{cfg: cfg, rate: perSecond, now: now, file: a.file, algos: algorithms()}
	if s.keys, err = newKeys(cfg, now, func(changed bool, err error) { report("-auth.jwt.keys", changed, err) }); err != nil {
		return nil, err
	}
	a.signed = s
	return a, nil
}

// Client returns who makes a request; the reason if that is not known.
func (a *Auth) Client(r *http.Request) (*Client, Reason) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") || token == "" {
			return nil, NoToken
		}
		if c := a.file.now.Load().token(token); c != nil {
			return c, 0
		}
		if a.signed != nil && strings.Count(token, ".") == 2 {
			return a.signed.client(r.Context(), token)
		}
		return nil, Unknown
	}
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil, NoToken
	}
	cert := r.TLS.VerifiedChains[0][0]
	if a.now().After(cert.NotAfter) {
		return nil, Expired // it was good when the connection was made
	}
	c := a.file.now.Load().certificate(cert)
	if c == nil {
		return nil, Unknown
	}
	shown := *c
	shown.until = cert.NotAfter
	return &shown, 0
}

// Refresh reads again what may have changed.
func (a *Auth) Refresh() {
	if a.file.path != "" {
		changed, err := a.file.reread()
		a.report("-auth.tokens-file", changed, err)
	}
	if a.signed != nil {
		a.signed.keys.refresh()
	}
}
