package read

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/state"
	"github.com/go-kit/log"
)

// table is a partition of the workflows table whose rows a test commits.
type table struct {
	t    testing.TB
	db   *state.DB
	p    *state.Partition
	r    *Reader
	read atomic.Int64 // what the clock says has been applied
}

type row struct{ w *freshness.Workflow }

func (r row) Records(put func(string, func([]byte) []byte)) {
	put(r.w.ID, func(b []byte) []byte { return state.AppendWorkflow(b, r.w) })
}
func (row) Index(*state.IndexWriter) {}
func (row) Pinned() bool             { return false }
func (row) Done() bool               { return false }

type schema struct{}

func (schema) Load(*state.Partition, string) (state.Row, error)           { return nil, nil }
func (schema) Recovered(*state.IndexWriter, string, []byte, []byte) error { return nil }

func newTable(t testing.TB, budget int) *table {
	db, err := state.Open(state.Config{}, "test", log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	x := &table{t: t, db: db, p: db.NewPartition(state.Workflows, 0, schema{}, 10), r: New(db, 1, budget)}
	t.Cleanup(func() {
		x.r.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	x.p.OnCommitted(func(w []state.Write, done bool) { x.r.Committed(0, w, done) })
	x.r.Assigned(0)
	return x
}

// commit commits a row that says n, and then moves the clock, if it is w's.
func (x *table) commit(id string, n int64) {
	w := freshness.NewWorkflow(id)
	w.First, w.Type.Name = event.Time(n), "t"
	x.put(w)
	if id == "w" {
		x.read.Store(n)
	}
	x.r.Moved(0)
}

// put commits a row.
func (x *table) put(w *freshness.Workflow) {
	x.p.Put(w.ID, row{w})
	if _, err := x.p.Seal(); err != nil {
		x.t.Fatal(err)
	}
	if err := x.p.Commit(-1); err != nil {
		x.t.Fatal(err)
	}
}

// Who reads the clock first and a row then sees everything that the clock speaks of, while rows are committed and pushed out.
func TestARowIsNeverBehindTheClock(t *testing.T) {
	const last = 3000
	x := newTable(t, 600)
	x.commit("w", 1)
	var wg sync.WaitGroup
	var hits atomic.Int64
	for range 4 {
		wg.Go(func() {
			for seen := int64(0); seen < last; {
				clock := x.read.Load()
				w, err := x.r.Workflow(0, "w")
				if err != nil || int64(w.First) < clock || int64(w.First) < seen {
					t.Errorf("the clock says %d, the row %d after %d, %v", clock, w.First, seen, err)
					return
				}
				if int64(w.First) == seen {
					hits.Add(1)
				}
				seen = int64(w.First)
			}
		})
	}
	for n := int64(2); n <= last; n++ {
		x.commit(fmt.Sprint("other", n%20), n)
		x.commit("w", n)
	}
	wg.Wait()
	t.Logf("%d rows were read again unchanged", hits.Load())
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	x := newTable(t, 500)
	for i := range 200 {
		id := fmt.Sprint("w", i)
		x.commit(id, int64(i))
		if w, err := x.r.Workflow(0, id); err != nil || w == nil {
			t.Fatal(id, err)
		}
	}
	p := &x.r.parts[0]
	size := 0
	for _, k := range p.rows {
		size += k.size
	}
	if size != p.size || size > 500 || len(p.rows) == 0 {
		t.Errorf("%d rows of %d bytes are kept, %d are counted", len(p.rows), size, p.size)
	}
	again, err := x.r.Workflow(0, "w199")
	if other, _ := x.r.Workflow(0, "w199"); err != nil || again != other {
		t.Error("a row that has not changed is decoded again")
	}
}

func TestWhatIsNotHere(t *testing.T) {
	x := newTable(t, 1000)
	x.commit("w", 1)
	if w, err := x.r.Workflow(0, "nobody"); w != nil || err != nil {
		t.Errorf("%v, %v", w, err)
	}
	next := x.r.Next(0)
	x.r.Revoked(0)
	select {
	case <-next:
	default:
		t.Error("who waits does not hear that the partition is gone")
	}
	for name, f := range map[string]func() error{
		"workflow": func() error { _, err := x.r.Workflow(0, "w"); return err },
		"another":  func() error { _, err := x.r.Workflow(7, "w"); return err },
		"scan":     func() error { return x.r.Scan(0, "", func(*freshness.Workflow) bool { return true }) },
		"store":    func() error { return x.r.Store(0, func(*state.DB) error { return nil }) },
	} {
		if err := f(); !errors.Is(err, ErrNotHere) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if x.r.Here(0) || x.r.Here(-1) {
		t.Error("it is here")
	}
	x.r.Assigned(0)
	n := 0
	if err := x.r.Scan(0, "", func(w *freshness.Workflow) bool { n++; return w.ID == "w" }); err != nil || n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
	x.r.Close()
	if _, err := x.r.Workflow(0, "w"); !errors.Is(err, ErrNotHere) {
		t.Errorf("closed: %v", err)
	}
}

// BenchmarkWorkflow is a row that is kept, and one that is read from Pebble each time.
func BenchmarkWorkflow(b *testing.B) {
	for name, budget := range map[string]int{"kept": 1 << 20, "pebble": 1} {
		b.Run(name, func(b *testing.B) {
			x := newTable(b, budget)
			lim := freshness.DefaultLimits()
			w := freshness.NewWorkflow("w")
			for i := range 40 {
				e := event.Event{Type: event.ContextLoaded, Time: event.Time(i), ID: fmt.Sprint(i), Subject: "w",
					Refs: []event.Ref{{Kind: "policy", Key: fmt.Sprint("p", i%10), Seq: int64(i), HasSeq: true}}}
				w.Fold(&e, freshness.Position{Topic: "workflow.context", Offset: int64(i)}, &lim)
			}
			x.p.Put("w", row{w})
			if _, err := x.p.Seal(); err != nil {
				b.Fatal(err)
			}
			if err := x.p.Commit(-1); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if got, err := x.r.Workflow(0, "w"); err != nil || len(got.Items) != 10 {
					b.Fatal(err)
				}
			}
		})
	}
}
