package workflows

import (
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Everything comes when it is due, also what waits for the same instant as thousands of others and what is not in the index yet, and memory
// holds a few of them at a time.
func TestTheAgendaHoldsWhatIsNear(t *testing.T) {
	l := newLedger(t, "version: 1\nowners: {a: {slack: \"#a\"}}\ncontexts: {policy: {owner: a}}\nworkflows: {refund: {owner: a, bounds: {policy: {max_age: 1s}}}}\n")
	l.pt.g.DB = l.db
	const limit, rows = 10, 1000
	a := newAgenda(l.pt, limit)
	most, popped := 0, map[string]event.Time{}
	pop := func(now event.Time) {
		for {
			x, ok, err := a.pop(now)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return
			}
			popped[x.key] = x.at
			most = max(most, a.soon.len())
		}
	}
	pop(50) // nothing is there yet
	due := func(i int) event.Time {
		if i%3 == 0 {
			return event.Time(100 + i)
		}
		return 500 // most of them at once
	}
	for i := range rows {
		w := freshness.NewWorkflow(fmt.Sprintf("w%04d", i))
		w.Life = due(i)
		l.pt.p.Rows.Put(w.ID, newRow(w))
		a.push(deadline{at: w.Life, key: w.ID})
		most = max(most, a.soon.len())
		if i%100 == 99 && i != rows-1 { // the last ones are not in the index when they are due
			l.commit()
			a.committed(1)
			a.prune(1)
			a.committed(0)
		}
	}
	for now := event.Time(90); now < 1200; now += 7 {
		pop(now)
		for i := range rows {
			if at, ok := popped[fmt.Sprintf("w%04d", i)]; ok != (due(i) <= now) || ok && at != due(i) {
				t.Fatalf("at %d: row %d is due at %d, popped %v at %d", now, i, due(i), ok, at)
			}
		}
	}
	if most > 4*limit+200 { // and what two transactions have brought
		t.Errorf("%d of %d deadlines were in memory", most, rows)
	}
}

// A transaction is committed while the index is read: what it brought is in neither, and is due all the same.
func TestTheAgendaKeepsWhatAScanHasNotSeen(t *testing.T) {
	l := newLedger(t, holdsPolicies)
	a := newAgenda(l.pt, 10)
	a.scan = func([]byte, func(key []byte) bool) error {
		a.committed(1)
		return nil
	}
	a.horizon = deadline{at: 50, key: "w"}
	a.push(deadline{at: 100, key: "late"})
	if x, ok, err := a.pop(200); err != nil || !ok || x.key != "late" {
		t.Errorf("popped %v, %v, %v; want the deadline that the scan has not seen", x, ok, err)
	}
}
