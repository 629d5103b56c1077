package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/freshet-io/freshet/query/auth"
	"github.com/freshet-io/freshet/query/check"
	"github.com/freshet-io/freshet/query/peer"
	"github.com/freshet-io/freshet/query/problem"
	"github.com/go-kit/log/level"
)

// Instances are the others that share the work.
type Instances struct {
	Book  *peer.Book
	Asker *peer.Asker
}

const (
	answerTime  = 2 * time.Second  // for another instance to answer, beside what the caller lets it wait
	silentTime  = 5 * bookmarkPace // of an instance whose stream is passed on: who watches is let go then, and asks again
	askedAtOnce = 16               // checks of a batch that are asked elsewhere at a time
)

type hopKey struct{}

// hop returns the client of a request that another instance has passed on.
func hop(ctx context.Context) *auth.Client {
	c, _ := ctx.Value(hopKey{}).(*auth.Client)
	return c
}

// Peers returns what answers other instances. What they ask is not passed on again.
func (s *Server) Peers(secret peer.Secret) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recover(w)
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.cfg.MaxBodyBytes)))
		if err != nil {
			problem.TooLarge.Write(w, "", "")
			return
		}
		who, err := secret.Verify(r, body, s.Now().Go())
		if err != nil {
			s.deny(r, "", "peer")
			problem.NoToken.Write(w, err.Error(), "")
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), hopKey{}, auth.Passed(who.Name, who.Types))))
	})
}

// elsewhere returns the address of the instance that has a workflow, "" if it is here, nobody's, or the request has been passed on already.
func (s *Server) elsewhere(r *http.Request, workflow string) string {
	e := s.engine.Load()
	if e == nil || hop(r.Context()) != nil {
		return ""
	}
	p := e.Rows.Partition(workflow)
	if e.Rows.Owner(p).Here {
		return ""
	}
	return e.at(r.Context(), p)
}

// at returns the address of the other instance that has a partition, "" if none is known to.
func (e *Engine) at(ctx context.Context, partition int32) string {
	if e.Instances == nil || hop(ctx) != nil {
		return ""
	}
	return e.Instances.Book.Owner(ctx, partition)
}

// owned passes a request about a workflow on to who has it.
func (s *Server) owned(name string, h Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request, c *auth.Client) {
		if addr := s.elsewhere(r, r.PathValue(name)); addr != "" && s.passOn(w, r, c, addr, nil, answerTime) {
			return
		}
		h(w, r, c)
	}
}

// passOn lets another instance answer; it returns false if that one has not.
func (s *Server) passOn(w http.ResponseWriter, r *http.Request, c *auth.Client, addr string, body []byte, within time.Duration) bool {
	a, err := s.askAt(r.Context(), addr, r.Method, r.URL.RequestURI(), body, c, within)
	if err != nil {
		return false
	}
	s.relay(w, r, a)
	return true
}

// PassOn lets the instance answer that has a partition of another group than that of the workflows, once; it returns false if none is
// known to, or that one has not.
func (s *Server) PassOn(w http.ResponseWriter, r *http.Request, c *auth.Client, to *Instances, partition int32, within time.Duration) bool {
	if to == nil || hop(r.Context()) != nil {
		return false
	}
	addr := to.Book.Owner(r.Context(), partition)
	if addr == "" {
		return false
	}
	a, err := s.askOf(r.Context(), to, addr, r.Method, r.URL.RequestURI(), nil, c, within)
	if err != nil {
		return false
	}
	s.relay(w, r, a)
	return true
}

