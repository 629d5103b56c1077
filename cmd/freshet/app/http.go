package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/freshet-io/freshet/query"
	"github.com/freshet-io/freshet/query/auth"
	"github.com/freshet-io/freshet/query/problem"
	"github.com/freshet-io/freshet/web"
	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// operations are the routes of those who run the engine.
func (a *App) operations() []query.Route {
	plain := func(f http.HandlerFunc) query.Handler {
		return func(w http.ResponseWriter, r *http.Request, _ *auth.Client) {
			w.Header().Set("Cache-Control", "no-store")
			f(w, r)
		}
	}
	metrics := promhttp.HandlerFor(a.reg, promhttp.HandlerOpts{EnableOpenMetrics: true})
	return []query.Route{
		{Pattern: "GET /healthz", Handler: plain(func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })},
		{Pattern: "GET /ready", Handler: plain(a.serveReady)},
		{Pattern: "GET /metrics", Scope: auth.Read, Handler: plain(metrics.ServeHTTP)},
		{Pattern: "GET /services", Scope: auth.Admin, Handler: plain(a.serveServices)},
		{Pattern: "GET /config", Scope: auth.Admin, Handler: plain(a.serveConfig)},
		// The page holds no data, and a browser has no token to show for it: what it asks then needs one.
		{Pattern: "GET /ui/", Handler: plain(func(w http.ResponseWriter, r *http.Request) { servePage(w, strings.TrimPrefix(r.URL.Path, "/ui/")) })},
		{Pattern: "GET /ui/{file}", Handler: plain(func(w http.ResponseWriter, r *http.Request) { servePage(w, r.PathValue("file")) })},
	}
}

// servePage serves a file of the page for people.
func servePage(w http.ResponseWriter, file string) {
	if !web.Serve(w, file) {
		problem.NotFound.Write(w, "the page has no such file", "")
	}
}

func (a *App) serveReady(w http.ResponseWriter, _ *http.Request) {
	if err := a.Ready(); err != nil {
		say(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	say(w, http.StatusOK, "ready")
}

// refreshPace is how often files are looked at that may change while the server runs.
const refreshPace = 5 * time.Second

// newHTTP lets the query server listen.
func (a *App) newHTTP() (services.Service, error) {
	if a.cfg.HTTPListen == "" {
		return services.NewIdleService(nil, nil), nil
	}
	var srv *http.Server
	failed := make(chan error, 1)
	start := func(context.Context) error {
		l, err := net.Listen("tcp", a.cfg.HTTPListen)
		if err != nil {
			return fmt.Errorf("-http.listen %q: %w", a.cfg.HTTPListen, err)
		}
		a.httpAddr = l.Addr().String()
		if srv, l, err = a.query.HTTP(l, a.cfg.local()); err != nil {
			return err
		}
		go func() { failed <- srv.Serve(l) }()
		return nil
	}
	run := func(ctx context.Context) error {
		tick := time.NewTicker(refreshPace)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case err := <-failed:
				return fmt.Errorf("serve HTTP: %w", err)
			case <-tick.C:
				a.query.Refresh()
			}
		}
	}
	stop := func(error) error {
		if srv == nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("stop HTTP: %w", err)
		}
		return nil
	}
	return services.NewBasicService(start, run, stop), nil
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

// serveServices says in what state each module is.
func (a *App) serveServices(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	for _, name := range sortedKeys(a.services) {
		s := a.services[name]
		fmt.Fprintf(&b, "%-12s %s", name, s.State())
		if err := s.FailureCase(); err != nil {
			fmt.Fprintf(&b, "  %v", err)
		}
		b.WriteByte('\n')
	}
	say(w, http.StatusOK, strings.TrimSuffix(b.String(), "\n"))
}

// serveConfig says every setting that the process runs with. There are no secrets among them: those stand in the contract file as
// references to the environment.
func (a *App) serveConfig(w http.ResponseWriter, _ *http.Request) {
	say(w, http.StatusOK, a.cfg.describe())
}
