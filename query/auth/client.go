package auth

import (
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// Scope is what a client may do.
type Scope uint8

const (
	Check   Scope = 1 << iota // ask whether context holds
	Read                      // lists, sources, status, watching
	Explain                   // the evidence of decisions, and timelines
	Admin                     // operations
)

// String returns the name of a single scope.
func (s Scope) String() string {
	switch s {
	case Check:
		return "check"
	case Read:
		return "read"
	case Explain:
		return "explain"
	case Admin:
		return "admin"
	default:
		return "unknown"
	}
}

func scope(name string) (Scope, bool) {
	for _, s := range []Scope{Check, Read, Explain, Admin} {
		if s.String() == name {
			return s, true
		}
	}
	return 0, false
}

// Client is who asks.
type Client struct {
	Name  string
	scope Scope
	types []string // workflow types, sorted; nil: all
	limit *rate.Limiter
	until time.Time // what it has shown is good, zero: as long as it is known
}

// May says whether the client has a scope.
func (c *Client) May(s Scope) bool { return c.scope&s == s }

// Limited says whether the client may see some workflow types only.
func (c *Client) Limited() bool { return c.types != nil }

// Sees says whether the client may see workflows of a type.
func (c *Client) Sees(workflowType string) bool {
	if c.types == nil {
		return true
	}
	_, ok := slices.BinarySearch(c.types, workflowType)
	return ok
}

// Allow says whether the client may ask now, as often as it has asked.
func (c *Client) Allow() bool { return c.limit == nil || c.limit.Allow() }

// Until returns until when what the client has shown is good; false if it does not end by itself.
func (c *Client) Until() (time.Time, bool) { return c.until, !c.until.IsZero() }

// Types returns the workflow types that the client may see, nil for all.
func (c *Client) Types() []string { return c.types }

// Anyone is who asks where nobody is asked who they are.
func Anyone(perSecond float64) *Client {
	return &Client{Name: "anyone", scope: Check | Read | Explain | Admin, limit: limiter(perSecond)}
}

// Passed is who asks, as another instance knows it: that one has looked at scopes and rate.
func Passed(name string, types []string) *Client {
	return &Client{Name: name, scope: Check | Read | Explain | Admin, types: types}
}

func limiter(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond)))
}