// relay answers with what another instance has answered.
func (s *Server) relay(w http.ResponseWriter, r *http.Request, a *peer.Answer) {
	for _, name := range []string{"Content-Type", "Retry-After", "ETag"} {
		if v := a.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	if r.Method == http.MethodGet {
		s.send(w, r, a.Status, a.Body)
		return
	}
	say(w, a.Status, a.Body)
}

// streamOn lets another instance send a stream of events; it returns false if that one has not begun.
func (s *Server) streamOn(w http.ResponseWriter, r *http.Request, c *auth.Client, addr string) bool {
	e := s.engine.Load()
	if e == nil || e.Instances == nil {
		return false
	}
	header := http.Header{}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		header.Set("Last-Event-ID", id)
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	silent := time.AfterFunc(silentTime, cancel)
	defer silent.Stop()
	resp, err := e.Instances.Asker.Open(ctx, addr, r.URL.RequestURI(), peer.Client{Name: c.Name, Types: c.Types()}, header)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	for _, name := range []string{"Content-Type", "Cache-Control", "Retry-After"} {
		if v := resp.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(resp.StatusCode)
	ctl := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	for {
		silent.Reset(silentTime)
		n, err := resp.Body.Read(buf)
		silent.Stop()
		_ = ctl.SetWriteDeadline(time.Now().Add(writeTime))
		if _, broken := w.Write(buf[:n]); broken != nil || ctl.Flush() != nil || err != nil {
			return true
		}
	}
}

// askAt asks the instance at an address.
func (s *Server) askAt(ctx context.Context, addr, method, path string, body []byte, c *auth.Client, within time.Duration) (*peer.Answer, error) {
	e := s.engine.Load()
	if e == nil || e.Instances == nil {
		return nil, errNoInstances
	}
	return s.askOf(ctx, e.Instances, addr, method, path, body, c, within)
}

func (s *Server) askOf(ctx context.Context, of *Instances, addr, method, path string, body []byte, c *auth.Client, within time.Duration) (*peer.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	a, err := of.Asker.Ask(ctx, addr, method, path, body, peer.Client{Name: c.Name, Types: c.Types()})
	if err != nil {
		_ = level.Debug(s.Logger).Log("msg", "another instance has not answered", "err", err)
		return nil, err
	}
	return a, nil
}

// waiting is how long another instance may take for a check.
func waiting(q *check.Request) time.Duration {
	return answerTime + time.Duration(q.Wait)*time.Millisecond
}

// elsewhereAll asks for those checks of a batch that are not here. What is not in the result is answered here, and says why it is not
// known if need be.
func (s *Server) elsewhereAll(r *http.Request, c *auth.Client, checks []check.Request, raw [][]byte) map[int]*peer.Answer {
	var (
		mu      sync.Mutex
		wg      sync.WaitGroup
		answers = map[int]*peer.Answer{}
		places  = make(chan struct{}, askedAtOnce)
	)
	for i := range checks {
		addr := s.elsewhere(r, checks[i].Workflow)
		if addr == "" {
			continue
		}
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			a, err := s.askAt(r.Context(), addr, http.MethodPost, "/v1/check", raw[i], c, waiting(&checks[i]))
			if err == nil && a.Status < http.StatusInternalServerError {
				mu.Lock()
				answers[i] = a
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return answers
}

// within is what another instance has answered to one check of a batch, with what it says of the check's body said of the batch's.
func within(a *peer.Answer, at string) *peer.Answer {
	var p struct {
		Type    string `json:"type"`
		Detail  string `json:"detail"`
		Pointer string `json:"pointer"`
	}
	if json.Unmarshal(a.Body, &p) != nil || p.Type != problem.Prefix+problem.BadBody.Name {
		return a
	}
	b := append(problem.BadBody.Append([]byte{'{'}, p.Detail, at+p.Pointer), '}', '\n')
	return &peer.Answer{Status: a.Status, Header: a.Header, Body: b}
}

// remotePage is part of a list that another instance has answered.
type remotePage struct {
	items []json.RawMessage
	next  *cursor
}

// pageAt asks another instance for the entries of one of its partitions, from a place on.
func (s *Server) pageAt(r *http.Request, c *auth.Client, addr, list string, partition int32, from *cursor, limit int) (*remotePage, bool) {
	q := r.URL.Query()
	q.Set(ofPartition, strconv.Itoa(int(partition)))
	q.Set("limit", strconv.Itoa(limit))
	q.Del("cursor")
	if from != nil && from.partition == partition {
		q.Set("cursor", from.String())
	}
	u := url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: q.Encode()}
	a, err := s.askAt(r.Context(), addr, http.MethodGet, u.RequestURI(), nil, c, answerTime)
	if err != nil || a.Status != http.StatusOK {
		return nil, false
	}
	var said map[string]json.RawMessage
	var next *string
	p := &remotePage{}
	if json.Unmarshal(a.Body, &said) != nil || json.Unmarshal(said[list], &p.items) != nil || json.Unmarshal(said["next"], &next) != nil {
		return nil, false
	}
	if next != nil && *next != "" {
		p.next = (&Parameters{Values: url.Values{"cursor": {*next}}}).cursor(partition + 1)
	}
	return p, true
}

// gathering is a page of a list over all partitions, wherever they are, that is being put together.
type gathering struct {
	*Engine
	server *Server
	r      *http.Request
	client *auth.Client
	only   int32 // partition that another instance asks for, -1: all
	limit  int

	found    []any
	answered []int32 // partitions that have been looked at, here or elsewhere
	next     *cursor
}

// gather begins a page as a request's parameters say.
func gather(s *Server, e *Engine, r *http.Request, c *auth.Client, p *Parameters) gathering {
	return gathering{Engine: e, server: s, r: r, client: c, only: p.partition(), limit: p.limit(), found: []any{}, answered: []int32{}}
}

// partitions says which partitions have been looked at, of how many.
func (g *gathering) partitions() map[string]any {
	return map[string]any{"answered": g.answered, "of": g.Rows.Partitions()}
}

// gather goes through the partitions from a place on until the page is full. Local adds the entries of one that is here, from behind a
// place (nil: the beginning), and sets next where it ends early; the others are asked for the list of that name.
func (g *gathering) gather(list string, from *cursor, local func(partition int32, after []byte) error) error {
	for p := range g.Rows.Partitions() {
		if g.only >= 0 && p != g.only {
			continue
		}
		addr := ""
		if !g.Rows.Owner(p).Here {
			if addr = g.at(g.r.Context(), p); addr == "" {
				continue
			}
		}
		if g.next != nil || from != nil && p < from.partition {
			g.answered = append(g.answered, p)
			continue
		}
		if addr != "" {
			g.elsewhere(list, addr, p, from)
			continue
		}
		g.answered = append(g.answered, p)
		var after []byte
		if from != nil && p == from.partition {
			after = from.at
		}
		if err := local(p, after); err != nil {
			return err
		}
	}
	return nil
}

// elsewhere adds what another instance says of a partition.
func (g *gathering) elsewhere(list, addr string, p int32, from *cursor) {
	page, ok := g.server.pageAt(g.r, g.client, addr, list, p, from, g.limit-len(g.found))
	if !ok {
		return
	}
	g.answered = append(g.answered, p)
	for _, one := range page.items {
		g.found = append(g.found, one)
	}
	if g.next = page.next; g.next == nil && len(g.found) >= g.limit {
		g.next = &cursor{partition: p, at: endOfPartition()}
	}
}

// others calls f with what every other instance answers to a request, and returns how many have not.
func (s *Server) others(r *http.Request, c *auth.Client, f func(body []byte) error) (silent int) {
	e := s.engine.Load()
	if e == nil || e.Instances == nil || hop(r.Context()) != nil {
		return 0
	}
	for _, m := range e.Instances.Book.Peers(r.Context()) {
		a, err := s.askAt(r.Context(), m.Addr, http.MethodGet, r.URL.RequestURI(), nil, c, answerTime)
		if err != nil || a.Status != http.StatusOK || f(a.Body) != nil {
			silent++
		}
	}
	return silent
}

var errNoInstances = errors.New("this instance asks no others")
