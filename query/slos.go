package query

import (
	"net/http"

	"github.com/freshet-io/freshet/query/auth"
	"github.com/freshet-io/freshet/query/problem"
	"github.com/freshet-io/freshet/slo/budget"
)

// serveSLOs says how the objectives stand. Every instance reads the buckets of all, so that any can answer.
func (s *Server) serveSLOs(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	e := s.engineOr(w)
	if e == nil {
		return
	}
	if ReadParameters(r).Refused(w) {
		return
	}
	now := s.Now()
	states, ok := e.Objectives(now)
	if !ok {
		problem.NotHere.Write(w, "how the objectives stand is still being read", "")
		return
	}
	seen, lasting := make([]budget.State, 0, len(states)), make([]budget.State, 0, len(states))
	for _, st := range states {
		if c.Sees(st.SLO.Workflow) {
			seen = append(seen, st)
			st.At = 0
			lasting = append(lasting, st)
		}
	}
	s.List(w, r, map[string]any{"slos": seen, "at": now}, lasting)
}
