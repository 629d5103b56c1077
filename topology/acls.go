package topology

import (
	"cmp"
	"slices"
)

// ACL is one thing that a principal has to be allowed.
type ACL struct {
	Principal string `json:"principal"`
	Resource  string `json:"resource"` // topic, group or transactional-id
	Pattern   string `json:"pattern"`  // literal or prefixed
	Name      string `json:"name"`
	Operation string `json:"operation"` // as Kafka's tools name it
	Why       string `json:"why"`
}

// Principals are who the engine works as: all its groups as one, or each under a name of its own.
type Principals func(group string) string

// ACLs returns what the graph needs, and nothing more: of every group what its instances do, and of the topics that name writers and
// readers, what these do. Creating topics is not among it: that is the operator's (topics apply).
func (g *Graph) ACLs(of Principals) []ACL {
	var all []ACL
	add := func(principal, resource, pattern, name, why string, operations ...string) {
		for _, op := range operations {
			all = append(all, ACL{principal, resource, pattern, name, op, why})
		}
	}
	for i := range g.Groups {
		grp := &g.Groups[i]
		who := of(grp.Name)
		add(who, "group", "literal", grp.Name, "membership, and offsets within transactions", "Read")
		add(who, "transactional-id", "prefixed", grp.Name+"/", "one id for each instance; ends what dead ones have left open", "Write", "Describe")
		for _, t := range grp.Inputs {
			add(who, "topic", "literal", t, "input", "Read", "Describe", "DescribeConfigs")
		}
		for _, t := range grp.Outputs {
			add(who, "topic", "literal", t, "output", "Write", "Describe", "DescribeConfigs")
		}
		if grp.Table != "" {
			// DescribeProducers, which finds whose transaction is open at the end of a table, asks for Read.
			add(who, "topic", "literal", grp.Table, "table: rows are written, and read to restore", "Read", "Write", "Describe", "DescribeConfigs")
		}
		add(who, "topic", "literal", g.Contracts, "which contract is in force, and proposing one", "Read", "Write", "Describe", "DescribeConfigs")
		add(who, "topic", "literal", g.Buckets, "every instance shows how all objectives stand", "Read", "Describe", "DescribeConfigs")
		add(who, "topic", "literal", g.Sources.Table, "every instance holds all sources", "Read", "Describe", "DescribeConfigs")
		for _, t := range []string{g.Verdicts, g.Detections, g.Alerts} {
			add(who, "topic", "literal", t, "every instance lets it be watched", "Read", "Describe")
		}
	}
	for i := range g.Inputs {
		t := &g.Inputs[i]
		for _, w := range t.Writers {
			add(w, "topic", "literal", t.Name, "declared as a writer", "Write", "Describe")
		}
		for _, r := range t.Readers {
			add(r, "topic", "literal", t.Name, "declared as a reader", "Read", "Describe")
		}
	}
	return merged(all)
}

// merged leaves out what is said twice: the first reason stays.
func merged(all []ACL) []ACL {
	order := func(a, b ACL) int {
		return cmp.Or(cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Operation, b.Operation))
	}
	slices.SortStableFunc(all, order)
	return slices.CompactFunc(all, func(a, b ACL) bool { return order(a, b) == 0 })
}
