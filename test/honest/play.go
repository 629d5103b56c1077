package honest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/event"
)

// Contract is what the actors' events are judged by: policies by versions, prices by when they were published and by silence, notes by age.
const Contract = `version: 1
owners: {payments: {}, risk: {}}
contexts:
  policy: {owner: risk}
  price: {owner: risk, basis: published, max_silence: 3s}
  note: {owner: risk}
workflows:
  refund:
    owner: payments
    require: [policy]
    bounds:
      policy: {max_staleness: 10m, max_versions_behind: 0}
      price: {max_staleness: 1s}
      note: {max_age: 20s}
    classes:
      careful: {bounds: {price: {max_versions_behind: 0}}}
retention: {decisions: 24h}
lateness: {default: 3s}
`

// Play is who does what.
type Play struct {
	Seed      uint64
	Items     int           // of each kind
	Workflows int           // that live at a time
	Askers    int           // who ask one check after the other
	Rate      int           // checks a second of all of them, however long answers take; 0: each asks with the gap
	Gap       time.Duration // between two events of a subject, and two checks of an asker, on average
	Aborts    bool          // events are also written that are never committed
	Enough    func() bool   // a machine that is slow goes on until then, for some minutes at most; nil: there is no need

	// Teller returns what writes events, and waits until they are acknowledged.
	Teller func() Teller
	// Ask asks one of the engines. An error is no answer.
	Ask func(ctx context.Context, r *rand.Rand, body []byte) (by string, answer []byte, err error)
}

// Teller writes events for one actor.
type Teller interface {
	// Tell writes an event until it is acknowledged, and returns where that was.
	Tell(ctx context.Context, line []byte, at time.Time) (Position, error)
	// Abort writes an event in a transaction that is aborted.
	Abort(ctx context.Context, line []byte, at time.Time) error
	Close()
}

// stage is a play that runs.
type stage struct {
	*Play
	log   *Log
	ended context.Context // no new event or check after it

	mu        sync.Mutex
	seqs      map[string]int64 // item → greatest seq that has been sent
	workflows []string         // that live
	tokens    map[string]token // subject → its last acknowledgement

	due        chan time.Time // of checks
	unanswered atomic.Int64
	failed     atomic.Pointer[error]
}

type token struct {
	at     Position
	number int
}

// kinds of the contract.
func kinds() []string { return []string{"policy", "price", "note"} }

// Run plays for so long, and returns how many checks got no answer. What has been sent is acknowledged when it returns: ctx says how long
// that may take.
func (p *Play) Run(ctx context.Context, log *Log, d time.Duration) (unanswered int64, err error) {
	ended, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(d, func() { p.awaitEnough(ended); cancel() }).Stop()
	s := &stage{Play: p, log: log, ended: ended, seqs: map[string]int64{}, tokens: map[string]token{}, workflows: make([]string, p.Workflows)}
	var actors sync.WaitGroup
	n := uint64(0)
	act := func(f func(r *rand.Rand) error) {
		n++
		r := rand.New(rand.NewPCG(p.Seed, n))
		actors.Go(func() {
			if err := f(r); err != nil && ended.Err() == nil {
				s.failed.CompareAndSwap(nil, &err)
				cancel()
			}
		})
	}
	for _, kind := range kinds() {
		for i := range p.Items {
			act(func(r *rand.Rand) error { return s.source(ctx, r, kind, fmt.Sprint("k", i)) })
		}
	}
	for i := range p.Workflows {
		act(func(r *rand.Rand) error { return s.workflow(ctx, r, i) })
	}
	s.due = make(chan time.Time, 1<<16)
	if p.Rate > 0 {
		act(func(*rand.Rand) error { s.pace(); return nil })
	}
	for range p.Askers {
		act(func(r *rand.Rand) error { return s.ask(ctx, r) })
	}
	if p.Aborts {
		act(func(r *rand.Rand) error { return s.abort(ctx, r) })
	}
	actors.Wait()
	if e := s.failed.Load(); e != nil {
		err = *e
	}
	return s.unanswered.Load(), err
}

// mostMore is how much longer a play may become.
const mostMore = 2 * time.Minute

