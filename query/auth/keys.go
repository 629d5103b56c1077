package auth

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Limits of the issuer's keys.
const (
	keysPace    = 10 * time.Second // between two looks at an issuer, however many tokens name keys that it does not have
	keysAge     = 5 * time.Minute  // after which its keys are read again although nothing says that they have changed
	keysTime    = 5 * time.Second  // of one look
	keysWait    = 2 * time.Second  // that a request waits for it
	keysBytes   = 1 << 20
	keysAtMost  = 100
	keyAlgos    = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA"
	wellKnown   = "/.well-known/openid-configuration"
	contentJSON = "application/json"
)

// keySet is what an issuer signs with, by the names of the keys.
type keySet struct {
	by map[string]jose.JSONWebKey
}

// keys reads an issuer's keys from a file or a URL. It is safe for concurrent use.
type keys struct {
	cfg    Config
	http   *http.Client
	now    func() time.Time
	report func(changed bool, err error)
	set    atomic.Pointer[keySet] // nil until they have been read

	mu    sync.Mutex
	busy  chan struct{} // closed when the look under way ends, nil if there is none
	asked time.Time     // when the last began
	good  time.Time     // when the last that did not fail began
	text  []byte
}

func newKeys(cfg Config, now func() time.Time, report func(bool, error)) (*keys, error) {
	k := &keys{cfg: cfg, now: now, report: report}
	t := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.CAFile != "" {
		text, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("-auth.jwt.ca-file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("-auth.jwt.ca-file %q: there is no PEM certificate in it", cfg.CAFile)
		}
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	k.http = &http.Client{Transport: t, Timeout: keysTime, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > 3 || !private(r.URL.String()) {
			return errors.New("is redirected to where others could stand between")
		}
		return nil
	}}
	if !k.remote() {
		_, err := k.read(context.Background())
		return k, err
	}
	k.look() // an issuer that cannot be reached now keeps nobody from starting
	return k, nil
}

// remote says whether the keys are somewhere else than in a file.
func (k *keys) remote() bool { return k.cfg.Keys == "" || strings.Contains(k.cfg.Keys, "://") }

// named returns the key of a name, nil if there is none. Without a name it is the only key.
func (s *keySet) named(name string) *jose.JSONWebKey {
	if s == nil {
		return nil
	}
	if key, ok := s.by[name]; ok {
		return &key
	}
	if name == "" && len(s.by) == 1 {
		for _, key := range s.by {
			return &key
		}
	}
	return nil
}

// find returns the key of a name and the set that it is of, after another look at the issuer if there is none of that name; nil if there
// still is none. The set is nil if it has never been read.
func (k *keys) find(ctx context.Context, name string) (*jose.JSONWebKey, *keySet) {
	of := k.set.Load()
	if key := of.named(name); key != nil {
		return key, of
	}
	timer := time.NewTimer(keysWait)
	defer timer.Stop()
	select {
	case <-k.look():
	case <-timer.C:
	case <-ctx.Done():
	}
	of = k.set.Load()
	return of.named(name), of
}

// refresh looks at the issuer if it is time to.
func (k *keys) refresh() {
	k.mu.Lock()
	due := !k.remote() || k.now().Sub(k.good) >= keysAge
	k.mu.Unlock()
	if due {
		k.look()
	}
}

// look reads the keys again, at most once a pace; what it returns is closed when that is done.
func (k *keys) look() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy != nil {
		return k.busy
	}
	done := make(chan struct{})
	if began := k.now(); k.asked.IsZero() || began.Sub(k.asked) >= keysPace {
		k.asked, k.busy = began, done
		go func() {
			defer close(done)
			ctx, cancel := context.WithTimeout(context.Background(), keysTime)
			defer cancel()
			changed, err := k.read(ctx)
			k.mu.Lock()
			k.busy = nil
			if err == nil {
				k.good = began
			}
			k.mu.Unlock()
			k.report(changed, err)
		}()
		return done
	}
	close(done)
	return done
}

// read reads the keys. One look is under way at a time.
func (k *keys) read(ctx context.Context) (changed bool, err error) {
	text, err := k.fetch(ctx)
	if err != nil {
		return false, err
	}
	if k.set.Load() != nil && bytes.Equal(text, k.text) {
		return false, nil
	}
	set, err := parseKeys(text)
	if err != nil {
		return false, err
	}
	k.text = text
	k.set.Store(set)
	return true, nil
}

func (k *keys) fetch(ctx context.Context) ([]byte, error) {
	if !k.remote() {
		text, err := os.ReadFile(k.cfg.Keys)
		if err != nil {
			return nil, fmt.Errorf("-auth.jwt.keys: %w", err)
		}
		return text, nil
	}
	at := k.cfg.Keys
	if at == "" {
		text, err := k.get(ctx, strings.TrimSuffix(k.cfg.Issuer, "/")+wellKnown)
		if err != nil {
			return nil, err
		}
		var said struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if err := json.Unmarshal(text, &said); err != nil {
			return nil, fmt.Errorf("configuration of %s: %w", k.cfg.Issuer, err)
		}
		if said.Issuer != k.cfg.Issuer || !private(said.Keys) {
			return nil, fmt.Errorf("configuration of %s: it is of issuer %q, with keys at %q", k.cfg.Issuer, said.Issuer, said.Keys)
		}
		at = said.Keys
	}
	return k.get(ctx, at)
}

func (k *keys) get(ctx context.Context, at string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	r.Header.Set("Accept", contentJSON)
	resp, err := k.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read keys at %s: it answers %s", at, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, keysBytes))
	if err != nil {
		return nil, fmt.Errorf("read keys at %s: %w", at, err)
	}
	return text, nil
}

// parseKeys reads a JWKS. Keys of a kind that is not known, for other uses, or that are shared secrets, are left out.
func parseKeys(text []byte) (*keySet, error) {
	var said struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, fmt.Errorf("not a set of keys (JWKS): %w", err)
	}
	if len(said.Keys) > keysAtMost {
		return nil, fmt.Errorf("there are %d keys, at most %d are taken", len(said.Keys), keysAtMost)
	}
	set := &keySet{by: map[string]jose.JSONWebKey{}}
	for _, raw := range said.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || !key.Valid() || key.Use != "" && key.Use != "sig" {
			continue
		}
		if _, shared := key.Key.([]byte); shared {
			continue
		}
		if !key.IsPublic() {
			key = key.Public()
		}
		set.by[key.KeyID] = key
	}
	if len(set.by) == 0 {
		return nil, errors.New("there is no key in it that signatures can be verified with")
	}
	return set, nil
}

// algorithms are those that a signature may have: with a key that only the issuer has.
func algorithms() (all []jose.SignatureAlgorithm) {
	for name := range strings.FieldsSeq(keyAlgos) {
		all = append(all, jose.SignatureAlgorithm(name))
	}
	return all
}
