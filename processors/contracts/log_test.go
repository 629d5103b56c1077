package contracts

import (
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
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
