package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestWhatASignedTokenHasToBe(t *testing.T) {
	i := newIssuer(t)
	key, other := i.key("a", true), i.key("b", false)
	c, r := newClock(), &reports{}
	a := opened(t, Config{Issuer: i.URL, Audience: audience, TypesClaim: "types"}, c, r)
	eventually(t, a, c, i.token(key, "a", nil), true, 0)
	c.at.Store(began.UnixNano())
	none := unsigned(t, map[string]any{"alg": "none", "kid": "a"}, i.claims(nil))
	for name, one := range map[string]struct {
		token string
		want  Reason
	}{
		"nothing":                        {"", NoToken},
		"another token":                  {"secret", Unknown},
		"not one":                        {"a.b.c", Malformed},
		"too long":                       {"a.b." + strings.Repeat("c", tokenBytes), Malformed},
		"no algorithm":                   {none, BadAlgorithm},
		"no algorithm, signed by nobody": {strings.TrimSuffix(none, ".") + ".AAAA", BadAlgorithm},
		"a shared secret":                {sign(t, jose.HS256, i.public(t), "a", i.claims(nil)), BadAlgorithm},
		"another key of that name":       {i.token(other, "a", nil), BadSignature},
		"claims changed":                 {changed(t, i.token(key, "a", nil), i.claims(map[string]any{"scope": "freshet:admin"})), BadSignature},
		"another issuer":                 {i.token(key, "a", map[string]any{"iss": "https://elsewhere.example"}), WrongIssuer},
		"no issuer":                      {i.token(key, "a", map[string]any{"iss": nil}), WrongIssuer},
		"for others":                     {i.token(key, "a", map[string]any{"aud": "others"}), WrongAudience},
		"for nobody":                     {i.token(key, "a", map[string]any{"aud": nil}), WrongAudience},
		"expired":                        {i.token(key, "a", map[string]any{"exp": began.Add(-time.Minute).Unix()}), Expired},
		"without end":                    {i.token(key, "a", map[string]any{"exp": nil}), Malformed},
		"not yet":                        {i.token(key, "a", map[string]any{"nbf": began.Add(time.Minute).Unix()}), TooEarly},
		"issued later":                   {i.token(key, "a", map[string]any{"iat": began.Add(time.Minute).Unix()}), TooEarly},
		"nobody's":                       {i.token(key, "a", map[string]any{"sub": nil}), Malformed},
	} {
		if client, reason := show(a, one.token); client != nil || reason != one.want {
			t.Errorf("%s: %v, %s, want %s", name, client, reason, one.want)
		}
	}
	client, _ := show(a, i.token(key, "a", nil))
	if client == nil || client.Name != "agent" || !client.May(Check) || !client.May(Read) || client.May(Explain) || client.May(Admin) || !client.Sees("refund") || client.Sees("triage") {
		t.Errorf("who has a good one: %+v", client)
	}
	if blind, _ := show(a, i.token(key, "a", map[string]any{"types": nil})); blind == nil || !blind.Limited() || blind.Sees("refund") {
		t.Errorf("without the claim of types: %+v", blind)
	}
	token := i.token(key, "a", nil)
	if known, _ := show(a, token); known == nil {
		t.Error("it is not taken")
	}
	c.advance(time.Hour + 2*leeway)
	if _, reason := show(a, token); reason != Expired {
		t.Errorf("one that was known, once it has expired: %s", reason)
	}
}

