package sources

import (
	"fmt"
	"slices"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// A view knows when it has last heard of a kind as soon as it has read the rows, whoever wrote them.
func TestTheViewKnowsWhenItLastHeardOfKinds(t *testing.T) {
	tb := newTable(2)
	said := func() (all []string) {
		tb.view.EachKind(func(kind string, update event.Time, updated bool, life event.Time) {
			if !updated {
				update = -1
			}
			all = append(all, fmt.Sprint(kind, " ", int64(update), " ", int64(life)))
		})
		slices.Sort(all)
		return all
	}
	if got := said(); len(got) != 0 {
		t.Errorf("before anything is read: %q", got)
	}
	r := &itemRow{item: freshness.NewItem("policy", "p"), head: true}
	apply(r, update(2, 7000))
	apply(r, update(1, 6000))
	tb.put(0, r)
	if got := said(); !slices.Equal(got, []string{"policy 7000 7000"}) {
		t.Errorf("after two updates: %q", got)
	}
	apply(r, update(2, 9000)) // it loses, and was an update all the same
	apply(r, &event.Event{Type: event.SourceHeartbeat, Time: 12000, Through: 11000, Kind: "policy", Key: "p"})
	tb.put(0, r)
	tb.put(1, &kindRow{kind: "feature", life: 5000})
	if got := said(); !slices.Equal(got, []string{"feature -1 5000", "policy 9000 11000"}) {
		t.Errorf("after a loser and heartbeats: %q", got)
	}
	for i := range 2 * seenKinds {
		tb.put(1, &kindRow{kind: fmt.Sprint("k", i), life: event.Time(i)})
	}
	if got := said(); len(got) != seenKinds+1 || !slices.Contains(got, fmt.Sprint(" -1 ", 2*seenKinds-1)) {
		t.Errorf("%d kinds are told apart", len(got))
	}
}
