package query

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/query/auth"
)

// Status is how the engine stands.
type Status struct {
	Instance   string            `json:"instance"`
	Version    string            `json:"version"`
	Contract   string            `json:"contract"` // hash of the one in force
	Ready      bool              `json:"ready"`
	Why        string            `json:"why"` // it is not ready
	Now        event.Time        `json:"now"`
	Partitions []PartitionStatus `json:"partitions"`
	Sources    []SourceStatus    `json:"sources"` // what this instance has read of the sources
}

// PartitionStatus is how a partition of a group stands.
type PartitionStatus struct {
	Group           string           `json:"group"`
	Partition       int32            `json:"partition"`
	Owner           string           `json:"owner"` // instance
	Live            bool             `json:"live"`
	AppliedThrough  *event.Time      `json:"applied_through"`
	CompleteThrough *event.Time      `json:"complete_through"`
	LagS            *float64         `json:"lag_s"`
	RecordsBehind   int64            `json:"records_behind"`
	HeldBy          string           `json:"held_by"` // the input that holds the clock, and why
	HeldWhy         string           `json:"held_why"`
	Positions       map[string]int64 `json:"positions"` // committed, by input topic
}

// SourceStatus is how far a partition of the sources has been read.
type SourceStatus struct {
	Partition       int32       `json:"partition"`
	AppliedThrough  *event.Time `json:"applied_through"`
	CompleteThrough *event.Time `json:"complete_through"`
	LagS            *float64    `json:"lag_s"`
}

// serveStatus says how the engine stands.
func (s *Server) serveStatus(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	e := s.engineOr(w)
	if e == nil {
		return
	}
	if ReadParameters(r).Refused(w) {
		return
	}
	st := e.Status()
	st.Now = s.Now()
	for i, c := range e.Sources.Clocks(nil) {
		one := SourceStatus{Partition: int32(i)}
		if c.Live {
			lag := max(0, float64(st.Now-c.Applied)/1000)
			one.AppliedThrough, one.CompleteThrough, one.LagS = &c.Applied, &c.Complete, &lag
		}
		st.Sources = append(st.Sources, one)
	}
	s.others(r, c, func(body []byte) error {
		var other Status
		if err := json.Unmarshal(body, &other); err != nil {
			return fmt.Errorf("read the status of another instance: %w", err)
		}
		st.Partitions = append(st.Partitions, other.Partitions...)
		return nil
	})
	slices.SortFunc(st.Partitions, func(a, b PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Owner, b.Owner))
	})
	s.Answer(w, r, st)
}
