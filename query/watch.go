package query

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/query/auth"
	"github.com/freshet-io/freshet/query/check"
	"github.com/freshet-io/freshet/query/problem"
)

const (
	lookPace     = 20 * time.Millisecond // between two looks, however often the sources change
	bookmarkPace = time.Second           // also between two looks, if nothing happens
	writeTime    = 10 * time.Second      // for one event to go out
)

// serveWatch sends what is said as server-sent events: of one workflow, or of all.
func (s *Server) serveWatch(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	e := s.engineOr(w)
	if e == nil {
		return
	}
	p := ReadParameters(r, "workflow")
	if p.Refused(w) {
		return
	}
	if until, ends := c.Until(); ends {
		ctx, cancel := context.WithTimeout(r.Context(), until.Sub(s.Now().Go()))
		defer cancel()
		r = r.WithContext(ctx)
	}
	if addr := s.elsewhere(r, p.Get("workflow")); p.Get("workflow") != "" && addr != "" && s.streamOn(w, r, c, addr) {
		return
	}
	x := &watching{Server: s, e: e, client: c, workflow: p.Get("workflow"), out: w, ctl: http.NewResponseController(w), told: map[string]uint64{}}
	if x.workflow != "" {
		if _, ok := e.here(w, x.workflow); !ok {
			return
		}
		if row := x.row(); row != nil && !c.Sees(row.Type.Name) {
			s.Foreign(w, r, c)
			return
		}
	}
	me := &watcher{said: make(chan Said, watcherBuffer)}
	from, full := s.hub.join(r.Context(), me, s.cfg.MaxWatchers)
	switch {
	case full:
		s.deny(r, c.Name, problem.TooManyWatch.Name)
		problem.TooManyWatch.Write(w, "", "")
		return
	case from == nil:
		problem.NotHere.Write(w, "what is said cannot be read now", "")
		return
	}
	defer s.hub.leave(me)
	resume := from
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		var ok bool
		if resume, ok = parsePositions(id, len(from)); !ok {
			problem.BadParameter.Write(w, "Last-Event-ID: must be the id of an event that was sent", "")
			return
		}
		starts, ends, err := e.Feed.Range(r.Context())
		if err != nil {
			problem.NotHere.Write(w, "what was said cannot be read now", "")
			return
		}
		for i := range resume {
			// What is deleted does not come again. An id ahead of the topics, from before they were made anew, is taken for their end: nothing
			// that comes from now on is left out.
			resume[i] = min(max(resume[i], starts[i]), ends[i])
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	x.at = resume
	_ = x.run(r.Context(), me, from)
}

// watching is one who watches, while it does.
type watching struct {
	*Server
	e        *Engine
	client   *auth.Client
	workflow string
	out      http.ResponseWriter
	ctl      *http.ResponseController
	buf      []byte

	at      Positions // what has been sent of the feed
	told    map[string]uint64
	until   event.Time // when the live verdict may change by itself, valid if has
	has     bool
	next    *time.Timer     // of the next look, whatever happens
	changed <-chan struct{} // closed when the sources have changed since the last look; nil while a look is due
	looked  time.Time
	answer  check.Answer
	verdict freshness.Verdict
}

var errDropped = errors.New("the watcher was too slow, or the server ends")

// run sends events until the caller has gone, or cannot keep up.
func (x *watching) run(ctx context.Context, me *watcher, from Positions) error {
	if err := x.bookmark(); err != nil {
		return err
	}
	if x.at.behind(from) {
		if err := x.catchUp(ctx, from); err != nil {
			return err
		}
	}
	x.next = time.NewTimer(bookmarkPace)
	defer x.next.Stop()
	if err := x.look(ctx); err != nil {
		return err
	}
	mark := time.NewTicker(bookmarkPace)
	defer mark.Stop()
	moved := x.moved()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case said, ok := <-me.said:
			if !ok {
				return errDropped
			}
			err = x.pass(said)
		case <-moved:
			moved = x.moved()
			err = x.look(ctx)
		case <-x.changed:
			x.changed = nil
			if wait := lookPace - time.Since(x.looked); wait > 0 {
				x.next.Reset(wait)
			} else {
				err = x.look(ctx)
			}
		case <-x.next.C:
			err = x.look(ctx)
		case <-mark.C:
			err = x.bookmark()
		}
		if err != nil {
			return err
		}
	}
}

// moved returns what is closed when the workflow's partition moves; without a workflow, nil.
func (x *watching) moved() <-chan struct{} {
	if x.workflow == "" {
		return nil
	}
	return x.e.Rows.Next(x.e.Rows.Partition(x.workflow))
}

// catchUp sends what was said between the last event that the caller had and now.
func (x *watching) catchUp(ctx context.Context, to Positions) error {
	ctx, stop := context.WithTimeout(ctx, explainTime)
	defer stop()
	var failed error
	err := x.e.Feed.Follow(ctx, append(Positions(nil), x.at...), func(s Said) {
		if failed == nil {
			failed = x.pass(s)
		}
		if failed != nil || !x.at.behind(to) {
			stop()
		}
	})
	if failed == nil && x.at.behind(to) {
		// The rest is markers of transactions, or could not be read in time: the caller comes again with what it has.
		if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return errDropped
		}
		return err
	}
	return failed
}

