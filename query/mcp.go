package query

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/freshet-io/freshet/query/auth"
	"github.com/freshet-io/freshet/query/problem"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// serveMCP is the Model Context Protocol over streamable HTTP, without sessions: every request stands alone, and a client sees the tools
// that its token allows. A tool asks the server's own routes, so that what holds for them holds for it.
func (s *Server) serveMCP(out schemas) Handler {
	cache := mcp.NewSchemaCache()
	h := mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server {
		c, _ := r.Context().Value(insideKey{}).(*auth.Client)
		return s.tools(c, out, cache)
	}, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	return func(w http.ResponseWriter, r *http.Request, c *auth.Client) {
		w = unstored{w}
		r.Body = http.MaxBytesReader(w, r.Body, int64(s.cfg.MaxBodyBytes))
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), insideKey{}, c)))
	}
}

// unstored is an answer that nobody between may keep, whatever the protocol's handler says of it.
type unstored struct{ http.ResponseWriter }

// WriteHeader begins the answer.
func (w unstored) WriteHeader(status int) {
	w.Header().Set("Cache-Control", "no-store")
	w.ResponseWriter.WriteHeader(status)
}

// Write goes on with it.
func (w unstored) Write(b []byte) (int, error) {
	w.Header().Set("Cache-Control", "no-store") // without effect once it has begun
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w unstored) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// insideKey is under which the context of a request that the server makes to itself has the client for whom it does.
type insideKey struct{}

// Inputs of the tools. The descriptions are read by models.
type (
	mcpItem struct {
		Kind    string `json:"kind" jsonschema:"kind of the context item, the part before the slash, such as policy"`
		Key     string `json:"key" jsonschema:"key of the context item, the part after the slash, such as refund"`
		Version string `json:"version,omitempty" jsonschema:"version string that you hold, if you do not know its seq"`
		Seq     *int64 `json:"seq,omitempty" jsonschema:"sequence number of the version that you hold"`
		AsOf    string `json:"as_of,omitempty" jsonschema:"RFC 3339 instant as of which you know the item to be true"`
	}
	mcpCheck struct {
		Workflow string    `json:"workflow" jsonschema:"id of the workflow whose context you are about to act on"`
		Class    string    `json:"class,omitempty" jsonschema:"class of the decision, such as refund-large; stricter bounds may hold for it"`
		Items    []mcpItem `json:"items,omitempty" jsonschema:"judge these items instead of all that the workflow has loaded"`
		At       string    `json:"at,omitempty" jsonschema:"RFC 3339 instant in the past to judge at; leave it out to judge now"`
	}
	mcpDecision struct {
		Workflow string `json:"workflow" jsonschema:"id of the workflow"`
		Decision string `json:"decision_id" jsonschema:"id of the decision"`
	}
	mcpList struct {
		Type   string `json:"workflow_type,omitempty" jsonschema:"only workflows of this type"`
		Limit  int    `json:"limit,omitempty" jsonschema:"how many at most, 100 if left out"`
		Cursor string `json:"cursor,omitempty" jsonschema:"next of an earlier answer, to go on behind it"`
	}
	mcpSource struct {
		Kind string `json:"kind" jsonschema:"kind of the context item, the part before the slash"`
		Key  string `json:"key" jsonschema:"key of the context item, the part after the slash"`
	}
)

