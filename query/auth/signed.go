package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/time/rate"
)

const (
	leeway       = 30 * time.Second // between the issuer's clock and ours
	tokenBytes   = 16 << 10         // of a signed token
	remembered   = 10_000           // tokens that have been verified, and clients whose rate is known
	longestClaim = 256              // bytes of a client's name
)

// signed verifies the tokens of an issuer, and says whose they are.
type signed struct {
	cfg    Config
	rate   float64
	now    func() time.Time
	keys   *keys
	file   *file
	algos  []jose.SignatureAlgorithm
	mu     sync.Mutex
	known  map[[sha256.Size]byte]*Client // by tokens that have been verified with the keys and the file below
	of     *keySet
	from   *clients
	limits map[string]*rate.Limiter
}

// client returns whose a token is.
func (s *signed) client(ctx context.Context, token string) (*Client, Reason) {
	if len(token) > tokenBytes {
		return nil, Malformed
	}
	sum := sha256.Sum256([]byte(token))
	set, file := s.keys.set.Load(), s.file.now.Load()
	s.mu.Lock()
	c := s.known[sum]
	if s.of != set || s.from != file {
		c = nil
	}
	s.mu.Unlock()
	if c != nil {
		if s.now().After(c.until) {
			return nil, Expired
		}
		return c, 0
	}
	c, set, reason := s.verify(ctx, token, file)
	if c == nil {
		return nil, reason
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of != set || s.from != file || len(s.known) >= remembered {
		s.known, s.of, s.from = map[[sha256.Size]byte]*Client{}, set, file
	}
	s.known[sum] = c
	return c, 0
}

// verify looks at everything that a token has to be.
func (s *signed) verify(ctx context.Context, token string, file *clients) (*Client, *keySet, Reason) {
	t, err := jwt.ParseSigned(token, s.algos)
	if err != nil || len(t.Headers) != 1 {
		var other *jose.ErrUnexpectedSignatureAlgorithm
		if errors.As(err, &other) {
			return nil, nil, BadAlgorithm
		}
		return nil, nil, Malformed
	}
	key, set := s.keys.find(ctx, t.Headers[0].KeyID)
	switch {
	case set == nil:
		return nil, nil, NoKeys
	case key == nil:
		return nil, nil, UnknownKey
	}
	if key.Algorithm != "" && key.Algorithm != t.Headers[0].Algorithm {
		return nil, nil, BadAlgorithm
	}
	var claims jwt.Claims
	said := map[string]any{}
	if err := t.Claims(key.Key, &claims, &said); err != nil {
		if errors.Is(err, jose.ErrCryptoFailure) {
			return nil, nil, BadSignature
		}
		return nil, nil, Malformed
	}
	err = claims.ValidateWithLeeway(jwt.Expected{Issuer: s.cfg.Issuer, AnyAudience: s.cfg.audiences(), Time: s.now()}, leeway)
	switch {
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return nil, nil, WrongIssuer
	case errors.Is(err, jwt.ErrInvalidAudience):
		return nil, nil, WrongAudience
	case errors.Is(err, jwt.ErrExpired):
		return nil, nil, Expired
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return nil, nil, TooEarly
	case err != nil || claims.Expiry == nil:
		return nil, nil, Malformed
	}
	c := s.mapped(said, file)
	if c == nil {
		return nil, nil, Malformed
	}
	c.until = claims.Expiry.Time().Add(leeway)
	return c, set, 0
}

// mapped returns the client that claims speak of: one of the file's, else what they say themselves.
func (s *signed) mapped(said map[string]any, file *clients) *Client {
	if named := file.claim(said); named != nil {
		c := *named
		return &c
	}
	name, _ := claim(said, s.cfg.NameClaim).(string)
	if name == "" || len(name) > longestClaim {
		return nil
	}
	c := &Client{Name: name, limit: s.limit(name)}
	for _, word := range words(claim(said, s.cfg.ScopesClaim), true) {
		if own, ok := strings.CutPrefix(word, s.cfg.ScopesPrefix); ok {
			one, _ := scope(own)
			c.scope |= one
		}
	}
	if s.cfg.TypesClaim != "" {
		c.types = append([]string{}, words(claim(said, s.cfg.TypesClaim), true)...)
		slices.Sort(c.types)
	}
	return c
}

// limit returns the limiter of a client, the same for all its tokens.
func (s *signed) limit(name string) *rate.Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.limits[name]
	if l == nil {
		if l = limiter(s.rate); l == nil {
			return nil
		}
		if s.limits == nil || len(s.limits) >= remembered {
			s.limits = map[string]*rate.Limiter{}
		}
		s.limits[name] = l
	}
	return l
}

// claim returns a claim; where there is none of that name, dots lead into objects.
func claim(said map[string]any, name string) any {
	if v, ok := said[name]; ok {
		return v
	}
	first, rest, more := strings.Cut(name, ".")
	if inner, ok := said[first].(map[string]any); ok && more {
		return claim(inner, rest)
	}
	return nil
}

// words returns the strings of a claim that is one or has a list of them. Apart: a string has several, with spaces between.
func words(v any, apart bool) (all []string) {
	switch v := v.(type) {
	case string:
		if apart {
			return strings.Fields(v)
		}
		return []string{v}
	case []any:
		for _, one := range v {
			if s, ok := one.(string); ok {
				all = append(all, s)
			}
		}
	}
	return all
}