// public returns the issuer's key as a forger would use it as a secret.
func (i *issuer) public(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(i.keys.Keys[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// unsigned puts a token together that nobody has signed.
func unsigned(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	part := func(m map[string]any) string {
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(header) + "." + part(claims) + "."
}

// changed is a token with other claims and its old signature.
func changed(t *testing.T, token string, claims map[string]any) string {
	t.Helper()
	parts := strings.Split(token, ".")
	parts[1] = strings.Split(unsigned(t, nil, claims), ".")[1]
	return strings.Join(parts, ".")
}

// A key that is new is read when a token names it; one that is gone ends the tokens that it signed. Tokens that name keys that are not there
// do not become as many questions to the issuer.
func TestKeysAreRotated(t *testing.T) {
	i := newIssuer(t)
	old := i.key("old", true)
	c, r := newClock(), &reports{}
	a := opened(t, Config{Issuer: i.URL, Audience: audience, Keys: i.URL + "/keys"}, c, r)
	long := map[string]any{"exp": began.Add(1000 * time.Hour).Unix()}
	eventually(t, a, c, i.token(old, "old", long), true, 0)
	next := i.key("new", true)
	eventually(t, a, c, i.token(next, "new", long), true, 0)
	eventually(t, a, c, i.token(old, "old", long), true, 0)
	i.without("old")
	c.advance(keysAge)
	a.Refresh()
	eventually(t, a, c, i.token(old, "old", long), false, UnknownKey)
	eventually(t, a, c, i.token(next, "new", long), true, 0)
	c.advance(keysPace)
	show(a, i.token(old, "old", long)) // this one looks
	asked := i.asked.Load()
	for n := range 100 {
		if _, reason := show(a, i.token(old, fmt.Sprint("guess", n), long)); reason != UnknownKey {
			t.Fatalf("%s", reason)
		}
	}
	if n := i.asked.Load() - asked; n > 1 {
		t.Errorf("100 tokens with keys that are not there have asked %d times", n)
	}
}

// An issuer that is down keeps nobody from starting; what is known of it is good until it says something else.
func TestTheIssuerIsDown(t *testing.T) {
	i := newIssuer(t)
	key := i.key("a", true)
	i.down.Store(true)
	c, r := newClock(), &reports{}
	a := opened(t, Config{Issuer: i.URL, Audience: audience, Keys: i.URL + "/keys"}, c, r)
	long := map[string]any{"exp": began.Add(1000 * time.Hour).Unix()}
	eventually(t, a, c, i.token(key, "a", long), false, NoKeys)
	i.down.Store(false)
	eventually(t, a, c, i.token(key, "a", long), true, 0)
	i.down.Store(true)
	failed := r.last()
	for deadline := time.Now().Add(30 * time.Second); r.last() == failed && time.Now().Before(deadline); looked(a, c, keysAge) {
		a.Refresh()
	}
	if err := r.last(); err == failed || !strings.Contains(err.Error(), "502") {
		t.Errorf("what is said of it: %v", err)
	}
	if client, reason := show(a, i.token(key, "a", long)); client == nil {
		t.Errorf("while it is down its tokens are refused: %s", reason)
	}
}

func TestKeysOfAFile(t *testing.T) {
	i := newIssuer(t)
	key := i.key("a", true)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i.keys.Keys = append(i.keys.Keys, jose.JSONWebKey{Key: private.Public(), KeyID: "rsa"})
	file := write(t, "", strings.Replace(string(i.set()), `"keys":[`, `"keys":[{"kty":"odd"},{"kty":"oct","k":"c2VjcmV0","kid":"shared"},`, 1))
	c, r := newClock(), &reports{}
	a := opened(t, Config{Issuer: i.URL, Audience: audience, Keys: file}, c, r)
	for name, token := range map[string]string{"ES256": i.token(key, "a", nil), "RS256": sign(t, jose.RS256, private, "rsa", i.claims(nil)), "PS256": sign(t, jose.PS256, private, "rsa", i.claims(nil))} {
		if client, reason := show(a, token); client == nil {
			t.Errorf("%s: %s", name, reason)
		}
	}
	if _, reason := show(a, sign(t, jose.RS256, private, "a", i.claims(nil))); reason != BadAlgorithm {
		t.Errorf("another algorithm than the key's: %s", reason)
	}
	if _, reason := show(a, sign(t, jose.HS256, []byte(strings.Repeat("secret", 8)), "shared", i.claims(nil))); reason != BadAlgorithm {
		t.Errorf("a shared secret: %s", reason)
	}
	write(t, file, "nothing")
	for deadline := time.Now().Add(30 * time.Second); r.last() == nil && time.Now().Before(deadline); looked(a, c, keysPace) {
		a.Refresh()
	}
	if client, reason := show(a, i.token(key, "a", nil)); client == nil || r.last() == nil {
		t.Errorf("after a wrong file: %s, said %v", reason, r.last())
	}
	for name, text := range map[string]string{"nothing": "nothing", "no keys": `{"keys":[]}`, "shared only": `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`} {
		cfg := Config{Issuer: i.URL, Audience: audience, Keys: write(t, "", text)}
		if _, err := Open(cfg, 0, c.now, r.say); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A client of the file may be one that claims or a certificate name; then the file says what it may.
func TestClaimsAndCertificatesOfTheFile(t *testing.T) {
	i := newIssuer(t)
	key := i.key("a", true)
	file := write(t, "", `clients:
  - {name: batch, claims: [{sub: job, realm.groups: night}], scopes: [explain], workflow_types: [refund], rate: 0.001}
  - {name: agent, certificates: ["uri:spiffe://acme/agent", "dns:agent.acme"], scopes: [check]}
  - {name: old, certificates: ["cn:old agent"], scopes: [read]}
`)
	c, r := newClock(), &reports{}
	a := opened(t, Config{TokensFile: file, Issuer: i.URL, Audience: audience, Keys: write(t, "", string(i.set()))}, c, r)
	job := map[string]any{"sub": "job", "realm": map[string]any{"groups": []string{"day", "night"}}}
	client, reason := show(a, i.token(key, "a", job))
	if client == nil || client.Name != "batch" || !client.May(Explain) || client.May(Check) || client.Sees("triage") {
		t.Fatalf("%+v, %s", client, reason)
	}
	job["iat"] = began.Add(-time.Second).Unix()
	again, _ := show(a, i.token(key, "a", job))
	if !client.Allow() || again.Allow() {
		t.Error("two tokens of a client have a rate each")
	}
	if day, _ := show(a, i.token(key, "a", map[string]any{"sub": "job", "realm": map[string]any{"groups": "day"}})); day == nil || day.Name != "job" {
		t.Errorf("without one of the claims: %+v", day)
	}
	spiffe, _ := url.Parse("spiffe://acme/agent")
	for _, one := range []struct {
		cert x509.Certificate
		want string
	}{
		{x509.Certificate{URIs: []*url.URL{spiffe}}, "agent"},
		{x509.Certificate{DNSNames: []string{"else", "agent.acme"}}, "agent"},
		{x509.Certificate{Subject: pkix.Name{CommonName: "old agent"}}, "old"},
		{x509.Certificate{Subject: pkix.Name{CommonName: "agent.acme"}}, ""},
		{x509.Certificate{}, ""},
	} {
		cert := one.cert
		cert.NotAfter = began.Add(time.Hour)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{&cert}}}
		client, reason := a.Client(r)
		if client == nil && (one.want != "" || reason != Unknown) || client != nil && client.Name != one.want {
			t.Errorf("certificate %v %v: %v, %s", cert.Subject, cert.DNSNames, client, reason)
		}
		if cert.NotAfter = began.Add(-time.Second); one.want != "" {
			if client, reason := a.Client(r); client != nil || reason != Expired {
				t.Errorf("expired: %v, %s", client, reason)
			}
		}
	}
}

func TestTheFileOfClientsIsChecked(t *testing.T) {
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("x")))
	for text, want := range map[string]string{
		"clients: [{name: a, scopes: [chek]}]":                              `scope "chek"`,
		"clients: [{name: a}]":                                              "no scopes",
		"clients: [{scopes: [check]}]":                                      "a name of its own",
		"clients: [{name: a, scopes: [check]}, {name: a, scopes: [check]}]": "a name of its own",
		"clients: [{name: a, scopes: [check], tokens: [plain]}]":            "never as itself",
		"clients: [{name: a, scopes: [check], tokens: ['" + sum + "']}, {name: b, scopes: [check], tokens: ['" + sum + "']}]": "also a token of a",
		"clients: [{name: a, scopes: [check], certificates: [agent]}]":                                                        "must be uri:, dns: or cn:",
		"clients: [{name: a, scopes: [check], certificates: ['cn:x']}, {name: b, scopes: [check], certificates: ['cn:x']}]":   "also one of a",
		"clients: [{name: a, scopes: [check], claims: [{}]}]":                                                                 "everyone's",
		"clients: [{name: a, scope: [check]}]":                                                                                "scope",
	} {
		if _, err := parse([]byte(text), 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestTheConfigurationIsChecked(t *testing.T) {
	good := Config{Issuer: "https://id.example", Audience: "a", NameClaim: "sub", ScopesClaim: "scope"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"-auth.jwt.audience is required": func(c *Config) { c.Audience = " , " },
		"no effect without":              func(c *Config) { c.Issuer = "" },
		"-auth.jwt.issuer \"http://id":   func(c *Config) { c.Issuer = "http://id.example" },
		"-auth.jwt.keys \"http://keys":   func(c *Config) { c.Keys = "http://keys.example/jwks" },
		"must not be empty":              func(c *Config) { c.NameClaim = "" },
	} {
		c := good
		if change(&c); c.Validate() == nil || !strings.Contains(c.Validate().Error(), want) {
			t.Errorf("%+v: %v, want %s", c, c.Validate(), want)
		}
	}
}

func TestReasonsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for r := range reasons {
		if seen[r.String()] || r.Detail() == "" {
			t.Errorf("%d: %s, %s", r, r, r.Detail())
		}
		seen[r.String()] = true
	}
	if Reason(0).String() != "unknown-token" || reasons.String() != "unknown-token" {
		t.Error("what is not known")
	}
}
