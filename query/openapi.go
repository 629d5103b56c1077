package query

import (
	_ "embed" // the document is part of the binary
	"net/http"

	"github.com/freshet-io/freshet/query/auth"
)

//go:embed openapi.json
var openapi []byte

// serveOpenAPI serves the description of the routes. Tests compare it with the routes that there are and with what they answer.
func (s *Server) serveOpenAPI(w http.ResponseWriter, r *http.Request, _ *auth.Client) {
	s.send(w, r, http.StatusOK, openapi)
}
