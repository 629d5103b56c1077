package contracts

import (
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/slo"
)

func TestTheContractInForce(t *testing.T) {
	var l Log
	if l.At(5) != nil {
		t.Error("a contract before there was one")
	}
	if _, ok := l.Current(); ok || l.Had("a") || l.VersionsLimit("policy") != freshness.DefaultVersionsLimit {
		t.Error("an empty log knows something")
	}
	add := func(hash string, since event.Time) {
		l.add(Entry{Since: since, Hash: hash, Contract: &freshness.Contract{Hash: hash, Contexts: map[string]*freshness.Context{"policy": {VersionsLimit: 7}}}})
	}
	// As they may come: out of order, and twice.
	add("b", 200)
	add("a", 100)
	add("b", 200)
	add("a", 300)
	for at, want := range map[event.Time]string{-5: "a", 99: "a", 100: "a", 199: "a", 200: "b", 299: "b", 300: "a", 1 << 50: "a"} {
		if got := l.At(at).Hash; got != want {
			t.Errorf("at %d %s is in force, want %s", at, got, want)
		}
	}
	if len(l.All()) != 3 || !l.Had("b") || l.Had("c") || l.VersionsLimit("policy") != 7 {
		t.Errorf("log: %+v", l.All())
	}
}

// A use counts for the objectives of the contract in force at its time; what is done with an objective that is no longer in force is said
// by the latest contract that had it.
func TestObjectivesInForce(t *testing.T) {
	var l Log
	if l.Objectives(5, "refund") != nil || l.Objective("a") != nil {
		t.Error("objectives before there was a contract")
	}
	add := func(since event.Time, slos string) {
		f, err := slo.Parse([]byte("version: 1\nowners: {a: {}}\nworkflows: {refund: {owner: a}, triage: {owner: a}}\nslos: ["+slos+"]\n"), "contracts.yaml", nil)
		if err != nil {
			t.Fatal(err)
		}
		l.add(Entry{Since: since, Hash: f.Hash(), File: f, Contract: f.Contract()})
	}
	add(100, "{name: a, workflow: refund, use: action.executed, objective: 0.9, window: 7d}, {name: c, workflow: triage, use: action.executed, objective: 0.9, window: 7d}")
	add(200, "{name: a, workflow: refund, use: action.executed, objective: 0.9, window: 30d}, {name: b, workflow: refund, use: action.executed, objective: 0.9, window: 30d}")
	names := func(at event.Time, workflow string) (names string) {
		for _, s := range l.Objectives(at, workflow) {
			names += s.Name + slo.FormatDuration(s.Window) + " "
		}
		return names
	}
	for at, want := range map[event.Time]string{50: "a1w ", 199: "a1w ", 200: "a30d b30d "} {
		if got := names(at, "refund"); got != want {
			t.Errorf("at %d: %q, want %q", at, got, want)
		}
	}
	if got := names(199, "triage") + names(200, "triage"); got != "c1w " {
		t.Errorf("of triage: %q", got)
	}
	if a, c := l.Objective("a"), l.Objective("c"); slo.FormatDuration(a.Window) != "30d" || c == nil || l.Objective("d") != nil {
		t.Errorf("by name: %+v, %+v", a, c)
	}
}
