package honest

import (
	"encoding/json"
	"math/rand/v2"

	"github.com/freshet-io/freshet/event"
)

func (c *Check) body() []byte {
	b, _ := json.Marshal(c)
	return b
}

// draw draws a check.
func (s *stage) draw(r *rand.Rand) *Check {
	s.mu.Lock()
	c := &Check{Workflow: s.workflows[r.IntN(len(s.workflows))], Least: map[string]int{}}
	s.mu.Unlock()
	if c.Workflow == "" || r.IntN(60) == 0 {
		c.Workflow = "nobody"
	}
	if r.IntN(4) == 0 {
		c.Class = new("careful")
	}
	switch r.IntN(6) {
	case 0:
		c.MaxLag = new(0.2)
	case 1:
		c.MaxLag = new(1.0)
	case 2:
		c.MaxLag = new(30.0)
	}
	if r.IntN(8) == 0 {
		c.At = new((now() - event.Time(r.IntN(3000))).String())
	}
	if r.IntN(6) == 0 {
		c.Items = []Item{s.version(r, "policy", "k0"), s.item(r, r.IntN(s.Workflows))}
	}
	if r.IntN(10) == 0 {
		c.Bounds = map[string]TightBound{"policy": {float64(r.IntN(3))}}
	}
	if r.IntN(4) == 0 {
		s.upTo(r, c)
	}
	return c
}

// upTo asks for what has been acknowledged last of the workflow, and perhaps of an item.
func (s *stage) upTo(r *rand.Rand, c *Check) {
	subjects := []string{c.Workflow}
	if r.IntN(2) == 0 {
		it := s.item(r, r.IntN(s.Workflows))
		subjects = append(subjects, it.Kind+"/"+it.Key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range subjects {
		if t, ok := s.tokens[name]; ok {
			c.AtLeast = append(c.AtLeast, t.at)
			c.Least[name] = t.number
		}
	}
	c.Wait = new(float64(r.IntN(4)) * 0.1)
}
