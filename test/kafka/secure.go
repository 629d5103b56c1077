//go:build unix

package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SASL has clients name themselves: by PLAIN, SCRAM or OAUTHBEARER (tokens that nobody has signed, see Token) on Addrs and, through TLS, on
// SecuredAddrs, and by a certificate (see Certificate) on MutualAddrs. A principal that is not Super may do what ACLs say.
type SASL struct {
	Users map[string]string // name → password
	Super []string          // names, by whatever way they come
}

// secure gives a broker its other listeners and its certificate.
func (c *Cluster) secure(b *broker) error {
	ports, err := pick(0, 2)
	if err != nil {
		return err
	}
	b.secured, b.mutual = "127.0.0.1:"+strconv.Itoa(ports[0]), "127.0.0.1:"+strconv.Itoa(ports[1])
	if c.ca == nil {
		if c.ca, err = newAuthority(filepath.Join(c.opts.Dir, "tls")); err != nil {
			return err
		}
	}
	certificate, key, err := c.ca.issue("broker-" + strconv.Itoa(b.node))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.dir, "keystore.pem"), append(key, certificate...), 0o600); err != nil {
		return fmt.Errorf("certificate of broker %d: %w", b.node, err)
	}
	trusted, err := os.ReadFile(c.CAFile())
	if err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	return os.WriteFile(filepath.Join(b.dir, "truststore.pem"), trusted, 0o600)
}

// properties has clients log in; brokers trust each other, on loopback.
func (s *SASL) properties(p map[string]string, b *broker) {
	p["listener.security.protocol.map"] = "CLIENT:SASL_PLAINTEXT,SECURED:SASL_SSL,MUTUAL:SSL,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT"
	p["sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER"
	var users strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.Users)) {
		fmt.Fprintf(&users, " user_%s=%q", name, s.Users[name])
	}
	const modules = "org.apache.kafka.common.security."
	for _, listener := range []string{"client", "secured"} {
		for mechanism, module := range map[string]string{
			"plain": "plain.PlainLoginModule required" + users.String(), "scram-sha-256": "scram.ScramLoginModule required",
			"scram-sha-512": "scram.ScramLoginModule required", "oauthbearer": "oauthbearer.OAuthBearerLoginModule required",
		} {
			p["listener.name."+listener+"."+mechanism+".sasl.jaas.config"] = modules + module + ";"
		}
	}
	p["ssl.keystore.type"], p["ssl.keystore.location"] = "PEM", filepath.Join(b.dir, "keystore.pem")
	p["ssl.truststore.type"], p["ssl.truststore.location"] = "PEM", filepath.Join(b.dir, "truststore.pem")
	p["listener.name.mutual.ssl.client.auth"] = "required"
	p["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
	super := []string{"User:ANONYMOUS"} // brokers and controllers
	for _, name := range s.Super {
		super = append(super, "User:"+name, "User:CN="+name)
	}
	p["super.users"] = strings.Join(super, ";")
	// Clients log in on their listeners; brokers have one of their own.
	_, port, _ := net.SplitHostPort(b.addr)
	n, _ := strconv.Atoi(port)
	more := fmt.Sprintf(",SECURED://%s,MUTUAL://%s,BROKER://127.0.0.1:%d", b.secured, b.mutual, n+brokerPorts)
	p["listeners"] += more
	p["advertised.listeners"] += more
	p["inter.broker.listener.name"] = "BROKER"
}

// SecuredAddrs are where brokers listen for TLS with SASL.
func (c *Cluster) SecuredAddrs() []string {
	return c.each(func(b *broker) string { return b.secured })
}

// MutualAddrs are where brokers listen for clients with a certificate, which is their name.
func (c *Cluster) MutualAddrs() []string { return c.each(func(b *broker) string { return b.mutual }) }

func (c *Cluster) each(of func(*broker) string) []string {
	all := make([]string, len(c.brokers))
	for i, b := range c.brokers {
		all[i] = of(b)
	}
	return all
}

// CAFile is where the certificate of the cluster's authority lies.
func (c *Cluster) CAFile() string { return filepath.Join(c.ca.dir, "ca.pem") }

// Certificate issues a certificate for a client; to ACLs it is User:CN=name.
func (c *Cluster) Certificate(name string) (certFile, keyFile string, err error) {
	certificate, key, err := c.ca.issue(name)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(c.ca.dir, name+".pem"), filepath.Join(c.ca.dir, name+".key")
	if err := os.WriteFile(certFile, certificate, 0o600); err != nil {
		return "", "", fmt.Errorf("certificate of %s: %w", name, err)
	}
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		return "", "", fmt.Errorf("key of %s: %w", name, err)
	}
	return certFile, keyFile, nil
}

// Token returns a token for OAUTHBEARER: a JSON web token without a signature, which a broker takes that is told of no issuer.
func Token(name string, now time.Time) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, name, now.Unix()-1, now.Unix()+3600)) + "."
}

// authority signs certificates.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64 // serial number
}

func newAuthority(dir string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of the authority: %w", err)
	}
	a := &authority{dir: dir, key: key, cert: &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	der, err := a.sign(a.cert, key)
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("certificate of the authority: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("directory of certificates: %w", err)
	}
	return a, os.WriteFile(filepath.Join(dir, "ca.pem"), encoded("CERTIFICATE", der), 0o600)
}

func (a *authority) sign(c *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	a.last++
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(a.last), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", c.Subject.CommonName, err)
	}
	return der, nil
}

// issue returns a certificate for a name on loopback, and its key.
func (a *authority) issue(name string) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("key of %s: %w", name, err)
	}
	der, err := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, private)
	if err != nil {
		return nil, nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("key of %s: %w", name, err)
	}
	return encoded("CERTIFICATE", der), encoded("PRIVATE KEY", raw), nil
}

func encoded(kind string, b []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})
}

// Access is something that a principal has tried.
type Access struct {
	Principal, Operation, Resource string // as in User:freshet, READ, Topic:LITERAL:name
	Request                        string
	Allowed                        bool
}

var access = regexp.MustCompile(`Principal = (\S+) is (Allowed|Denied) operation = (\S+) from host = \S+ on resource = (\S+) for request = (\S+)`)

// Audit returns what clients of a cluster with SASL have tried, each once.
func (c *Cluster) Audit() ([]Access, error) {
	seen := map[Access]bool{}
	for _, b := range c.brokers {
		text, err := os.ReadFile(filepath.Join(b.dir, "log"))
		if err != nil {
			return nil, fmt.Errorf("log of broker %d: %w", b.node, err)
		}
		for _, m := range access.FindAllStringSubmatch(string(text), -1) {
			seen[Access{Principal: m[1], Allowed: m[2] == "Allowed", Operation: m[3], Resource: m[4], Request: m[5]}] = true
		}
	}
	return slices.Collect(maps.Keys(seen)), nil
}
