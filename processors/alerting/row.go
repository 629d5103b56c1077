package alerting

import (
	"github.com/freshet-io/freshet/alerts"
	"github.com/freshet-io/freshet/state"
)

// row is an alert's row in the table. A nil one is given up.
type row struct {
	id string
	r  *alerts.Row
}

// Records hands out the row's record.
func (r *row) Records(put func(key string, appendTo func([]byte) []byte)) {
	if r.r == nil {
		put(r.id, nil)
		return
	}
	put(r.id, r.r.Encode)
}

// Index has nothing to derive.
func (r *row) Index(*state.IndexWriter) {}

// Pinned rows there are none.
func (r *row) Pinned() bool { return false }

// Done rows do not exist here.
func (r *row) Done() bool { return false }

type schema struct{}

// Schema returns how the table's rows are read.
func Schema() state.Schema { return schema{} }

// Load decodes a row.
func (schema) Load(p *state.Partition, key string) (state.Row, error) {
	b, err := p.Read(key)
	if err != nil || b == nil {
		return nil, err
	}
	r, err := alerts.Decode(b)
	if err != nil {
		return nil, err
	}
	return &row{key, r}, nil
}

// Recovered has nothing to derive.
func (schema) Recovered(*state.IndexWriter, string, []byte, []byte) error { return nil }
