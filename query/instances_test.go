package query

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/query/peer"
	"github.com/go-kit/log"
)

// besides is a server whose workflows another instance has, at an address.
func besides(t *testing.T, addr string) *Server {
	t.Helper()
	f := refund(t)
	f.live(zero + 100*second)
	f.here = false
	s := f.serve(t, Config{MaxConnections: 100})
	e := f.engine()
	e.Instances = &Instances{
		Book: peer.NewBook("a", func(context.Context) ([]peer.Member, error) {
			return []peer.Member{{Instance: "a"}, {Instance: "b", Addr: addr, Partitions: []int32{0}}}, nil
		}, time.Now, log.NewNopLogger()),
		Asker: peer.NewAsker(peer.Secret("0123456789abcdef"), nil, time.Now),
	}
	s.Attach(e)
	return s
}

// What is wrong with one check of a batch is said where it stands in the batch, whoever has said so.
func TestWhatAnotherInstanceRefuses(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"type":"urn:freshet:problem:bad-body","title":"x","status":400,"detail":"it is wrong","pointer":"/at_least/0"}`)
	}))
	defer other.Close()
	h := besides(t, strings.TrimPrefix(other.URL, "http://")).Handler(true)
	for body, want := range map[string]string{`{"checks":[{"workflow":"w"}]}`: "/checks/0/at_least/0", `[{"workflow":"w"}]`: "/0/at_least/0"} {
		if status, got := post(t, h, "/v1/check:batch", body); status != 400 || got["pointer"] != want || got["detail"] != "it is wrong" {
			t.Errorf("%s: %d %v", body, status, got)
		}
	}
	if status, got := post(t, h, "/v1/check", `{"workflow":"w"}`); status != 400 || got["pointer"] != "/at_least/0" {
		t.Errorf("alone: %d %v", status, got)
	}
}

// A stream of an instance that is frozen ends: who watches must not take its silence for a context that holds.
func TestAStreamThatHasGoneSilent(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = fmt.Fprint(w, "event: bookmark\nid: x\ndata: {}\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer other.Close()
	addr := listen(t, besides(t, strings.TrimPrefix(other.URL, "http://")))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v1/watch?workflow=w", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); err != nil || !strings.HasPrefix(string(said), "event: bookmark") {
		t.Errorf("the stream says %q and does not end: %v", said, err)
	}
}
