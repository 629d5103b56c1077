package honest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
)

// never is when an event is acknowledged that is not.
const never = event.Time(1<<63 - 1)

// Log is what was told to the engines, and what they have answered.
type Log struct {
	contract *freshness.Contract

	mu       sync.Mutex
	subjects map[string]*subject
	answers  []*Answer
}

// subject is a workflow, or an item as kind/key: what was told of it, in order.
type subject struct {
	told []*Told

	folded []*freshness.Workflow // by length of the prefix; of Compare
	items  []*freshness.Item
}

// Told is an event that was told.
type Told struct {
	Subject string
	Number  int // among those of its subject, from 1

	event       event.Event
	sent, acked event.Time
}

// NewLog returns an empty log of engines that judge by a contract.
func NewLog(c *freshness.Contract) *Log { return &Log{contract: c, subjects: map[string]*subject{}} }

// Sending notes that a structured event is sent now, as a record with a time. The one before of its subject must have been acknowledged.
func (l *Log) Sending(line []byte, record, now event.Time) (*Told, error) {
	t := &Told{sent: now, acked: never}
	if reason := event.NewDecoder(event.Config{}).DecodeStructured(slices.Clone(line), record, &t.event); reason != event.OK {
		return nil, fmt.Errorf("%s: %s", reason, line)
	}
	if t.Subject = t.event.Subject; t.event.Kind != "" {
		t.Subject = t.event.Kind + "/" + t.event.Key
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.subject(t.Subject)
	if n := len(s.told); n > 0 && s.told[n-1].acked == never {
		return nil, fmt.Errorf("%s: event %d is sent before event %d is acknowledged", t.Subject, n+1, n)
	}
	s.told = append(s.told, t)
	t.Number = len(s.told)
	return t, nil
}

// Acked notes that an event has been acknowledged by now.
func (l *Log) Acked(t *Told, now event.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.acked = now
}

// Answered notes an answer.
func (l *Log) Answered(a *Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = append(l.answers, a)
}

// Has says whether so many answers were fresh, so many were stale, and so many unknown.
func (l *Log) Has(n int) bool {
	said := map[string]int{}
	l.Each(func(a *Answer) { said[a.Verdict]++ })
	return said["fresh"] >= n && said["stale"] >= n && said["unknown"] >= n
}

// Each calls f for every answer, in the order in which they came.
func (l *Log) Each(f func(*Answer)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.answers {
		f(a)
	}
}

// subject returns a subject. The log is locked.
func (l *Log) subject(name string) *subject {
	s := l.subjects[name]
	if s == nil {
		s = &subject{}
		l.subjects[name] = s
	}
	return s
}

// seen returns how many of a subject's events an answer must rest on, and on how many it can.
func (s *subject) seen(through, received event.Time, least int) (must, may int) {
	must = least
	for may < len(s.told) && s.told[may].sent <= received {
		may++
	}
	for must < may && s.told[must].acked < through {
		must++
	}
	return must, may
}

// workflow returns the subject as a workflow of which so many events are known, nil if none is.
func (s *subject) workflow(id string, n int) *freshness.Workflow {
	if n == 0 {
		return nil
	}
	if s.folded == nil {
		s.folded = make([]*freshness.Workflow, len(s.told)+1)
	}
	if s.folded[n] == nil {
		w, limits := freshness.NewWorkflow(id), freshness.DefaultLimits()
		for i, t := range s.told[:n] {
			w.Fold(&t.event, freshness.Position{Topic: "told", Offset: int64(i)}, &limits)
		}
		w.Prepare()
		s.folded[n] = w
	}
	return s.folded[n]
}

// item returns the subject as an item of which so many events are known, nil if none is.
func (s *subject) item(n int) *freshness.Item {
	for i := len(s.items); i <= n; i++ {
		if i == 0 {
			s.items = append(s.items, nil)
			continue
		}
		e, was := &s.told[i-1].event, s.items[i-1]
		if was == nil {
			was = freshness.NewItem(e.Kind, e.Key)
		}
		next, _ := was.Apply(e, freshness.Position{Topic: "told", Offset: int64(i)}, 0)
		s.items = append(s.items, next)
	}
	return s.items[n]
}
