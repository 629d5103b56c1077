package freshness

import (
	"maps"
	"sort"

	"github.com/freshet-io/freshet/event"
)

// holdKinds are the kinds of hold interval, in the order in which they claim an instant; what none claims is hold_other.
const holdKinds = int(HoldOther - HoldApproval)

// holdShares are the lengths of time by kind of hold, hold_other last.
type holdShares [holdKinds + 1]Duration

// sweep goes through a workflow's steps in order and knows which interval covers the instant after each.
type sweep struct {
	approval, waiting bool
	tools, retries    int // how many calls are open, waiting to be tried again
	near              [6]call
	n                 int
	far               map[string]uint8 // calls beyond the near ones
}

const (
	callOpen  = 1
	callRetry = 2
)

type call struct {
	id    string
	state uint8
}

// take takes a step in. An opening while open and a closing while closed change nothing.
func (s *sweep) take(st *Step) {
	switch st.Type {
	case event.ApprovalRequested:
		s.approval = true
	case event.ApprovalGranted, event.ApprovalDenied:
		s.approval = false
	case event.TaskWaiting:
		s.waiting = true
	case event.TaskResumed:
		s.waiting = false
	case event.ToolCalled:
		s.set(st.CallID, callOpen)
	case event.ToolResult:
		s.set(st.CallID, s.get(st.CallID)&^callOpen)
	case event.ToolRetryScheduled:
		s.set(st.CallID, callRetry)
	case event.TaskCompleted, event.TaskFailed, event.TaskCancelled:
		*s = sweep{}
	}
}

func (s *sweep) get(id string) uint8 {
	for i := range s.near[:s.n] {
		if s.near[i].id == id {
			return s.near[i].state
		}
	}
	return s.far[id]
}

func (s *sweep) set(id string, state uint8) {
	was := s.put(id, state)
	s.tools += int(state&callOpen) - int(was&callOpen)
	s.retries += int(state&callRetry)/callRetry - int(was&callRetry)/callRetry
}

// put stores the state of a call and returns what it was.
func (s *sweep) put(id string, state uint8) uint8 {
	for i := range s.near[:s.n] {
		if s.near[i].id != id {
			continue
		}
		was := s.near[i].state
		if s.near[i].state = state; state == 0 {
			s.n--
			s.near[i] = s.near[s.n]
			s.near[s.n] = call{}
		}
		return was
	}
	if was, ok := s.far[id]; ok {
		if s.far[id] = state; state == 0 {
			delete(s.far, id)
		}
		return was
	}
	switch {
	case state == 0:
	case s.n < len(s.near):
		s.near[s.n] = call{id, state}
		s.n++
	default:
		if s.far == nil {
			s.far = make(map[string]uint8)
		}
		s.far[id] = state
	}
	return 0
}

// kind returns the kind of hold that covers the instant, as an index of holdShares.
func (s *sweep) kind() int {
	switch {
	case s.approval:
		return 0 // HoldApproval
	case s.tools > 0:
		return int(HoldTool - HoldApproval)
	case s.retries > 0:
		return int(HoldRetry - HoldApproval)
	case s.waiting:
		return int(HoldWaiting - HoldApproval)
	default:
		return int(HoldOther - HoldApproval)
	}
}

// holds is what a long workflow's steps amount to: for each of them the lengths up to it and what holds from it on. An interval that is
// not closed lasts on, so that which one covers an instant depends on the steps up to it alone, and one table serves every use.
type holds struct {
	points []holdPoint // one for each step that has been read
	sweep  sweep
	saved  []sweep // what sweep was after every holdSave steps, so that a step out of order undoes no more than it must
}

const holdSave = 64

type holdPoint struct {
	time event.Time
	sums holdShares
	kind int
}

// forget drops what step i, which is new, has made untrue.
func (h *holds) forget(i int) {
	if i >= len(h.points) {
		return
	}
	n := i / holdSave
	h.points, h.saved = h.points[:n*holdSave], h.saved[:n]
	if h.sweep = (sweep{}); n > 0 {
		h.sweep = h.saved[n-1].copied()
	}
}

// read takes a step in.
func (h *holds) read(st *Step) {
	sums := h.upTo(len(h.points), st.Time)
	h.sweep.take(st)
	h.points = append(h.points, holdPoint{time: st.Time, sums: sums, kind: h.sweep.kind()})
	if len(h.points)%holdSave == 0 {
		h.saved = append(h.saved, h.sweep.copied())
	}
}

// copied returns a sweep that shares nothing with this one.
func (s *sweep) copied() sweep {
	c := *s
	c.far = maps.Clone(s.far)
	return c
}

// held divides [from, to] among the kinds of hold.
func (w *Workflow) held(from, to event.Time) holdShares {
	if from >= to {
		return holdShares{}
	}
	if len(w.Steps) <= few {
		return w.heldFew(from, to)
	}
	if w.timeline == nil {
		w.timeline = new(holds)
	}
	h := w.timeline
	for n := len(h.points); n < len(w.Steps); n++ {
		h.read(&w.Steps[n])
	}
	a, b := h.at(from), h.at(to)
	for i := range b {
		b[i] -= a[i]
	}
	b[holdKinds] = Duration(to - from)
	for i := range b[:holdKinds] {
		b[holdKinds] -= b[i]
	}
	return b
}

// at returns the lengths up to an instant; that of hold_other counts from the first step.
func (h *holds) at(x event.Time) holdShares {
	return h.upTo(sort.Search(len(h.points), func(i int) bool { return h.points[i].time > x }), x)
}

// upTo returns the lengths up to an instant that comes after the first n points.
func (h *holds) upTo(n int, x event.Time) holdShares {
	if n == 0 {
		return holdShares{}
	}
	p := &h.points[n-1]
	sums := p.sums
	sums[p.kind] += Duration(x - p.time)
	return sums
}

// heldFew is held for a workflow of a few steps: it goes through them all.
func (w *Workflow) heldFew(from, to event.Time) holdShares {
	var s sweep
	var sums holdShares
	at := from
	for i := range w.Steps {
		st := &w.Steps[i]
		if st.Time >= to {
			break
		}
		if st.Time > at {
			sums[s.kind()] += Duration(st.Time - at)
			at = st.Time
		}
		s.take(st)
	}
	sums[s.kind()] += Duration(to - at)
	return sums
}
