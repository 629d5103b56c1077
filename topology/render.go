package topology

import (
	"fmt"
	"strings"
)

// Mermaid draws the graph as a Mermaid flowchart: topics as cylinders, groups as boxes, tables beside their groups.
func (g *Graph) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	ids := make(map[string]string)
	for i, t := range g.Topics() {
		id := fmt.Sprintf("t%d", i)
		ids[t.Name] = id
		fmt.Fprintf(&b, "  %s[(\"%s\")]:::%s\n", id, t.Name, strings.ReplaceAll(t.Role.String(), " ", ""))
	}
	for i := range g.Groups {
		fmt.Fprintf(&b, "  g%d[\"%s\"]:::group\n", i, g.Groups[i].Name)
	}
	for i := range g.Groups {
		grp := &g.Groups[i]
		for _, in := range grp.Inputs {
			fmt.Fprintf(&b, "  %s --> g%d\n", ids[in], i)
		}
		for _, out := range grp.Outputs {
			arrow := "-->"
			if t, ok := g.byName[out]; ok && t.Role != Output {
				arrow = "-.->" // the exception: what cannot be used, or lies elsewhere
			}
			fmt.Fprintf(&b, "  g%d %s %s\n", i, arrow, ids[out])
		}
		if grp.Table != "" {
			fmt.Fprintf(&b, "  g%d <==> %s\n", i, ids[grp.Table])
		}
	}
	fmt.Fprintf(&b, "  %s -. view .-> g1\n", ids[g.Sources.Table])
	for i := range g.Groups {
		if g.Groups[i].Table != "" {
			fmt.Fprintf(&b, "  %s -. view .-> g%d\n", ids[g.Contracts], i)
		}
	}
	b.WriteString("  classDef group fill:#dbeafe,stroke:#1d4ed8,color:#111827\n")
	b.WriteString("  classDef table fill:#ede9fe,stroke:#6d28d9,color:#111827\n")
	b.WriteString("  classDef deadletter fill:#fee2e2,stroke:#b91c1c,color:#111827\n")
	b.WriteString("  classDef rekeyed fill:#f3f4f6,stroke:#6b7280,color:#111827\n")
	b.WriteString("  classDef input fill:#dcfce7,stroke:#15803d,color:#111827\n")
	b.WriteString("  classDef output fill:#fef9c3,stroke:#a16207,color:#111827\n")
	return b.String()
}

// Markdown is the reference page of the graph (docs/topology.md).
func (g *Graph) Markdown() string {
	var b strings.Builder
	b.WriteString(`# The stream graph

Generated from the code; run ` + "`go test ./topology -run TestDocs -update`" + ` after a change. It shows the graph of a contract without ` + "`topics`" + `,
at ` + fmt.Sprintf("%d partitions and `retention.decisions: %s`", g.Config.Partitions, span(g.Retention)) + `. ` + "`freshet topics plan`" + ` shows it for yours, against your cluster.

` + "```mermaid\n" + g.Mermaid() + "```" + `

Solid arrows are the way of every record. Dotted arrows go to where a record is set aside: dead letters, and copies of records that
lie in another partition than their key says. Double arrows are a group's own state and its changelog. A view is a table that every
instance holds whole.

## Topics

| topic | part | key | partitions | cleanup | kept | largest record | carries |
|---|---|---|---|---|---|---|---|
`)
	for _, list := range [][]Topic{g.Inputs, g.Outputs, g.Internal} {
		for i := range list {
			t := &list[i]
			kept, doc := "latest of each key", t.Doc
			if t.Cleanup == Delete {
				kept = span(t.Retention)
			}
			if !t.Used {
				doc += " (reserved: not created yet)"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %d | %s | %s | %d KiB | %s |\n", t.Name, t.Role, t.Key, t.Partitions, t.Cleanup, kept, t.MaxMessageBytes/1024, doc)
		}
	}
	b.WriteString(`
Input topics must keep their records at least as long as decisions are kept; a longer retention is left as it is. Dead letters and
rekeyed copies allow 64 KiB more than the largest input the cluster has. Table rows, verdicts and contracts are bounded by counts.
What an operator may tune without ` + "`freshet topics verify`" + ` saying so: the inputs' ` + "`max.message.bytes` and `message.timestamp.type`" + `,
a longer retention than asked for, ` + "`segment.*`, `min.cleanable.dirty.ratio`, `min.insync.replicas`" + ` and the replicas above ` + "`-topics.replication`" + `.

Partition counts are never changed: keys would move. ` + "`freshet topics apply`" + ` refuses, and changes nothing, while a topic has another
count than the graph.

## Groups

| group | reads | made in the process | writes | table |
|---|---|---|---|---|
`)
	for i := range g.Groups {
		grp := &g.Groups[i]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", grp.Name, codes(grp.Inputs), codes(grp.Virtual), codes(grp.Outputs), codes([]string{grp.Table}))
	}
	b.WriteString(`
A group ` + "`" + g.Name(RekeyGroup) + ".TOPIC`" + ` exists for each topic that the contract declares ` + "`rekey: true`" + `. It has no state: it copies each record of
that topic into the partition its key says, with the original topic, partition, offset and time in the copy's headers.

## Settings a topic is created with

| setting | topics | value | why |
|---|---|---|---|
| ` + "`message.timestamp.type`" + ` | all | CreateTime | ` + "`freshet load`" + ` says with the record's time when a past event was published; an input with LogAppendTime is accepted |
| ` + "`delete.retention.ms`" + ` | compacted | 7d | an instance that comes back has to see what was deleted; rows older than 6d are thrown away and come back from the changelog |
| ` + "`segment.bytes`, `segment.ms`, `min.cleanable.dirty.ratio`" + ` | compacted | 32 MiB, 1d, 0.3 | restoring reads the whole topic: old rows should go early |
| ` + "`min.insync.replicas`" + ` | all | one less than ` + "`-topics.replication`" + `, from 3 on | with acks=all a record survives the loss of one broker, and one may be down |
`)
	return b.String()
}

func codes(names []string) string {
	var quoted []string
	for _, n := range names {
		if n != "" {
			quoted = append(quoted, "`"+n+"`")
		}
	}
	if len(quoted) == 0 {
		return "–"
	}
	return strings.Join(quoted, ", ")
}
