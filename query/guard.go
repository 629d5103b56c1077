package query

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/query/auth"
	"github.com/freshet-io/freshet/query/problem"
	"github.com/go-kit/log/level"
)

// known lets a request through that was made to a name of this server and by no page of another site: a page in a browser must not reach
// the server by a name of its own, nor with what the browser is trusted with.
func (s *Server) known(w http.ResponseWriter, r *http.Request, loopback bool) bool {
	host := hostname(r.Host)
	if !s.ours(host, loopback) {
		s.deny(r, "", problem.ForeignHost.Name)
		problem.ForeignHost.Write(w, fmt.Sprintf("host %q is not one of this server's; -http.hosts names them", host), "")
		return false
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || !strings.EqualFold(u.Host, r.Host) {
			s.deny(r, "", problem.ForeignPage.Name)
			problem.ForeignPage.Write(w, fmt.Sprintf("origin %q is not this server", origin), "")
			return false
		}
	}
	return true
}

// ours says whether a host's name is this server's.
func (s *Server) ours(host string, loopback bool) bool {
	switch {
	case slices.Contains(s.hosts, host):
		return true
	case !loopback && len(s.hosts) == 0:
		return true
	case host == "localhost":
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// guarded lets those clients come to a route who have its scope and do not ask too often.
func (s *Server) guarded(route Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if route.Scope == 0 {
			route.Handler(w, r, s.anyone)
			return
		}
		if passed := hop(r.Context()); passed != nil {
			route.Handler(w, r, passed)
			return
		}
		c, inside := r.Context().Value(insideKey{}).(*auth.Client)
		switch {
		case inside:
		case s.auth == nil:
			c = s.anyone
		default:
			var reason auth.Reason
			if c, reason = s.auth.Client(r); c == nil {
				s.deny(r, "", reason.String())
				kind := problem.NoToken
				if reason == auth.NoKeys {
					kind = problem.NoKeys
				}
				kind.Write(w, reason.Detail(), "")
				return
			}
		}
		if !c.May(route.Scope) {
			s.deny(r, c.Name, problem.Forbidden.Name)
			problem.Forbidden.Write(w, fmt.Sprintf("the scope %s is needed", route.Scope), "")
			return
		}
		if !inside && !c.Allow() {
			s.deny(r, c.Name, problem.TooMany.Name)
			problem.TooMany.Write(w, "", "")
			return
		}
		route.Handler(w, r, c)
	})
}

// Foreign refuses a client what belongs to a workflow type that it may not see.
func (s *Server) Foreign(w http.ResponseWriter, r *http.Request, c *auth.Client) {
	s.deny(r, c.Name, "workflow-type")
	problem.Forbidden.Write(w, "the token does not allow workflows of this type", "")
}

// deny leaves a line for the audit. What was asked for is named by its route: paths and bodies are tenants' data.
func (s *Server) deny(r *http.Request, client, why string) {
	_ = level.Warn(s.Logger).Log("msg", "request denied", "why", why, "client", client, "method", r.Method, "route", r.Pattern, "remote", r.RemoteAddr)
	s.Metrics.Denied.WithLabelValues(why).Inc()
}
