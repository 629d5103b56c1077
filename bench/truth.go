package bench

import (
	"fmt"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// Truth returns the golden lines of all verdicts that a workload leads to, judged by one contract without a broker.
func Truth(w *Workload, c *freshness.Contract) (map[string]bool, error) {
	batch := freshness.NewBatch(c, freshness.DefaultLimits())
	decoder, e, in, n := event.NewDecoder(event.Config{}), event.Event{}, event.Record{}, int64(0)
	if err := w.Each(func(r *Record) error {
		in = event.Record{Key: []byte(r.Key), Value: r.Value, Time: r.Time, Category: r.Category, Headers: in.Headers[:0]}
		for _, h := range r.Headers {
			in.Headers = append(in.Headers, event.Header{Key: []byte(h.Key), Value: []byte(h.Value)})
		}
		if reason := decoder.Decode(&in, &e); reason != event.OK {
			return fmt.Errorf("record %d of the workload: %s", n, reason)
		}
		batch.Add(&e, freshness.Position{Offset: n})
		n++
		return nil
	}); err != nil {
		return nil, err
	}
	lines := map[string]bool{}
	return lines, batch.Golden(func(line []byte) error {
		lines[string(line)] = true
		return nil
	})
}
