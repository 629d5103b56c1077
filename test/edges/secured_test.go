package edges

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/freshet-io/freshet/topology"
)

// TestWithExactlyItsACLs runs the engine on brokers that ask who it is and let it do what topics acls lists, and nothing else.
func TestWithExactlyItsACLs(t *testing.T) {
	ctx := within(t)
	graph, err := topology.New(topology.Config{Partitions: partitions, MaxMessageBytes: 1 << 20}, topology.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	const method = "SCRAM-SHA-256"
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser(method, "root", "root"),
		kfake.User(method, "freshet", "secret", granted(t, graph)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	as := func(user, password string) access.Config {
		path := filepath.Join(t.TempDir(), user)
		if err := os.WriteFile(path, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
		return access.Config{SASL: access.SCRAMSHA256, Username: user, PasswordFile: path}
	}
	k := newKit(t, goldenContract(t, ""), harness.Options{Brokers: cluster.ListenAddrs()[0], Access: as("freshet", "secret"), Own: as("root", "root")})
	lines, want := goldenLines(t), goldenVerdicts(t)
	k.Start(ctx)
	k.Load(ctx, lines)
	k.AwaitNow(ctx)
	k.Verdicts().Compare(ctx, want)
}

// granted is what topics acls lists, as the brokers know it.
func granted(t *testing.T, g *topology.Graph) []kfake.ACL {
	t.Helper()
	var all []kfake.ACL
	for _, a := range g.ACLs(func(string) string { return "User:freshet" }) {
		acl := kfake.ACL{Name: a.Name, Allow: true}
		var err error
		if acl.Resource, err = kmsg.ParseACLResourceType(a.Resource); err != nil {
			t.Fatal(err)
		}
		if acl.Pattern, err = kmsg.ParseACLResourcePatternType(a.Pattern); err != nil {
			t.Fatal(err)
		}
		if acl.Operation, err = kmsg.ParseACLOperation(a.Operation); err != nil {
			t.Fatal(err)
		}
		all = append(all, acl)
	}
	return all
}
