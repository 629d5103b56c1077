//go:build unix

package kafka_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/internal/testfile"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/freshet-io/freshet/test/kafka"
	"github.com/freshet-io/freshet/test/wait"
	"github.com/freshet-io/freshet/topology"
)

// TestEngineWithExactlyItsACLs runs the engine on brokers that ask who it is, in every way that there is, and let it do what topics acls
// lists: the verdicts are the golden ones, and nothing that it tries is denied.
func TestEngineWithExactlyItsACLs(t *testing.T) {
	c := kafka.Start(t, kafka.Options{SASL: &kafka.SASL{Users: map[string]string{"root": "root's", "freshet": "s3cret"}, Super: []string{"root"}}})
	password := func(m access.Mechanism, user, password string) access.Config {
		return access.Config{SASL: m, Username: user, PasswordFile: file(t, password)}
	}
	token := func(user string) access.Config {
		return access.Config{SASL: access.OAuthBearer, TokenFile: file(t, kafka.Token(user, time.Now()))}
	}
	overTLS := func(cfg access.Config) access.Config {
		cfg.TLS, cfg.CAFile = true, c.CAFile()
		return cfg
	}
	certificate := func(user string) access.Config {
		cert, key, err := c.Certificate(user)
		if err != nil {
			t.Fatal(err)
		}
		return overTLS(access.Config{CertFile: cert, KeyFile: key})
	}
	root := password(access.SCRAMSHA512, "root", "root's")
	idle := map[string]bool{} // what is on the list and has not been asked for
	for _, way := range []struct {
		name, principal string
		addrs           []string
		engine, own     access.Config
	}{
		{"plain", "User:freshet", c.Addrs(), password(access.Plain, "freshet", "s3cret"), root},
		{"scram-sha-256", "User:freshet", c.Addrs(), password(access.SCRAMSHA256, "freshet", "s3cret"), root},
		{"scram-sha-512 over TLS", "User:freshet", c.SecuredAddrs(), overTLS(password(access.SCRAMSHA512, "freshet", "s3cret")), overTLS(root)},
		{"oauthbearer over TLS", "User:freshet", c.SecuredAddrs(), overTLS(token("freshet")), overTLS(root)},
		{"mTLS", "User:CN=freshet", c.MutualAddrs(), certificate("freshet"), certificate("root")},
	} {
		t.Run(way.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			const golden = "../../testdata/golden/adversarial-1."
			prefix := strings.NewReplacer(" ", "-").Replace(way.name) + "."
			e := harness.New(t, harness.Options{
				Contract: withObjective(t, golden+"contracts.yaml"), Partitions: 4, Prefix: prefix, Brokers: strings.Join(way.addrs, ","), Access: way.engine, Own: way.own, HTTP: true,
			})
			acls := e.Graph().ACLs(func(string) string { return way.principal })
			grant(ctx, t, e, acls)
			e.Start(ctx)
			watched := watch(ctx, t, e)
			lines := testfile.Lines(t, golden+"events.ndjson.gz")
			e.Load(ctx, lines)
			e.Produce(ctx, elsewhere(e.Records(ctx, lines))...)
			e.Produce(ctx, &kgo.Record{Topic: e.Name("workflow.tool"), Value: []byte("no event")})
			e.AwaitNow(ctx)
			watched()
			e.Stop()
			e.LoseRows() // they are restored
			e.Start(ctx)
			e.AwaitNow(ctx)
			e.Verdicts().Compare(ctx, harness.Golden(t, golden+"verdicts.ndjson.gz"))
			e.Stop()
			audit(t, c, way.principal, prefix, acls, idle)
		})
	}
	// Describe comes with Read and Write to those who have them, but tools that look at a list do not know that; so it need not have been
	// asked for. What a table is read for depends on what has been written to it by then, so once is enough.
	for entry, nobody := range idle {
		if nobody && !strings.HasSuffix(entry, " Describe") && !t.Failed() {
			t.Errorf("nobody has asked for %s", entry)
		}
	}
}

// watch has the engine read what all instances say, until the returned function is called.
func watch(ctx context.Context, t *testing.T, e *harness.Engine) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.App.HTTPAddr()+"/v1/watch", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("watching: %s", resp.Status)
	}
	return func() {
		cancel()
		_ = resp.Body.Close()
	}
}

