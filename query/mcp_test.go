package query

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/query/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// bearer sends a token with every request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// A client of the protocol sees the tools that its token allows, and gets structured answers.
func TestTheToolsOfModels(t *testing.T) {
	f := refund(t, tell("source.updated", "policy/p", 100, `{"kind":"policy","key":"p","version":"v2","seq":2}`), tell("action.executed", "w", 300, `{"decision_id":"d"}`),
		tell("source.updated", "policy/..", 100, `{"kind":"policy","key":"..","seq":1}`))
	f.live(zero + 301*second)
	file := tokensFile(t, `clients:
  - {name: all, tokens: [%s], scopes: [check, read, explain]}
  - {name: agent, tokens: [%s], scopes: [check]}
`, "all", "agent")
	addr := running(t, f, Config{Auth: auth.Config{TokensFile: file}})
	connect := func(token string) *mcp.ClientSession {
		client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
		session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: "http://" + addr + "/mcp", HTTPClient: &http.Client{Transport: bearer(token)}, DisableStandaloneSSE: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = session.Close() })
		return session
	}
	tools := func(s *mcp.ClientSession) []string {
		list, err := s.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tool := range list.Tools {
			if names = append(names, tool.Name); tool.Description == "" || tool.InputSchema == nil || tool.OutputSchema == nil {
				t.Errorf("%s does not say what it does", tool.Name)
			}
		}
		slices.Sort(names)
		return names
	}
	all, agent := connect("all"), connect("agent")
	if got := tools(all); !slices.Equal(got, []string{"check_freshness", "explain_decision", "list_stale", "source_status"}) {
		t.Errorf("tools: %v", got)
	}
	if got := tools(agent); !slices.Equal(got, []string{"check_freshness"}) {
		t.Errorf("tools of an agent: %v", got)
	}
	call := func(s *mcp.ClientSession, tool string, args map[string]any) map[string]any {
		t.Helper()
		r, err := s.CallTool(context.WithoutCancel(t.Context()), &mcp.CallToolParams{Name: tool, Arguments: args})
		if err != nil {
			t.Fatal(err)
		}
		if r.IsError {
			return nil
		}
		b, err := json.Marshal(r.StructuredContent)
		if err != nil {
			t.Fatal(err)
		}
		var out map[string]any
		if err := json.Unmarshal(b, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := call(agent, "check_freshness", map[string]any{"workflow": "w"}); got["verdict"] != "stale" || got["action"] != "reload" {
		t.Errorf("check: %v", got)
	}
	if got := call(all, "check_freshness", map[string]any{"workflow": "w", "items": []any{map[string]any{"kind": "policy", "key": "p", "seq": 2}}}); got["verdict"] != "fresh" {
		t.Errorf("check with items: %v", got)
	}
	if got := call(all, "explain_decision", map[string]any{"workflow": "w", "decision_id": "d"}); len(got["uses"].([]any)) != 1 {
		t.Errorf("explain: %v", got)
	}
	if got := call(all, "list_stale", map[string]any{"limit": 5}); len(got["workflows"].([]any)) != 1 {
		t.Errorf("list: %v", got)
	}
	if got := call(all, "source_status", map[string]any{"kind": "policy", "key": "p"}); got["versions_total"] != 2.0 {
		t.Errorf("source: %v", got)
	}
	if got := call(all, "source_status", map[string]any{"kind": "policy", "key": ".."}); got["versions_total"] != 1.0 {
		t.Errorf("a name of dots: %v", got)
	}
	for _, args := range []map[string]any{{"kind": "no", "key": "where"}, {"kind": "policy", "key": ""}, {"kind": "", "key": ""}, {"kind": ".", "key": "../.."}} {
		r, err := all.CallTool(t.Context(), &mcp.CallToolParams{Name: "source_status", Arguments: args})
		if err != nil || !r.IsError {
			t.Errorf("%v, which is not there: %+v, %v", args, r, err)
			continue
		}
		if text := r.Content[0].(*mcp.TextContent).Text; !strings.HasPrefix(text, "There is nothing of that name: ") {
			t.Errorf("%v, which is not there: %s", args, text)
		}
	}
}

// What is answered to models is kept by no cache, and a client's tools are said to be its own.
func TestAnswersToModelsAreNotKept(t *testing.T) {
	f := refund(t)
	f.live(zero + 100*second)
	h := f.serve(t, Config{}).Handler(true)
	for method, want := range map[string]string{
		`"tools/list","params":{}`: `"cacheScope":"private"`,
		`"tools/call","params":{"name":"check_freshness","arguments":{"workflow":"w"}}`: `"structuredContent":{"action":"proceed"`,
	} {
		r := request(http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":1,"method":`+method+`}`)
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Content-Type", "application/json")
		if w := ask(h, r); w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %v %s", method, w.Code, w.Header(), w.Body)
		}
	}
}
