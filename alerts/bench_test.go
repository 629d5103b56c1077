package alerts

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/slo"
)

// BenchmarkTick is a tick over 500 objectives with four rules each: while nothing is the matter, and while two alerts of each fire.
func BenchmarkTick(b *testing.B) {
	const objectives = 500
	text := "version: 1\nowners: {a: {slack: \"#a\"}}\ncontexts: {policy: {owner: a}}\nworkflows: {w: {owner: a, bounds: {policy: {max_staleness: 60s}}}}\nslos:\n"
	var lines strings.Builder
	for i := range objectives {
		fmt.Fprintf(&lines, "  - {name: o-%d, workflow: w, use: action.executed, objective: 0.995, window: 30d}\n", i)
	}
	f, err := slo.Parse([]byte(text+lines.String()), "contracts.yaml", func(string) (string, bool) { return "", false })
	if err != nil {
		b.Fatal(err)
	}
	for _, fire := range []bool{false, true} {
		b.Run(map[bool]string{false: "quiet", true: "firing"}[fire], func(b *testing.B) {
			page, err := NewText("")
			if err != nil {
				b.Fatal(err)
			}
			a := New(Config{}, page)
			now := event.Time(1_700_000_000_000)
			s := Snapshot{Contract: f, BurnsKnown: true, HoldingsKnown: true, SourcesKnown: true, Partitions: []Partition{{Name: "workflows/0", Live: true}}}
			for i := range f.SLOs {
				for _, r := range f.SLOs[i].Rules {
					w := Window{Good: 100, Bad: 30, Burn: 20}
					s.Burns = append(s.Burns, Burn{SLO: f.SLOs[i].Name, Rule: r, Holds: fire, Long: w, Short: w, Causes: []Share{{Cause: "source_late", Owner: "a", Parts: 1}}})
				}
			}
			to := []Target{{ID: "am", Kind: Alertmanager}, {ID: "hook", Kind: Webhook}}
			var acks []Ack
			for b.Loop() {
				now += 1000
				s.Now, s.Partitions[0].Applied = now, now
				out := a.Tick(&s, to, acks)
				acks = acks[:0]
				for i := range out.Due {
					acks = append(acks, AckOf(&out.Due[i], now))
				}
			}
			if rows := len(a.Rows()); (rows > objectives) != fire {
				b.Errorf("%d rows", rows)
			}
		})
	}
}
