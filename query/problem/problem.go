package problem

import (
	"net/http"
	"strconv"

	"github.com/freshet-io/freshet/freshness"
)

// Kind is a kind of problem. Its Name is never changed.
type Kind struct {
	Name   string
	Status int
	Title  string
	Retry  int // seconds after which trying again may help, 0: it does not
}

// Prefix is what stands before a kind's name in a problem's type.
const Prefix = "urn:freshet:problem:"

// The kinds of problems.
var (
	BadBody      = Kind{"bad-body", http.StatusBadRequest, "The request's body cannot be used", 0}
	BadParameter = Kind{"bad-parameter", http.StatusBadRequest, "A parameter cannot be used", 0}
	NoToken      = Kind{"no-token", http.StatusUnauthorized, "The request carries no token that is known", 0}
	NoKeys       = Kind{"no-keys", http.StatusServiceUnavailable, "The keys that tokens are signed with could not be read yet", 1}
	Forbidden    = Kind{"forbidden", http.StatusForbidden, "The token does not allow this", 0}
	ForeignHost  = Kind{"foreign-host", http.StatusForbidden, "The request was made to a name that is not this server's", 0}
	ForeignPage  = Kind{"foreign-origin", http.StatusForbidden, "The request was made by a page of another site", 0}
	NotFound     = Kind{"not-found", http.StatusNotFound, "There is nothing of that name", 0}
	BadMethod    = Kind{"method-not-allowed", http.StatusMethodNotAllowed, "The path does not take this method", 0}
	Stale        = Kind{"stale", http.StatusPreconditionFailed, "The context is stale", 0}
	TooLarge     = Kind{"too-large", http.StatusRequestEntityTooLarge, "The request's body is too large", 0}
	TooMany      = Kind{"too-many-requests", http.StatusTooManyRequests, "The client asks too often", 1}
	TooManyWait  = Kind{"too-many-waiters", http.StatusTooManyRequests, "Too many callers wait for a record to be applied", 1}
	TooManyWatch = Kind{"too-many-watchers", http.StatusTooManyRequests, "Too many callers watch", 10}
	TooManyConns = Kind{"too-many-connections", http.StatusServiceUnavailable, "Too many connections are open", 1}
	Unknown      = Kind{"unknown", http.StatusServiceUnavailable, "It is not known whether the context holds", 1}
	NotHere      = Kind{"not-here", http.StatusServiceUnavailable, "No instance can answer for it now", 1}
	Internal     = Kind{"internal", http.StatusInternalServerError, "The server has failed", 0}
)

// Kinds returns every kind.
func Kinds() []Kind {
	return []Kind{
		BadBody, BadParameter, NoToken, NoKeys, Forbidden, ForeignHost, ForeignPage, NotFound, BadMethod, Stale, TooLarge, TooMany, TooManyWait,
		TooManyWatch, TooManyConns, Unknown, NotHere, Internal,
	}
}

// Append appends a problem's members, without the braces around them. Pointer names the part of the body that is meant, "" for none.
func (k Kind) Append(b []byte, detail, pointer string) []byte {
	b = append(append(append(b, `"type":"`+Prefix...), k.Name...), `","title":`...)
	b = freshness.AppendString(b, k.Title)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(k.Status), 10)
	if detail != "" {
		b = freshness.AppendString(append(b, `,"detail":`...), detail)
	}
	if pointer != "" {
		b = freshness.AppendString(append(b, `,"pointer":`...), pointer)
	}
	return b
}

// Write answers with a problem.
func (k Kind) Write(w http.ResponseWriter, detail, pointer string) {
	b := append(k.Append([]byte{'{'}, detail, pointer), '}', '\n')
	k.Header(w)
	w.WriteHeader(k.Status)
	_, _ = w.Write(b)
}

// Header sets the headers of a problem's answer.
func (k Kind) Header(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if k.Retry > 0 {
		h.Set("Retry-After", strconv.Itoa(k.Retry))
	}
	if k.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
}
