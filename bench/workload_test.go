package bench_test

import (
	"crypto/sha256"
	"testing"

	"github.com/freshet-io/freshet/bench"
	"github.com/freshet-io/freshet/event"
)

func small() *bench.Workload {
	return &bench.Workload{Workflows: 2000, Items: 100, Refs: 3, EventBytes: 350, UpdateShare: 0.05, Seed: 1}
}

// Every record of the workload is an event that the decoder takes, in the shares and sizes asked for, in the order of time, with the
// workflows interleaved.
func TestTheWorkloadIsWhatItSays(t *testing.T) {
	w := small()
	decoder, e := event.NewDecoder(event.Config{}), event.Event{}
	types := map[event.Type]int{}
	perWorkflow := map[string]int{}
	var bytes, n, switches int
	var last event.Time
	var before string
	err := w.Each(func(r *bench.Record) error {
		in := &event.Record{Key: []byte(r.Key), Value: r.Value, Time: r.Time, Category: r.Category}
		bytes += len(r.Key) + len(r.Value)
		for _, h := range r.Headers {
			in.Headers = append(in.Headers, event.Header{Key: []byte(h.Key), Value: []byte(h.Value)})
			bytes += len(h.Key) + len(h.Value)
		}
		if reason := decoder.Decode(in, &e); reason != event.OK || e.BadRefs > 0 {
			t.Fatalf("record %d: %v, %d bad refs: %s %s", n, reason, e.BadRefs, r.Key, r.Value)
		}
		if r.Time < last {
			t.Fatalf("record %d goes back in time", n)
		}
		last = r.Time
		types[e.Type]++
		n++
		if r.Category != event.Source {
			perWorkflow[e.Subject]++
			if e.Subject != before {
				switches++
			}
			before = e.Subject
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(perWorkflow) != w.Workflows {
		t.Errorf("%d workflows, want %d", len(perWorkflow), w.Workflows)
	}
	for id, events := range perWorkflow {
		if events != bench.EventsPerWorkflow {
			t.Fatalf("workflow %s has %d events, want %d", id, events, bench.EventsPerWorkflow)
		}
	}
	if got := int64(types[event.DecisionProposed] + types[event.ActionExecuted]); got != w.Uses() {
		t.Errorf("%d uses, want %d", got, w.Uses())
	}
	if share := float64(types[event.SourceUpdated]) / float64(n); share < 0.04 || share > 0.08 {
		t.Errorf("%.3f of the events are updates, want about 0.05", share)
	}
	if size := float64(bytes) / float64(n); size < 340 || size > 420 {
		t.Errorf("%.0f bytes a record, want about 350", size)
	}
	if workflowEvents := w.Workflows * bench.EventsPerWorkflow; switches < workflowEvents*9/10 {
		t.Errorf("%d of %d events follow one of another workflow: they are not interleaved", switches, workflowEvents)
	}
}

func TestTheSameSeedMakesTheSameRecords(t *testing.T) {
	sum := func(w *bench.Workload) [32]byte {
		h := sha256.New()
		if err := w.Each(func(r *bench.Record) error {
			h.Write([]byte(r.Key))
			h.Write(r.Value)
			for _, x := range r.Headers {
				h.Write([]byte(x.Key + x.Value))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return [32]byte(h.Sum(nil))
	}
	other := small()
	other.Seed = 2
	first, again := sum(small()), sum(small())
	if first != again {
		t.Error("the same seed made other records")
	}
	if first == sum(other) {
		t.Error("another seed made the same records")
	}
}

func TestSizesAreChecked(t *testing.T) {
	for _, w := range []bench.Workload{{}, {Workflows: 1, Items: 1, Refs: 2}, {Workflows: 1, Items: 1, Refs: 1, UpdateShare: 0.95}, {Workflows: 1, Items: 1, Refs: 1, EventBytes: -1}} {
		if err := w.Validate(); err == nil {
			t.Errorf("%+v was taken", w)
		}
	}
	if err := small().Validate(); err != nil {
		t.Error(err)
	}
}

// Workflows that stay open wait where the others end.
func TestSomeWorkflowsStayOpen(t *testing.T) {
	w := small()
	w.OpenShare = 0.25
	waiting := 0
	if err := w.Each(func(r *bench.Record) error {
		for _, h := range r.Headers {
			if h.Key == "ce_type" && h.Value == "io.freshet.task.waiting" {
				waiting++
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if waiting != w.Workflows/4 {
		t.Errorf("%d of %d workflows stay open", waiting, w.Workflows)
	}
}