// tools returns a server with the tools that a client may use.
func (s *Server) tools(c *auth.Client, out schemas, cache *mcp.SchemaCache) *mcp.Server {
	m := mcp.NewServer(&mcp.Implementation{Name: "freshet", Version: "1"}, &mcp.ServerOptions{
		SchemaCache:  cache,
		SetCacheable: func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) { c.CacheScope = "private" }, // a token's tools are its own
		Instructions: "Before you act on something you have loaded, call check_freshness. Act only if action is proceed; reload the context and check again if it is reload; ask for approval again if it is reapprove; ask again in a moment if it is wait; do not act if it is abstain.",
	})
	caller := &inner{s: s, client: c}
	readOnly := &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true}
	if c.May(auth.Check) {
		mcp.AddTool(m, &mcp.Tool{Name: "check_freshness", Annotations: readOnly, OutputSchema: out["Answer"], Description: "Is the context that a workflow has loaded still true? Call it right before acting. The answer's action says what to do: proceed, reload, reapprove, wait, abstain. Unknown is never fresh."},
			func(ctx context.Context, _ *mcp.CallToolRequest, in mcpCheck) (*mcp.CallToolResult, any, error) {
				return caller.ask(ctx, http.MethodPost, "/v1/check", in)
			})
	}
	if c.May(auth.Explain) {
		mcp.AddTool(m, &mcp.Tool{Name: "explain_decision", Annotations: readOnly, OutputSchema: out["Explanation"], Description: "Why did a decision get its verdict? Versions used, versions current then and now, causes with owners, approvals, tools, every revision, and what of the evidence is gone."},
			func(ctx context.Context, _ *mcp.CallToolRequest, in mcpDecision) (*mcp.CallToolResult, any, error) {
				return caller.ask(ctx, http.MethodGet, "/v1/decisions/"+segment(in.Workflow)+"/"+segment(in.Decision), nil)
			})
	}
	if c.May(auth.Read) {
		mcp.AddTool(m, &mcp.Tool{Name: "list_stale", Annotations: readOnly, OutputSchema: out["Workflows"], Description: "Which open workflows hold context that is stale now?"},
			func(ctx context.Context, _ *mcp.CallToolRequest, in mcpList) (*mcp.CallToolResult, any, error) {
				q := url.Values{"state": {"open"}, "verdict": {"stale"}}
				for name, v := range map[string]string{"type": in.Type, "cursor": in.Cursor} {
					if v != "" {
						q.Set(name, v)
					}
				}
				if in.Limit > 0 {
					q.Set("limit", fmt.Sprint(in.Limit))
				}
				return caller.ask(ctx, http.MethodGet, "/v1/workflows?"+q.Encode(), nil)
			})
		mcp.AddTool(m, &mcp.Tool{Name: "source_status", Annotations: readOnly, OutputSchema: out["Source"], Description: "What is known of a context item: its versions, which one is current, when its source last gave a sign of life, who holds which version."},
			func(ctx context.Context, _ *mcp.CallToolRequest, in mcpSource) (*mcp.CallToolResult, any, error) {
				return caller.ask(ctx, http.MethodGet, "/v1/sources/"+segment(in.Kind)+"/"+segment(in.Key), nil)
			})
	}
	return m
}

// inner asks the server's own routes, for a client.
type inner struct {
	s      *Server
	client *auth.Client
}

// ask asks a route. A problem is the tool's error, as the model is to read it.
func (c *inner) ask(ctx context.Context, method, path string, in any) (*mcp.CallToolResult, any, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, nil, err
		}
	}
	r, err := http.NewRequestWithContext(context.WithValue(ctx, insideKey{}, c.client), method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	w := &memory{header: http.Header{}}
	c.s.mux.ServeHTTP(w, r)
	if w.status >= http.StatusMultipleChoices && w.status < http.StatusBadRequest { // the path is none: an empty name is no part of one
		return failure(problem.NotFound.Title + ": a name must not be empty"), nil, nil
	}
	var out map[string]any
	if err := json.Unmarshal(w.body.Bytes(), &out); err != nil {
		return nil, nil, err
	}
	if w.status >= http.StatusBadRequest {
		return failure(said(out)), nil, nil
	}
	return nil, out, nil
}

// segment is a name as a part of a path; "." and ".." would be steps of it. The client has the like (Path): neither rests on the other.
func segment(name string) string {
	if name == "." || name == ".." {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}

// failure is a tool's error, as the model is to read it.
func failure(text string) *mcp.CallToolResult {
	return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: text}}}
}

// said is a problem as a line.
func said(p map[string]any) string {
	parts := []string{}
	for _, name := range []string{"title", "pointer", "detail"} {
		if text, ok := p[name].(string); ok {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ": ")
}

// memory is an answer that stays in memory.
type memory struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header returns the headers.
func (m *memory) Header() http.Header { return m.header }

// WriteHeader notes the status.
func (m *memory) WriteHeader(status int) { m.status = status }

// Write keeps the body.
func (m *memory) Write(b []byte) (int, error) { return m.body.Write(b) }
