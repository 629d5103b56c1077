package slo

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/freshness"
	"go.yaml.in/yaml/v3"
)

func TestDurations(t *testing.T) {
	for _, c := range []struct {
		text, written string
		d             freshness.Duration
	}{
		{"0", "0s", 0}, {"0s", "0s", 0}, {"0d", "0s", 0}, {"500ms", "500ms", 500}, {"90s", "1m30s", 90 * second}, {"1h30m", "1h30m", 90 * minute},
		{"30d", "30d", 30 * day}, {"2w", "2w", 14 * day}, {"1w1d", "8d", 8 * day}, {"1y", "1y", 365 * day}, {"1y2w3d4h5m6s7ms", "382d4h5m6s7ms", 382*day + 4*hour + 5*minute + 6*second + 7},
		{"87600h", "10y", 87600 * hour}, {"1500ms", "1s500ms", 1500}, {"168h", "1w", week}, {"100y", "100y", maxDuration},
	} {
		d, err := ParseDuration(c.text)
		if err != nil || d != c.d {
			t.Errorf("ParseDuration(%q) = %d, %v; want %d", c.text, d, err, c.d)
		}
		if got := FormatDuration(c.d); got != c.written {
			t.Errorf("FormatDuration(%d) = %q, want %q", c.d, got, c.written)
		}
		if again, err := ParseDuration(c.written); err != nil || again != c.d {
			t.Errorf("ParseDuration(%q) = %d, %v; want %d", c.written, again, err, c.d)
		}
	}
	for d, want := range map[freshness.Duration]string{-90 * second: "-1m30s", math.MinInt64: "-106751991167d7h12m55s808ms", math.MaxInt64: "106751991167d7h12m55s807ms"} {
		if got := FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%d) = %q, want %q", d, got, want)
		}
	}
	for _, text := range []string{"", "5", "-5s", "1.5h", "s", "1m1h", "1s1s", "1h 30m", "1H", "1us", "1M", " 1s", "1s ", "+1s", "1s-", "--1s", "101y", "99999999999999999999s", "100y1ms", "５s"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %d, want an error", text, d)
		}
	}
}