// withObjective adds an objective to a contract that has none.
func withObjective(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, string(text)+"slos:\n  - {name: refunds, workflow: refund, use: action.executed, objective: 0.9, window: 10y}\n")
}

// elsewhere puts some records where their keys do not say.
func elsewhere(records []*kgo.Record) (some []*kgo.Record) {
	for i := 0; i < len(records); i += 50 {
		records[i].Partition = (records[i].Partition + 1) % 4
		some = append(some, records[i])
	}
	return some
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// grant gives principals what a list says.
func grant(ctx context.Context, t *testing.T, e *harness.Engine, acls []topology.ACL) {
	t.Helper()
	req := kmsg.NewPtrCreateACLsRequest()
	for _, a := range acls {
		one := kmsg.NewCreateACLsRequestCreation()
		one.ResourceName, one.Principal, one.Host, one.PermissionType = a.Name, a.Principal, "*", kmsg.ACLPermissionTypeAllow
		var err error
		if one.ResourceType, err = kmsg.ParseACLResourceType(a.Resource); err != nil {
			t.Fatal(err)
		}
		if one.ResourcePatternType, err = kmsg.ParseACLResourcePatternType(a.Pattern); err != nil {
			t.Fatal(err)
		}
		if one.Operation, err = kmsg.ParseACLOperation(a.Operation); err != nil {
			t.Fatal(err)
		}
		req.Creations = append(req.Creations, one)
	}
	resp, err := req.RequestWith(ctx, e.Client())
	if err != nil {
		t.Fatal(err)
	}
	for i := range resp.Results {
		if r := &resp.Results[i]; r.ErrorCode != 0 {
			t.Fatalf("%+v: error %d %v", acls[i], r.ErrorCode, r.ErrorMessage)
		}
	}
	// The controller has them; the broker, which looks at its own copy, hears of it later.
	all := kmsg.NewPtrDescribeACLsRequest()
	all.ResourceType, all.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	all.Operation, all.PermissionType, all.Principal = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny, &acls[0].Principal
	wait.Until(ctx, t, func() string {
		resp, err := all.RequestWith(ctx, e.Client())
		if err != nil {
			return err.Error()
		}
		known := map[string]bool{}
		for _, r := range resp.Resources {
			for _, a := range r.ACLs {
				known[fmt.Sprint(r.ResourceType, r.ResourceName, a.Operation)] = true
			}
		}
		for _, c := range req.Creations {
			if !known[fmt.Sprint(c.ResourceType, c.ResourceName, c.Operation)] {
				return fmt.Sprintf("the broker does not know that %s may %v %v %s", c.Principal, c.Operation, c.ResourceType, c.ResourceName)
			}
		}
		return ""
	})
}

// audit holds that nothing was denied, and takes what has been asked for off a list.
func audit(t *testing.T, c *kafka.Cluster, principal, prefix string, acls []topology.ACL, idle map[string]bool) {
	t.Helper()
	tried, err := c.Audit()
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, a := range tried {
		if a.Principal != principal || !strings.Contains(a.Resource, ":"+prefix) && !strings.HasPrefix(a.Resource, "Cluster") {
			continue
		}
		if !a.Allowed {
			t.Errorf("denied: %+v", a)
		}
		kind, rest, _ := strings.Cut(a.Resource, ":")
		_, name, _ := strings.Cut(rest, ":")
		if kind == "TransactionalId" {
			name = name[:strings.LastIndexByte(name, '/')+1]
		}
		asked[word(kind)+" "+name+" "+word(a.Operation)] = true
	}
	if len(asked) == 0 {
		t.Fatal("nothing was tried")
	}
	for _, a := range acls {
		entry := a.Resource + " " + strings.TrimPrefix(a.Name, prefix) + " " + a.Operation
		was, listed := idle[entry]
		idle[entry] = (was || !listed) && !asked[word(a.Resource)+" "+a.Name+" "+word(a.Operation)]
	}
}

// word is a name in the words of brokers and of their tools.
func word(s string) string { return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s)) }
