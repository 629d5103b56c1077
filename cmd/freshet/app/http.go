package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newHTTP serves what operations need.
func (a *App) newHTTP() (services.Service, error) {
	if a.cfg.HTTPListen == "" {
		return services.NewIdleService(nil, nil), nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := a.Ready(); err != nil {
			say(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		say(w, http.StatusOK, "ready")
	})
	mux.HandleFunc("GET /services", a.serveServices)
	mux.HandleFunc("GET /config", a.serveConfig)
	srv := &http.Server{Handler: local(a.cfg.Insecure, mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	failed := make(chan error, 1)
	start := func(context.Context) error {
		l, err := net.Listen("tcp", a.cfg.HTTPListen)
		if err != nil {
			return fmt.Errorf("-http.listen %q: %w", a.cfg.HTTPListen, err)
		}
		a.httpAddr = l.Addr().String()
		go func() { failed <- srv.Serve(l) }()
		return nil
	}
	run := func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("serve HTTP: %w", err)
		}
	}
	stop := func(error) error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("stop HTTP: %w", err)
		}
		return nil
	}
	return services.NewBasicService(start, run, stop), nil
}

// local lets only requests through that name a local host, unless others are meant to come: a page in a browser must not reach the
// server by a name of its own.
func local(insecure bool, next http.Handler) http.Handler {
	if insecure {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		ip := net.ParseIP(strings.Trim(host, "[]"))
		if host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			say(w, http.StatusForbidden, fmt.Sprintf("host %q is not local", host))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
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