func (p *Play) awaitEnough(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, mostMore)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for p.Enough != nil && !p.Enough() && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// pause waits about as long as the gap; false once the play has ended.
func (s *stage) pause(r *rand.Rand) bool {
	select {
	case <-s.ended.Done():
		return false
	case <-time.After(time.Duration(r.ExpFloat64() * float64(s.Gap))):
		return s.ended.Err() == nil
	}
}

func now() event.Time { return event.Of(time.Now()) }

// line is a structured event.
func line(kind, subject string, n int, at event.Time, data string) []byte {
	return fmt.Appendf(nil, `{"specversion":"1.0","id":"%s-%s-%06d","source":"/honest","type":%q,"subject":%q,"time":%q,"workflowtype":"refund","datacontenttype":"application/json","data":%s}`,
		subject, kind, n, kind, subject, at, data)
}

// tell logs and writes an event.
func (s *stage) tell(ctx context.Context, to Teller, line []byte, at event.Time) error {
	told, err := s.log.Sending(line, at, now())
	if err != nil {
		return err
	}
	where, err := to.Tell(ctx, line, at.Go())
	if err != nil {
		return err
	}
	s.log.Acked(told, now())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[told.Subject] = token{where, told.Number}
	return nil
}

// source publishes versions of an item, and that it is alive.
func (s *stage) source(ctx context.Context, r *rand.Rand, kind, key string) error {
	to := s.Teller()
	defer to.Close()
	seq := int64(0)
	for n := 1; ; n++ {
		at, name := now(), kind+"/"+key
		switch {
		case kind != "price" || n == 1 || r.IntN(3) == 0:
			seq++
			s.mu.Lock()
			s.seqs[name] = seq
			s.mu.Unlock()
			in := at
			switch r.IntN(6) {
			case 0:
				in -= event.Time(r.IntN(2000)) // it was in force before it was published
			case 1:
				in += event.Time(r.IntN(2000)) // it will be
			}
			change := "updated"
			if r.IntN(12) == 0 {
				change = "retracted"
			}
			data := fmt.Sprintf(`{"kind":%q,"key":%q,"seq":%d,"version":"v%d","effective_at":%q,"change":%q}`, kind, key, seq, seq, in, change)
			if err := s.tell(ctx, to, line("source.updated", name, n, at, data), at); err != nil {
				return err
			}
		default:
			if err := s.tell(ctx, to, line("source.heartbeat", name, n, at, fmt.Sprintf(`{"kind":%q,"key":%q,"through":%q}`, kind, key, at)), at); err != nil {
				return err
			}
		}
		for range 6 { // sources change less often than workflows load
			if !s.pause(r) {
				return nil
			}
		}
	}
}

// eventsOfALife is how many events a workflow has before another takes its place.
const eventsOfALife = 60

// workflow is one workflow after the other in a place.
func (s *stage) workflow(ctx context.Context, r *rand.Rand, place int) error {
	to := s.Teller()
	defer to.Close()
	for life := 0; ; life++ {
		id := fmt.Sprintf("w%d-%d", place, life)
		for n := range eventsOfALife {
			at := now()
			if r.IntN(8) == 0 {
				at -= event.Time(r.IntN(1500)) // it comes late
			}
			var text []byte
			switch {
			case n == 0:
				text = line("task.started", id, n, at, `{}`)
			case n > 1 && r.IntN(10) == 0:
				it := s.item(r, place)
				text = line("context.dropped", id, n, at, fmt.Sprintf(`{"refs":[{"kind":%q,"key":%q}]}`, it.Kind, it.Key))
			default:
				text = line("context.loaded", id, n, at, `{"refs":[`+s.refs(r, place, n == 1)+`]}`)
			}
			if err := s.tell(ctx, to, text, at); err != nil {
				return err
			}
			if n == 0 {
				s.mu.Lock()
				s.workflows[place] = id
				s.mu.Unlock()
			}
			if r.IntN(3) == 0 {
				if err := s.own(ctx, r, id); err != nil {
					return err
				}
			}
			if !s.pause(r) {
				return nil
			}
		}
	}
}

// own asks at once about a workflow that has just been told something.
func (s *stage) own(ctx context.Context, r *rand.Rand, id string) error {
	s.mu.Lock()
	t := s.tokens[id]
	s.mu.Unlock()
	c := &Check{Workflow: id, AtLeast: []Position{t.at}, Wait: new(float64(r.IntN(3)) * 0.1), Least: map[string]int{id: t.number}}
	return s.check(ctx, r, c, time.Now())
}

