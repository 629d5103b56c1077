package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/query"
	"github.com/freshet-io/freshet/query/peer"
	"github.com/grafana/dskit/services"
)

// newPeers answers other instances, from before this one announces where it listens until after it has left the group.
func (a *App) newPeers() (services.Service, error) {
	cfg := a.cfg.Peer
	if cfg.Listen == "" {
		return services.NewIdleService(nil, nil), nil
	}
	secret, err := cfg.Secret()
	if err != nil {
		return nil, err
	}
	held, err := cfg.Credential()
	if err != nil {
		return nil, err
	}
	a.asker = peer.NewAsker(secret, held, a.now)
	a.evaluators = &query.Instances{Asker: a.asker, Book: peer.NewBook(a.cfg.InstanceID, func(ctx context.Context) ([]peer.Member, error) {
		return members(gateway.Peers(ctx, a.logs.Client(), a.graph.Alerting.Name, a.graph.Contracts))
	}, a.now, a.logger)}
	srv := &http.Server{
		Handler: a.query.Peers(secret), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	failed := make(chan error, 1)
	start := func(context.Context) error {
		l, err := net.Listen("tcp", cfg.Listen)
		if err != nil {
			return fmt.Errorf("-peer.listen %q: %w", cfg.Listen, err)
		}
		if a.peerAddr = cfg.Advertise; a.peerAddr == "" {
			a.peerAddr = l.Addr().String()
		}
		if held != nil {
			l = tls.NewListener(l, held.Server(tls.RequireAndVerifyClientCert))
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
				return fmt.Errorf("answer other instances: %w", err)
			case <-tick.C:
				if held != nil {
					a.query.Reread("-peer.tls-*", held)
				}
			}
		}
	}
	stop := func(error) error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		a.asker.Close()
		if err := srv.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("stop answering other instances: %w", err)
		}
		return nil
	}
	return services.NewBasicService(start, run, stop), nil
}

// instances are the others, as the query server asks them; nil if it asks none.
func (a *App) instances() *query.Instances {
	if a.asker == nil {
		return nil
	}
	book := peer.NewBook(a.cfg.InstanceID, func(ctx context.Context) ([]peer.Member, error) {
		for _, g := range a.groups.all() {
			if g.name != a.graph.Workflows.Name {
				continue
			}
			return members(g.gateway.Peers(ctx))
		}
		return nil, errors.New("the group of the workflows has not been started")
	}, a.now, a.logger)
	return &query.Instances{Book: book, Asker: a.asker}
}

func members(peers []gateway.Peer, err error) ([]peer.Member, error) {
	if err != nil {
		return nil, err
	}
	all := make([]peer.Member, len(peers))
	for i, p := range peers {
		all[i] = peer.Member(p)
	}
	return all, nil
}