func TestHash(t *testing.T) {
	hash := func(text string) string {
		t.Helper()
		f, err := Parse([]byte(text), "contracts.yaml", secrets)
		if err != nil {
			t.Fatal(err)
		}
		if f.Contract().Hash != f.Hash() || !strings.HasPrefix(f.Hash(), "sha256:") || len(f.Hash()) != 71 {
			t.Errorf("hash %q, in the contract %q", f.Hash(), f.Contract().Hash)
		}
		return f.Hash()
	}
	const plain = "version: 1\nowners: {a: {pagerduty_key: \"${FRESHET_PD_PAYMENTS}\"}}\nworkflows: {w: {owner: a, bounds: {\"*\": {max_age: 1m}}}}\nretention: {decisions: 1d}\n"
	// What is hashed may never change: contracts are known by it.
	if got, want := hash(plain), "sha256:65b911458acc5f20370f2758e59d22582e9748a10acd77eee95ad7b3d342e6af"; got != want {
		t.Errorf("the hash has changed: %s, was %s", got, want)
	}
	for _, same := range []string{
		"# comment\n" + plain,
		strings.Replace(plain, "1m", "60s", 1),
		strings.Replace(plain, "1m", `"1m"`, 1),
		"retention: {decisions: 24h}\n" + strings.Replace(plain, "retention: {decisions: 1d}\n", "", 1),
	} {
		if hash(same) != hash(plain) {
			t.Errorf("another hash for\n%s", same)
		}
	}
	for _, other := range []string{
		strings.Replace(plain, "1m", "61s", 1),
		strings.Replace(plain, "1m", "null", 1),
		strings.Replace(plain, "_PD_PAYMENTS", "_EMPTY}x${FRESHET_EMPTY", 1),
		strings.Replace(plain, "1d", "2d", 1),
		plain + "max_skew: 5m\n",
	} {
		if hash(other) == hash(plain) {
			t.Errorf("the same hash for\n%s", other)
		}
	}
	// The canonical form as the documentation describes it, written by hand.
	const canonical = `{"maintenance":[{"from":1000,"owner":"R&D <ops>","reason":"\"1\"","to":2000}],"max_skew":0,"owners":{"R&D <ops>":{}},"version":1,` +
		`"workflows":{"w":{"bounds":{"*":{"max_age":null,"max_versions_behind":3}},"owner":"R&D <ops>"}}}`
	sum := sha256.Sum256([]byte(canonical))
	if got, want := hash("version: 1\nowners: {R&D <ops>: }\nmax_skew: 0s\nworkflows: {w: {owner: R&D <ops>, bounds: {'*': {max_age: , max_versions_behind: 3}}}}\n"+
		"maintenance: [{owner: R&D <ops>, from: 1970-01-01T00:00:01Z, to: 1970-01-01T01:00:02+01:00, reason: '\"1\"'}]\n"), fmt.Sprintf("sha256:%x", sum); got != want {
		t.Errorf("%s is not the hash of the canonical form, %s", got, want)
	}
	other, err := Parse([]byte(plain), "contracts.yaml", func(string) (string, bool) { return "another", true })
	if err != nil || other.Hash() != hash(plain) {
		t.Errorf("the hash depends on what a variable holds: %v", err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	f := example(t)
	owner := f.Owners["payments"]
	asJSON, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(owner)
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{string(asJSON), string(asYAML), owner.PagerDutyKey.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown = append(shown, fmt.Sprintf(verb, *owner), fmt.Sprintf(verb, owner.PagerDutyKey), fmt.Sprintf(verb, &owner.PagerDutyKey))
	}
	for _, s := range shown {
		if strings.Contains(s, "R0UT1NG") || strings.Contains(s, fmt.Sprintf("%x", "R0UT1NG")) {
			t.Errorf("the secret is shown: %s", s)
		}
		if !strings.Contains(s, "redacted") {
			t.Errorf("nothing says that there is a secret: %s", s)
		}
	}
	if s := NewSecret(""); s.String() != "" || s.Set() || !owner.PagerDutyKey.Set() {
		t.Error("a secret that is not set looks like one that is")
	}
}

func TestSecretsAreNotInErrors(t *testing.T) {
	const head = "version: 1\nowners: {a: {pagerduty_key: "
	for _, written := range []string{"12345678901", "[hush12345678901]", "hush12345678901${OTHER}", "\"hush12345678901${FRESHET_UNSET}\"", "\"${hush12345678901\"", "{hush: 12345678901}"} {
		_, err := Parse([]byte(head+written+"}}\n"), "contracts.yaml", secrets)
		if err == nil || strings.Contains(err.Error(), "12345678901") {
			t.Errorf("%s: %v", written, err)
		}
	}
}

// TestWithoutVariables: who only checks a contract or judges by it needs no secrets.
func TestWithoutVariables(t *testing.T) {
	data, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(data, "example.yaml", nil)
	if err != nil || f.Owners["payments"].PagerDutyKey.Set() {
		t.Fatalf("%v: without variables the key is not set", err)
	}
	if f.Hash() != example(t).Hash() {
		t.Error("the hash depends on whether variables are replaced")
	}
	if _, err := Parse([]byte(strings.Replace(string(data), "${FRESHET", "${OTHER", 1)), "example.yaml", nil); err == nil {
		t.Error("a variable of another name is accepted where variables are not replaced")
	}
}

func TestNearest(t *testing.T) {
	names := []string{"max_staleness", "max_versions_behind", "max_age", "owner"}
	for name, want := range map[string]string{"max_stalness": "max_staleness", "max_aeg": "max_age", "onwer": "owner", "Owner": "owner", "lateness": "", "": "", strings.Repeat("x", 65): ""} {
		if got, _ := nearest(name, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
