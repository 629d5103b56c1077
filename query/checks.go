package query

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/query/auth"
	"github.com/freshet-io/freshet/query/body"
	"github.com/freshet-io/freshet/query/check"
	"github.com/freshet-io/freshet/query/problem"
	"github.com/go-kit/log/level"
)

// batchLimit is how many checks a batch may have.
const batchLimit = 100

// exchange is the memory of a request and its answer. It is used again.
type exchange struct {
	in, out []byte
	text    body.Text
	answer  check.Answer
}

// keepLimit bounds the memory that is used again: what is larger is left to the collector.
const keepLimit = 64 << 10

func (s *Server) borrow() *exchange { return s.pool.Get().(*exchange) }

func (s *Server) giveBack(x *exchange) {
	if cap(x.in)+cap(x.out) <= keepLimit {
		s.pool.Put(x)
	}
}

// read reads a request's body; it has answered if it returns false.
func (s *Server) read(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	limit := s.cfg.MaxBodyBytes
	x.in = x.in[:0]
	for {
		if len(x.in) == cap(x.in) {
			x.in = append(x.in, 0)[:len(x.in)]
		}
		n, err := r.Body.Read(x.in[len(x.in):min(cap(x.in), limit+1)])
		x.in = x.in[:len(x.in)+n]
		switch {
		case len(x.in) > limit:
			w.Header().Set("Connection", "close")
			problem.TooLarge.Write(w, "a body has at most "+strconv.Itoa(limit)+" bytes", "")
			return false
		case errors.Is(err, io.EOF):
			x.text.Read(x.in)
			return true
		case err != nil:
			problem.BadBody.Write(w, "the body could not be read to its end", "")
			return false
		}
	}
}

// decode reads a request of one check; it has answered if it returns false.
func (s *Server) decode(w http.ResponseWriter, r *http.Request, x *exchange) (q check.Request, ok bool) {
	if !s.read(w, r, x) {
		return q, false
	}
	q = check.Decode(&x.text)
	if err := x.text.Err(); err != nil {
		problem.BadBody.Write(w, err.Detail, err.Pointer)
		return q, false
	}
	return q, true
}

// judgeOne answers one check into x.answer; it has answered the request if it returns false.
func (s *Server) judgeOne(w http.ResponseWriter, r *http.Request, c *auth.Client, q *check.Request, x *exchange, at string) bool {
	began := time.Now()
	if err := s.ask(r, q, &x.answer); err != nil {
		s.refuse(w, r, c, err, at)
		return false
	}
	if c.Limited() && x.answer.Known() && !c.Sees(x.answer.Type()) {
		s.Foreign(w, r, c)
		return false
	}
	s.Metrics.Checks.WithLabelValues(x.answer.Kind.String()).Inc()
	now := time.Now()
	metrics.Observe(s.Metrics.CheckDuration, now.Sub(began).Seconds(), s.shown.Exemplar(metrics.Trail{Workflow: q.Workflow}, now))
	return true
}

func (s *Server) ask(r *http.Request, q *check.Request, a *check.Answer) error {
	j := s.judge.Load()
	if j == nil {
		check.Absent(q, a, s.Now())
		return nil
	}
	return j.Check(r.Context(), q, a)
}

// refuse says why there is no answer to a check; at is where it stands in a batch.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, c *auth.Client, err error, at string) {
	var bad *body.Error
	switch {
	case errors.As(err, &bad):
		problem.BadBody.Write(w, bad.Detail, at+bad.Pointer)
	case errors.Is(err, check.ErrBusy):
		s.deny(r, c.Name, problem.TooManyWait.Name)
		problem.TooManyWait.Write(w, "", "")
	case r.Context().Err() != nil:
		problem.NotHere.Write(w, "the request has ended before its answer", "")
	default:
		_ = level.Error(s.Logger).Log("msg", "a check has failed", "err", err)
		problem.Internal.Write(w, "", "")
	}
}

// serveCheck answers one check: 200 whatever the verdict.
func (s *Server) serveCheck(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	x := s.borrow()
	defer s.giveBack(x)
	q, ok := s.decode(w, r, x)
	if !ok || s.checkedElsewhere(w, r, c, &q, x) || !s.judgeOne(w, r, c, &q, x, "") {
		return
	}
	x.out = append(x.answer.Append(append(x.out[:0], '{'), s.key), '}', '\n')
	sayAtOnce(w, r, http.StatusOK, x.out)
}

