package freshness

import "maps"

// Tightened returns rules under which nothing may be more than under these, nor more than the given bounds, by kind ("*": every kind the
// rules name and every other). A kind that is not judged is, if bounds are given for it by name.
func (r *Rules) Tightened(by map[string]Bounds) *Rules {
	if len(by) == 0 {
		return r
	}
	t := *r
	t.Kinds = maps.Clone(r.Kinds)
	if t.Kinds == nil {
		t.Kinds = make(map[string]KindBounds, len(by))
	}
	if all, ok := by["*"]; ok {
		for kind, k := range t.Kinds {
			if k.Judged {
				k.Bounds = k.Bounds.tightened(all)
				t.Kinds[kind] = k
			}
		}
		star := t.Kinds["*"]
		t.Kinds["*"] = KindBounds{Bounds: star.Bounds.tightened(all), Judged: true}
	}
	for kind, b := range by {
		if kind == "*" {
			continue
		}
		k, ok := t.Kinds[kind]
		if !ok {
			k = t.Kinds["*"]
		}
		t.Kinds[kind] = KindBounds{Bounds: k.Bounds.tightened(b), Judged: true}
	}
	return &t
}

// tightened returns the smaller of every bound; one that is not set bounds nothing.
func (b Bounds) tightened(o Bounds) Bounds {
	if o.HasStaleness && (!b.HasStaleness || o.MaxStaleness < b.MaxStaleness) {
		b.MaxStaleness, b.HasStaleness = o.MaxStaleness, true
	}
	if o.HasVersions && (!b.HasVersions || o.MaxVersionsBehind < b.MaxVersionsBehind) {
		b.MaxVersionsBehind, b.HasVersions = o.MaxVersionsBehind, true
	}
	if o.HasAge && (!b.HasAge || o.MaxAge < b.MaxAge) {
		b.MaxAge, b.HasAge = o.MaxAge, true
	}
	return b
}
