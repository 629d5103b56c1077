package topology_test

import (
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/topology"
)

func TestEveryTopicOfAGroupIsAmongItsACLs(t *testing.T) {
	g, err := topology.New(topology.Config{Prefix: "stage.", Partitions: 3, MaxMessageBytes: 1 << 20}, topology.Spec{Topics: []topology.InputTopic{
		{Name: "legacy.tools", Category: event.Tool, Rekey: true, Writers: []string{"User:tools", "User:tools"}, Readers: []string{"User:audit"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	has := map[topology.ACL]int{}
	for _, a := range g.ACLs(func(group string) string { return "User:" + group }) {
		a.Pattern, a.Why = "", ""
		has[a]++
	}
	for a, n := range has {
		if n > 1 {
			t.Errorf("%v is listed %d times", a, n)
		}
	}
	want := func(principal, resource, name, operation string) {
		t.Helper()
		if has[topology.ACL{Principal: principal, Resource: resource, Name: name, Operation: operation}] == 0 {
			t.Errorf("%s may not %s %s %s", principal, operation, resource, name)
		}
	}
	for _, grp := range g.Groups {
		who := "User:" + grp.Name
		want(who, "group", grp.Name, "Read")
		want(who, "transactional-id", grp.Name+"/", "Write")
		for _, in := range grp.Inputs {
			want(who, "topic", in, "Read")
		}
		for _, out := range grp.Outputs {
			want(who, "topic", out, "Write")
		}
		want(who, "topic", "stage.freshet.contracts", "Read")
		want(who, "topic", "stage.freshet.slo-buckets", "Read")
	}
	want("User:tools", "topic", "stage.legacy.tools", "Write")
	want("User:audit", "topic", "stage.legacy.tools", "Read")
	for a := range has {
		if a.Principal == "User:audit" && a.Operation != "Read" && a.Operation != "Describe" {
			t.Errorf("a reader may %s", a.Operation)
		}
	}
}
