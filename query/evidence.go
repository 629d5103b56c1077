package query

import (
	"context"
	"encoding/json"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/query/check"
)

// Rows is what lists and recalls go through.
type Rows interface {
	check.Workflows
	// Partitions returns how many partitions there are.
	Partitions() int32
	// Scan calls f for the workflows of a partition that is here, from an id on, in the order of ids, until it returns false.
	Scan(partition int32, from string, f func(w *freshness.Workflow) bool) error
	// Holders calls f for the workflows of a partition that is here which hold an item or used it, from behind a place on (nil: the
	// beginning), until it returns false. Some may have nothing of it.
	Holders(partition int32, kind, key string, after []byte, f func(workflow string, place []byte) bool) error
}

// Records reads back what lies in Kafka.
type Records interface {
	// Fetch returns the records at positions, in the order of these; nil where there is none any more.
	Fetch(ctx context.Context, at []freshness.Position) ([]*Record, error)
	// Verdicts calls f with the data of the verdict records of a workflow that were written between two instants, oldest first. Whole is
	// false if it gave up before the end.
	Verdicts(ctx context.Context, workflow string, from, to event.Time, f func(data []byte)) (whole bool, err error)
}

// Record is a record of an input topic.
type Record struct {
	Category event.Category
	Time     event.Time
	Key      []byte
	Value    []byte
	Headers  []event.Header
}

// place is a position as it stands in answers.
type place struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

func placeOf(p freshness.Position) place { return place(p) }

// fact is an event in an answer: what its row says of it, and what its record says if that is still there.
type fact struct {
	Time   event.Time      `json:"time"`
	Type   string          `json:"type"`
	At     place           `json:"at"`
	Gone   bool            `json:"gone,omitempty"` // the record is no longer in Kafka
	ID     string          `json:"id,omitempty"`
	Source string          `json:"source,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`

	event event.Event
}

// facts fetches what events were.
func (s *Server) facts(ctx context.Context, records Records, facts []fact) error {
	at := make([]freshness.Position, len(facts))
	for i := range facts {
		at[i] = freshness.Position(facts[i].At)
	}
	found, err := records.Fetch(ctx, at)
	if err != nil {
		return err
	}
	for i, r := range found {
		facts[i].read(r)
	}
	return nil
}

// read takes over what a record says.
func (f *fact) read(r *Record) {
	if r == nil {
		f.Gone = true
		return
	}
	d := event.NewDecoder(event.Config{MaxSkew: time.Duration(1 << 62)})
	in := event.Record{Key: r.Key, Value: r.Value, Headers: r.Headers, Time: r.Time, Category: r.Category}
	if d.Decode(&in, &f.event) != event.OK {
		f.Gone = true // another record lies there now
		return
	}
	f.ID, f.Source, f.Type = f.event.ID, f.event.Source, f.event.TypeName
	if json.Valid([]byte(f.event.Data)) {
		f.Data = json.RawMessage(f.event.Data)
	}
}
