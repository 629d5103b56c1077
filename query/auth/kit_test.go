package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// issuer signs tokens, and serves its keys.
type issuer struct {
	*httptest.Server
	t     *testing.T
	down  atomic.Bool
	asked atomic.Int64
	mu    sync.Mutex
	keys  jose.JSONWebKeySet
}

const audience = "freshet"

var began = time.Unix(1_700_000_000, 0)

func newIssuer(t *testing.T) *issuer {
	i := &issuer{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc(wellKnown, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.asked.Add(1)
		if i.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write(i.set())
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) set() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	b, err := json.Marshal(i.keys)
	if err != nil {
		i.t.Error(err)
	}
	return b
}

// key makes a key of a name; public: it is among those that are served.
func (i *issuer) key(name string, public bool) *ecdsa.PrivateKey {
	i.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	if public {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.keys.Keys = append(i.keys.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: name, Algorithm: string(jose.ES256), Use: "sig"})
	}
	return k
}

// without takes a key out of those that are served.
func (i *issuer) without(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var kept []jose.JSONWebKey
	for _, k := range i.keys.Keys {
		if k.KeyID != name {
			kept = append(kept, k)
		}
	}
	i.keys.Keys = kept
}

// claims are those of a token that is good, with some changed; nil takes one out.
func (i *issuer) claims(changed map[string]any) map[string]any {
	all := map[string]any{
		"iss": i.URL, "aud": []string{"others", audience}, "sub": "agent", "scope": "openid freshet:check freshet:read", "types": []string{"refund"},
		"iat": began.Unix(), "exp": began.Add(time.Hour).Unix(),
	}
	for name, v := range changed {
		if all[name] = v; v == nil {
			delete(all, name)
		}
	}
	return all
}

func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, name string, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: name}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (i *issuer) token(key crypto.Signer, name string, changed map[string]any) string {
	i.t.Helper()
	return sign(i.t, jose.ES256, key, name, i.claims(changed))
}

// clock is the time of a test.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(began.UnixNano())
	return c
}

func (c *clock) now() time.Time           { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(by time.Duration) { c.at.Add(int64(by)) }

// reports keeps what was said of files and keys.
type reports struct {
	mu  sync.Mutex
	err error // the last
}

func (r *reports) say(_ string, _ bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.err = err
	}
}

func (r *reports) last() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func opened(t *testing.T, cfg Config, c *clock, r *reports) *Auth {
	t.Helper()
	cfg.NameClaim, cfg.ScopesClaim, cfg.ScopesPrefix = "sub", "scope", "freshet:"
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	a, err := Open(cfg, 0, c.now, r.say)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func show(a *Auth, token string) (*Client, Reason) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return a.Client(r)
}

// looked lets the clock go on until the keys may be read again, and waits until they have been.
func looked(a *Auth, c *clock, by time.Duration) {
	c.advance(by)
	<-a.signed.keys.look()
}

// eventually waits for a client to be known, or not to be for a reason. Keys are read beside the requests that ask for them.
func eventually(t *testing.T, a *Auth, c *clock, token string, known bool, want Reason) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; looked(a, c, keysPace) {
		client, reason := show(a, token)
		if (client != nil) == known && reason == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("client %v, %s; want known %v, %s", client, reason, known, want)
		}
	}
}

func write(t *testing.T, file, text string) string {
	t.Helper()
	if file == "" {
		file = filepath.Join(t.TempDir(), "file")
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
