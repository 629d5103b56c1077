package query

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/freshet-io/freshet/query/auth"
	"github.com/freshet-io/freshet/query/check"
	"github.com/freshet-io/freshet/query/credential"
	"github.com/freshet-io/freshet/query/problem"
	"github.com/freshet-io/freshet/slo/budget"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// Engine is what the server asks of the engine.
type Engine struct {
	Rows      Rows
	Sources   check.Sources
	Contracts check.Contracts
	Records   Records
	Instances *Instances // nil: there are no others, or they are not asked
	Status    func() Status
	// Objectives says how the objectives stand at an instant; ok is false while it is still being read.
	Objectives func(now event.Time) (states []budget.State, ok bool)
	Feed       Feed
	Changes    *Changes // of what is known of the sources
}

// Deps is what a Server works with.
type Deps struct {
	Now     func() event.Time
	Metrics *metrics.Metrics
	Logger  log.Logger
}

// Handler answers a request of a client.
type Handler func(w http.ResponseWriter, r *http.Request, c *auth.Client)

// Route is a path with the scope that it needs.
type Route struct {
	Pattern string     // of http.ServeMux, with its method
	Scope   auth.Scope // 0: everyone may come, even without a token
	Handler Handler
}

// Server serves HTTP. Routes are added before it serves; an engine may come and go while it does.
type Server struct {
	Deps
	cfg      Config
	key      []byte // signs the ids of checks
	hosts    []string
	auth     *auth.Auth // nil: nobody is asked who they are
	anyone   *auth.Client
	waiters  chan struct{}
	engine   atomic.Pointer[Engine]      // nil while the engine is not there
	judge    atomic.Pointer[check.Judge] // of it
	mux      *http.ServeMux
	patterns []string  // of the routes
	pool     sync.Pool // *exchange

	compressors compressors

	held  *credential.Credential // nil: HTTP without TLS
	hub   *hub
	shown metrics.Pace // of the checks
}

// New returns a server with the routes of the checks.
func New(cfg Config, d Deps) (*Server, error) {
	s := &Server{Deps: d, cfg: cfg, mux: http.NewServeMux(), hub: newHub(), anyone: auth.Anyone(cfg.Rate), waiters: make(chan struct{}, cfg.MaxWaiters)}
	s.pool.New = func() any { return new(exchange) }
	for h := range strings.SplitSeq(cfg.Hosts, ",") {
		if h = strings.ToLower(strings.TrimSpace(h)); h != "" {
			s.hosts = append(s.hosts, h)
		}
	}
	var err error
	if s.key, err = cfg.Key(); err != nil {
		return nil, err
	}
	if cfg.Auth.On() {
		if s.auth, err = auth.Open(cfg.Auth, cfg.Rate, func() time.Time { return d.Now().Go() }, s.reread); err != nil {
			return nil, err
		}
	}
	out, err := readSchemas("Answer", "Explanation", "Workflows", "Source")
	if err != nil {
		return nil, err
	}
	s.mux.HandleFunc("/", s.nowhere)
	s.Add(
		Route{"POST /v1/check", auth.Check, s.serveCheck},
		Route{"POST /v1/gate", auth.Check, s.serveGate},
		Route{"POST /v1/check:batch", auth.Check, s.serveBatch},
		Route{"GET /v1/workflows", auth.Read, s.serveWorkflows},
		Route{"GET /v1/workflows/{id}", auth.Read, s.owned("id", s.serveWorkflow)},
		Route{"GET /v1/workflows/{id}/timeline", auth.Explain, s.owned("id", s.serveTimeline)},
		Route{"GET /v1/decisions/{workflow}/{decision}", auth.Explain, s.owned("workflow", s.serveDecision)},
		Route{"GET /v1/sources/{kind}/{key}", auth.Read, s.serveSource},
		Route{"GET /v1/sources/{kind}/{key}/users", auth.Explain, s.serveUsers},
		Route{"GET /v1/slos", auth.Read, s.serveSLOs},
		Route{"GET /v1/status", auth.Read, s.serveStatus},
		Route{"GET /v1/watch", auth.Read, s.serveWatch},
		Route{"GET /openapi.json", 0, s.serveOpenAPI},
		Route{"POST /mcp", auth.Check, s.serveMCP(out)},
	)
	return s, nil
}

// Key returns the key that signs the ids of checks, nil if there is none.
func (s *Server) Key() []byte { return s.key }

// Add adds routes.
func (s *Server) Add(routes ...Route) {
	for _, r := range routes {
		s.mux.Handle(r.Pattern, s.guarded(r))
		s.patterns = append(s.patterns, r.Pattern)
	}
}

// Patterns returns the patterns of all routes.
func (s *Server) Patterns() []string { return slices.Clone(s.patterns) }

// Attach lets the server ask an engine.
func (s *Server) Attach(e Engine) {
	s.engine.Store(&e)
	s.judge.Store(&check.Judge{Workflows: e.Rows, Sources: e.Sources, Contracts: e.Contracts, Now: s.Now, Waiters: s.waiters})
}

// Run reads what is said for those who watch, until ctx ends.
func (s *Server) Run(ctx context.Context) {
	if e := s.engine.Load(); e != nil {
		s.hub.run(ctx, s, e.Feed)
	}
}

// Detach takes the engine away: what is asked from now on is answered without one.
func (s *Server) Detach() {
	s.judge.Store(nil)
	s.engine.Store(nil)
}

// Handler returns the whole of the server. Local says that it listens where only this machine reaches it.
func (s *Server) Handler(local bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recover(w)
		if !s.known(w, r, local) {
			return
		}
		s.mux.ServeHTTP(w, r)
	})
}

// recover says of a handler that panics that the server has failed, and not why.
func (s *Server) recover(w http.ResponseWriter) {
	switch err := recover(); err {
	case nil:
	case http.ErrAbortHandler:
		panic(err)
	default:
		_ = level.Error(s.Logger).Log("msg", "a request has failed", "err", fmt.Sprint(err))
		problem.Internal.Write(w, "", "")
	}
}

// nowhere answers what no route takes.
func (s *Server) nowhere(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := *r
		other.Method = method
		if _, pattern := s.mux.Handler(&other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 && !slices.Contains(allowed, r.Method) {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		problem.BadMethod.Write(w, fmt.Sprintf("it takes %s", strings.Join(allowed, " and ")), "")
		return
	}
	problem.NotFound.Write(w, "no route has this path; /openapi.json lists all", "")
}