// serveGate answers one check so that a caller who only looks at the status fails closed.
func (s *Server) serveGate(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	x := s.borrow()
	defer s.giveBack(x)
	q, ok := s.decode(w, r, x)
	if !ok || s.checkedElsewhere(w, r, c, &q, x) || !s.judgeOne(w, r, c, &q, x, "") {
		return
	}
	x.out = append(x.out[:0], '{')
	status := http.StatusOK
	if k := x.answer.Kind; k != freshness.IsFresh {
		p := problem.Unknown
		if k == freshness.IsStale {
			p = problem.Stale
		}
		p.Header(w)
		status = p.Status
		x.out = append(p.Append(x.out, "action: "+x.answer.Action.String(), ""), ',')
	}
	x.out = append(x.answer.Append(x.out, s.key), '}', '\n')
	sayAtOnce(w, r, status, x.out)
}

// checkedElsewhere lets the instance that has a check's workflow answer it. If that one does not, it is answered here: that it is not known.
func (s *Server) checkedElsewhere(w http.ResponseWriter, r *http.Request, c *auth.Client, q *check.Request, x *exchange) bool {
	addr := s.elsewhere(r, q.Workflow)
	return addr != "" && s.passOn(w, r, c, addr, x.in, waiting(q))
}

// serveBatch answers many checks, given as a list, or as the member "checks" of an object; the answers come alike.
func (s *Server) serveBatch(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	x := s.borrow()
	defer s.giveBack(x)
	if !s.read(w, r, x) {
		return
	}
	checks, raw, at, wrapped := decodeBatch(&x.text)
	if err := x.text.Err(); err != nil {
		problem.BadBody.Write(w, err.Detail, err.Pointer)
		return
	}
	began := time.Now()
	remote := s.elsewhereAll(r, c, checks, raw)
	x.out = x.out[:0]
	if wrapped {
		x.out = append(x.out, `{"answers":`...)
	}
	x.out = append(x.out, '[')
	for i := range checks {
		if i > 0 {
			x.out = append(x.out, ',')
		}
		if a := remote[i]; a != nil {
			if a.Status != http.StatusOK {
				s.relay(w, r, within(a, at+"/"+strconv.Itoa(i)))
				return
			}
			x.out = append(x.out, bytes.TrimSpace(a.Body)...)
			continue
		}
		q := &checks[i]
		q.Wait = max(0, q.Wait-freshness.Duration(time.Since(began).Milliseconds())) // all of them wait from the beginning
		if !s.judgeOne(w, r, c, q, x, at+"/"+strconv.Itoa(i)) {
			return
		}
		x.out = append(x.answer.Append(append(x.out, '{'), s.key), '}')
	}
	x.out = append(x.out, ']')
	if wrapped {
		x.out = append(x.out, '}')
	}
	x.out = append(x.out, '\n')
	sayAtOnce(w, r, http.StatusOK, x.out)
}

// decodeBatch reads a batch. Raw is each check as it was sent.
func decodeBatch(t *body.Text) (checks []check.Request, raw [][]byte, at string, wrapped bool) {
	read := func() {
		list := t.Array()
		for t.Element(&list) {
			if len(checks) == batchLimit {
				t.Fail("there are more than %d checks", batchLimit)
				return
			}
			begin := t.Here()
			checks = append(checks, check.Decode(t))
			raw = append(raw, t.From(begin))
		}
	}
	if !t.IsObject() {
		read()
		return checks, raw, "", false
	}
	o := t.Object()
	found := false
	for name, ok := t.Member(&o); ok; name, ok = t.Member(&o) {
		if name != "checks" {
			t.Unknown(name, "checks")
			break
		}
		found = true
		read()
	}
	if !found {
		t.Fail("\"checks\" is missing: the list of checks")
	}
	return checks, raw, "/checks", true
}

// smallAnswer is how long an answer is at most that net/http writes in one piece by itself, with its header.
const smallAnswer = 3 << 10

// sayAtOnce answers with JSON, in one piece unless it is too long to be held. On a connection with several requests at a time the pieces
// are none of ours.
func sayAtOnce(w http.ResponseWriter, r *http.Request, status int, b []byte) {
	c := connectionOf(r)
	if c == nil || r.ProtoMajor != 1 || len(b) <= smallAnswer || len(b) > keepLimit {
		say(w, status, b)
		return
	}
	c.atOnce(func() {
		say(w, status, b)
		_ = http.NewResponseController(w).Flush()
	})
}

// Values of headers, shared by all answers: nobody writes to them.
var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
)

// say answers with JSON. A content type that is set already stays.
func say(w http.ResponseWriter, status int, b []byte) {
	h := w.Header()
	if len(h["Content-Type"]) == 0 {
		h["Content-Type"] = jsonType
	}
	h["Cache-Control"] = noStore
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
