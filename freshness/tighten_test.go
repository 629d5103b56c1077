package freshness

import (
	"reflect"
	"testing"
)

// TestTightened lays bounds over rules: the smaller one of each holds, and nothing is loosened.
func TestTightened(t *testing.T) {
	rules := &Rules{Owner: "o", Require: []string{"p"}, Kinds: map[string]KindBounds{
		"p": judged(both(staleness(60), versions(1))),
		"d": {},
		"*": judged(age(100)),
	}}
	before := reflect.ValueOf(*rules).FieldByName("Kinds").Len()
	for _, c := range []struct {
		name string
		by   map[string]Bounds
		want map[string]KindBounds
	}{
		{"nothing", nil, rules.Kinds},
		{"smaller", map[string]Bounds{"p": both(staleness(10), versions(5))}, map[string]KindBounds{
			"p": judged(both(staleness(10), versions(1))), "d": {}, "*": judged(age(100))}},
		{"another bound", map[string]Bounds{"p": age(7)}, map[string]KindBounds{
			"p": judged(both(age(7), both(staleness(60), versions(1)))), "d": {}, "*": judged(age(100))}},
		{"a kind met through *", map[string]Bounds{"q": both(age(500), versions(0))}, map[string]KindBounds{
			"p": judged(both(staleness(60), versions(1))), "d": {}, "*": judged(age(100)), "q": judged(both(age(100), versions(0)))}},
		{"a shielded kind by name", map[string]Bounds{"d": age(3)}, map[string]KindBounds{
			"p": judged(both(staleness(60), versions(1))), "d": judged(age(3)), "*": judged(age(100))}},
		{"every kind", map[string]Bounds{"*": both(age(50), staleness(20))}, map[string]KindBounds{
			"p": judged(both(age(50), both(staleness(20), versions(1)))), "d": {}, "*": judged(both(age(50), staleness(20)))}},
		{"every kind and one", map[string]Bounds{"*": age(50), "q": age(40), "p": age(60)}, map[string]KindBounds{
			"p": judged(both(age(50), both(staleness(60), versions(1)))), "d": {}, "*": judged(age(50)), "q": judged(age(40))}},
	} {
		got := rules.Tightened(c.by)
		if !reflect.DeepEqual(got.Kinds, c.want) || got.Owner != "o" || len(got.Require) != 1 {
			t.Errorf("%s: got %+v, want %+v", c.name, got.Kinds, c.want)
		}
	}
	if len(rules.Kinds) != before {
		t.Error("the rules themselves have changed")
	}
	none := (&Rules{}).Tightened(map[string]Bounds{"*": age(1)})
	if !reflect.DeepEqual(none.Kinds, map[string]KindBounds{"*": judged(age(1))}) {
		t.Errorf("rules without bounds: %+v", none.Kinds)
	}
}
