package peer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"
)

func TestAQuestionIsRecognized(t *testing.T) {
	now := time.Now()
	secret := Secret("0123456789abcdef")
	var asked Client
	var refused error
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "" {
			t.Error("the caller's token has come along")
		}
		if asked, refused = secret.Verify(r, body, now); refused != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusPreconditionFailed)
		_, _ = w.Write(append([]byte(r.URL.RequestURI()+" "), body...))
	}))
	defer s.Close()
	addr := strings.TrimPrefix(s.URL, "http://")
	ask := func(a *Asker) *Answer {
		t.Helper()
		answer, err := a.Ask(t.Context(), addr, http.MethodPost, "/v1/check?x=1", []byte("body"), Client{Name: "one", Types: []string{"refund"}})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	clock := func() time.Time { return now }
	got := ask(NewAsker(secret, nil, clock))
	if got.Status != http.StatusPreconditionFailed || string(got.Body) != "/v1/check?x=1 body" || got.Header.Get("Retry-After") != "1" {
		t.Errorf("answer %d %s", got.Status, got.Body)
	}
	if asked.Name != "one" || !slices.Equal(asked.Types, []string{"refund"}) {
		t.Errorf("asked by %+v", asked)
	}
	if got := ask(NewAsker(Secret("another"), nil, clock)); got.Status != http.StatusUnauthorized || refused == nil {
		t.Errorf("another secret: %d", got.Status)
	}
	if got := ask(NewAsker(secret, nil, func() time.Time { return now.Add(-time.Minute) })); got.Status != http.StatusUnauthorized {
		t.Errorf("a minute old: %d", got.Status)
	}
}

// However many watch through an instance, questions find their way.
func TestStreamsLeaveRoomForQuestions(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/watch" {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	addr := strings.TrimPrefix(s.URL, "http://")
	a := NewAsker(Secret("0123456789abcdef"), nil, time.Now)
	defer a.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range perPeer {
		resp, err := a.Open(ctx, addr, "/v1/watch", Client{Name: "one"}, http.Header{})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
	}
	asked, enough := context.WithTimeout(t.Context(), 30*time.Second)
	defer enough()
	if _, err := a.Ask(asked, addr, http.MethodPost, "/v1/check", []byte("{}"), Client{Name: "one"}); err != nil {
		t.Error(err)
	}
}

// Whatever of a signed request is changed, it is no longer signed.
func TestNothingCanBeChanged(t *testing.T) {
	now := time.Now()
	secret := Secret("s")
	signed := func() *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/v1/check?a=1", nil)
		if err := secret.sign(r, Client{Name: "one"}, []byte("body"), now); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if _, err := secret.Verify(signed(), []byte("body"), now); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(r *http.Request) string{
		"body":      func(*http.Request) string { return "other" },
		"method":    func(r *http.Request) string { r.Method = http.MethodGet; return "body" },
		"path":      func(r *http.Request) string { r.URL.Path = "/v1/status"; return "body" },
		"query":     func(r *http.Request) string { r.URL.RawQuery = "a=2"; return "body" },
		"client":    func(r *http.Request) string { r.Header.Set(clientHeader, "e30="); return "body" },
		"time":      func(r *http.Request) string { r.Header.Set(timeHeader, "1"); return "body" },
		"signature": func(r *http.Request) string { r.Header.Set(signHeader, ""); return "body" },
	} {
		r := signed()
		if _, err := secret.Verify(r, []byte(change(r)), now); err == nil {
			t.Errorf("with another %s it is still signed", name)
		}
	}
}

func TestTheGroupIsAskedOnceForMany(t *testing.T) {
	var asked atomic.Int64
	go_ := make(chan struct{})
	now := time.Unix(1000, 0)
	b := NewBook("a", func(context.Context) ([]Member, error) {
		asked.Add(1)
		<-go_
		return []Member{{"a", "a:1", []int32{0}}, {"b", "b:1", []int32{1, 2}}, {"c", "", []int32{3}}}, nil
	}, func() time.Time { return now }, log.NewNopLogger())
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { b.Owner(t.Context(), 1) })
	}
	close(go_)
	wg.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the group was asked %d times", n)
	}
	for p, want := range map[int32]string{0: "", 1: "b:1", 2: "b:1", 3: "", 4: ""} {
		if got := b.Owner(t.Context(), p); got != want {
			t.Errorf("partition %d is with %q, want %q", p, got, want)
		}
	}
	if peers := b.Peers(t.Context()); len(peers) != 1 || peers[0].Instance != "b" {
		t.Errorf("peers %v", peers)
	}
}

// Where the group does not answer, nothing is known; nobody waits for ever.
func TestTheGroupIsGone(t *testing.T) {
	now := time.Unix(1000, 0)
	fail := errors.New("gone")
	b := NewBook("a", func(context.Context) ([]Member, error) { return nil, fail }, func() time.Time { return now }, log.NewNopLogger())
	if got := b.Owner(t.Context(), 1); got != "" {
		t.Errorf("partition 1 is with %q", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	slow := NewBook("a", func(ctx context.Context) ([]Member, error) { <-ctx.Done(); return nil, ctx.Err() }, func() time.Time { return now }, log.NewNopLogger())
	if got := slow.Owner(ended, 1); got != "" {
		t.Errorf("partition 1 is with %q", got)
	}
}