// item draws an item, mostly one of those that are of a place: in its newest version, or sometimes in another one.
func (s *stage) item(r *rand.Rand, place int) Item {
	return s.version(r, kinds()[r.IntN(len(kinds()))], s.key(r, place))
}

func (s *stage) key(r *rand.Rand, place int) string {
	if r.IntN(20) == 0 {
		place = r.IntN(s.Items)
	}
	return fmt.Sprint("k", place%s.Items)
}

func (s *stage) version(r *rand.Rand, kind, key string) Item {
	s.mu.Lock()
	seq := s.seqs[kind+"/"+key]
	s.mu.Unlock()
	switch r.IntN(12) {
	case 0:
		seq = max(1, seq-int64(1+r.IntN(2)))
	case 1:
		seq += int64(r.IntN(2))
	}
	return Item{Kind: kind, Key: key, Seq: max(1, seq)}
}

// refs draws what is loaded at once.
func (s *stage) refs(r *rand.Rand, place int, first bool) string {
	it := s.item(r, place)
	if first || r.IntN(2) == 0 {
		it = s.version(r, "policy", s.key(r, place))
	}
	if r.IntN(6) == 0 {
		return fmt.Sprintf(`{"kind":%q,"key":%q,"version":"v%d"}`, it.Kind, it.Key, it.Seq)
	}
	return fmt.Sprintf(`{"kind":%q,"key":%q,"seq":%d}`, it.Kind, it.Key, it.Seq)
}

// abort writes what is never committed: loads of newest versions, which would make a workflow fresh, and signs of life of silent items.
func (s *stage) abort(ctx context.Context, r *rand.Rand) error {
	to := s.Teller()
	defer to.Close()
	for n := 1_000_000; s.pause(r); n++ {
		s.mu.Lock()
		id, kind, key := s.workflows[r.IntN(len(s.workflows))], "policy", fmt.Sprint("k", r.IntN(s.Items))
		seq := s.seqs[kind+"/"+key]
		s.mu.Unlock()
		if id == "" || seq == 0 {
			continue
		}
		at := now()
		text := line("context.loaded", id, n, at, fmt.Sprintf(`{"refs":[{"kind":%q,"key":%q,"seq":%d}]}`, kind, key, seq))
		if r.IntN(4) == 0 {
			text = line("source.heartbeat", "price/"+key, n, at, fmt.Sprintf(`{"kind":"price","key":%q,"through":%q}`, key, at))
		}
		if err := to.Abort(ctx, text, at.Go()); err != nil {
			return err
		}
	}
	return nil
}

// pace says when checks are due, at the rate.
func (s *stage) pace() {
	begun, n := time.Now(), 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.ended.Err() == nil {
		at := <-tick.C
		for ; n < int(at.Sub(begun).Seconds()*float64(s.Rate)); n++ {
			select {
			case s.due <- begun.Add(time.Duration(n) * time.Second / time.Duration(s.Rate)):
			case <-s.ended.Done():
				return
			}
		}
	}
}

// next waits until a check is due; false once the play has ended.
func (s *stage) next(r *rand.Rand) (due time.Time, ok bool) {
	if s.Rate == 0 {
		ok = s.pause(r)
		return time.Now(), ok
	}
	select {
	case due = <-s.due:
		return due, true
	case <-s.ended.Done():
		return due, false
	}
}

// ask asks checks.
func (s *stage) ask(ctx context.Context, r *rand.Rand) error {
	for {
		due, ok := s.next(r)
		if !ok {
			return nil
		}
		if err := s.check(ctx, r, s.draw(r), due); err != nil {
			return err
		}
	}
}

// check asks a check, and logs the answer.
func (s *stage) check(ctx context.Context, r *rand.Rand, c *Check, due time.Time) error {
	body, began := c.body(), time.Now()
	by, text, err := s.Ask(ctx, r, body)
	if err != nil {
		s.unanswered.Add(1)
		return nil
	}
	a, err := Read(c, by, text, now())
	if err != nil {
		return fmt.Errorf("%s to %s: %w", by, body, err)
	}
	a.Due, a.Asked = due, began
	s.log.Answered(a)
	return nil
}