// pass sends a record that the caller may see and has not had.
func (x *watching) pass(s Said) error {
	if s.Offset < x.at[s.Slot] {
		return nil
	}
	x.at[s.Slot] = s.Offset + 1
	if s.Data == nil {
		return nil
	}
	var of struct {
		Workflow *string `json:"workflow"`
		Type     string  `json:"workflow_type"`
		Labels   struct {
			Type string `json:"workflow_type"`
		} `json:"labels"` // of an alert
	}
	if x.workflow != "" && s.Event == "verdict" && s.Workflow != x.workflow {
		return nil
	}
	if x.client.Limited() || x.workflow != "" && s.Event != "verdict" {
		_ = json.Unmarshal(s.Data, &of)
		if s.Event == "alert" {
			of.Type = of.Labels.Type
		}
		if !x.client.Sees(of.Type) && (s.Event != "alert" || of.Type != "") || x.workflow != "" && (of.Workflow == nil || *of.Workflow != x.workflow) {
			return nil
		}
	}
	return x.send(s.Event, s.Data, true)
}

// send sends one event. Data is JSON, without line breaks.
func (x *watching) send(kind string, data []byte, id bool) error {
	b := append(append(append(x.buf[:0], "event: "...), kind...), '\n')
	if id {
		b = append(append(append(b, "id: "...), x.at.String()...), '\n')
	}
	b = append(append(append(b, "data: "...), data...), '\n', '\n')
	x.buf = b
	_ = x.ctl.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := x.out.Write(b); err != nil {
		return err
	}
	return x.ctl.Flush()
}

// bookmark says that the caller has everything up to here, and what the clocks show.
func (x *watching) bookmark() error {
	clock := check.Clock{}
	if x.workflow != "" {
		if p := x.e.Rows.Partition(x.workflow); x.e.Rows.Owner(p).Here {
			clock = x.e.Rows.Clock(p)
		}
	} else {
		clock = x.e.clock()
	}
	now := x.Now()
	b := freshness.AppendInstant([]byte(`{"at":`), now, true)
	b = freshness.AppendInstant(append(b, `,"applied_through":`...), clock.Applied, clock.Live)
	b = freshness.AppendInstant(append(b, `,"complete_through":`...), clock.Complete, clock.Live)
	b = freshness.AppendSeconds(append(b, `,"engine_lag_s":`...), max(0, freshness.Duration(now-clock.Applied)), clock.Live)
	return x.send("bookmark", append(b, '}'), true)
}

// clock is the earliest of all partitions that are here.
func (e *Engine) clock() check.Clock {
	least := check.Clock{Applied: 1 << 62, Complete: 1 << 62}
	for p := range e.Rows.Partitions() {
		if !e.Rows.Owner(p).Here {
			continue
		}
		c := e.Rows.Clock(p)
		if !c.Live {
			return check.Clock{}
		}
		least = check.Clock{Applied: min(least.Applied, c.Applied), Complete: min(least.Complete, c.Complete), Live: true}
	}
	return least
}

// row returns the committed row, nil if there is none here.
func (x *watching) row() *freshness.Workflow {
	row, err := x.e.Rows.Workflow(x.e.Rows.Partition(x.workflow), x.workflow)
	if err != nil {
		return nil
	}
	return row
}

// pause is how long nothing but what happens can change the live verdict, and no longer than a second.
func (x *watching) pause() time.Duration {
	if !x.has {
		return bookmarkPace
	}
	left := time.Duration(x.until-x.Now()) * time.Millisecond
	if left <= 0 {
		left = lookPace
	}
	return min(left, bookmarkPace)
}

// look sends the live verdict, and those of uses that are not final, where they are others than before.
func (x *watching) look(ctx context.Context) error {
	if x.workflow == "" {
		return nil
	}
	x.changed, x.looked = x.e.Changes.Next(), time.Now() // before what is known is read: a change from now on means another look
	defer func() { x.next.Reset(x.pause()) }()
	j := x.judge.Load()
	if j == nil {
		return errDropped
	}
	if err := j.Check(ctx, &check.Request{Workflow: x.workflow, MaxLag: check.DefaultLag}, &x.answer); err != nil {
		return err
	}
	if !x.client.Sees(x.answer.Type()) && x.answer.Known() {
		return errDropped
	}
	x.until, x.has = x.answer.ValidUntil, x.answer.HasUntil
	if d := x.answer.Digest(); x.told[""] != d {
		x.told[""] = d
		b := append(x.answer.Append([]byte{'{'}, x.key), `,"provisional":true}`...)
		if err := x.send("verdict", b, false); err != nil {
			return err
		}
	}
	return x.pending()
}

// pending sends the verdicts of uses that are not final.
func (x *watching) pending() error {
	row := x.row()
	if row == nil {
		return nil
	}
	for i := range row.Uses {
		u := &row.Uses[i]
		name := u.DecisionID + "\x00" + u.Kind.String()
		if u.Said.Revision > 0 {
			delete(x.told, name)
			continue
		}
		v := &x.verdict
		row.Judge(u, x.e.Sources, x.e.Contracts.At(u.Time), v)
		if d := v.Digest(u, u.CheckID); x.told[name] != d {
			x.told[name] = d
			b := freshness.AppendVerdict(nil, row, u, v, "")
			if err := x.send("verdict", append(b[:len(b)-1], `,"provisional":true}`...), false); err != nil {
				return err
			}
		}
	}
	return nil
}
