package slo

import (
	"maps"
	"slices"

	"github.com/freshet-io/freshet/freshness"
)

// resolveOwners gives objectives without an owner the workflow's.
func (f *File) resolveOwners() {
	for i := range f.SLOs {
		if s := &f.SLOs[i]; s.Owner == "" {
			s.Owner = f.Workflows[s.Workflow].Owner
		}
	}
}

// resolve lays classes over workflows and "*" under kinds, so that the judgement looks bounds up and decides nothing about them.
func (f *File) resolve() *freshness.Contract {
	c := &freshness.Contract{Hash: f.hash, Contexts: map[string]*freshness.Context{}, Classes: map[string]map[string]*freshness.Rules{}}
	for kind, said := range f.Contexts {
		c.Contexts[kind] = &freshness.Context{
			Owner: said.Owner, ServingOwner: said.ServingOwner,
			MaxSilence: said.MaxSilence, HasMaxSilence: said.MaxSilence > 0,
			Basis: said.Basis, Reported: said.Reported,
			History: said.History, VersionsLimit: said.VersionsLimit,
		}
	}
	for name, w := range f.Workflows {
		classes := map[string]*freshness.Rules{"": w.rules(nil)}
		for class, over := range w.Classes {
			classes[class] = w.rules(over.Bounds)
		}
		c.Classes[name] = classes
	}
	return c
}

// rules are the rules of a workflow with the bounds of one class laid over its own.
func (w *Workflow) rules(class map[string]Bounds) *freshness.Rules {
	r := &freshness.Rules{Owner: w.Owner, Require: slices.Sorted(slices.Values(w.Require)), Kinds: map[string]freshness.KindBounds{}}
	for _, level := range []map[string]Bounds{w.Bounds, class} {
		for kind := range maps.Keys(level) {
			r.Kinds[kind] = lay(under(w.Bounds, kind), under(class, kind))
		}
	}
	return r
}

// under finds the bounds of a kind on one level: those under its name, else those under "*". An empty entry under the name is found, so
// it shields the kind from the "*" of its level, and of no other.
func under(level map[string]Bounds, kind string) Bounds {
	if b, ok := level[kind]; ok {
		return b
	}
	return level["*"]
}

// lay lays the bounds of a class over those of the workflow, bound by bound. A kind that ends up without any bound is not judged.
func lay(own, over Bounds) freshness.KindBounds {
	var k freshness.KindBounds
	staleness, hasStaleness := one(own.MaxStaleness, over.MaxStaleness)
	behind, hasBehind := one(own.MaxVersionsBehind, over.MaxVersionsBehind)
	age, hasAge := one(own.MaxAge, over.MaxAge)
	k.Bounds = freshness.Bounds{
		MaxStaleness: freshness.Duration(staleness), HasStaleness: hasStaleness,
		MaxVersionsBehind: behind, HasVersions: hasBehind,
		MaxAge: freshness.Duration(age), HasAge: hasAge,
	}
	k.Judged = hasStaleness || hasBehind || hasAge
	return k
}

// one is the bound that holds.
func one(own, over Bound) (int64, bool) {
	if over.Written {
		own = over
	}
	return own.AtMost, own.Written && !own.Removed
}
