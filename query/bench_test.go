package query

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/query/check"
)

// ten is an engine whose workflow w holds ten items, each a version behind.
func ten(tb testing.TB) *fake {
	var refs []string
	events := [][]byte{}
	for i := range 10 {
		refs = append(refs, fmt.Sprintf(`{"kind":"policy","key":"p%d","seq":1}`, i))
		for seq := range 3 {
			events = append(events, tell("source.updated", fmt.Sprintf("policy/p%d", i), event.Time(seq), fmt.Sprintf(`{"kind":"policy","key":"p%d","seq":%d}`, i, seq)))
		}
	}
	load := fmt.Appendf(nil, `{"specversion":"1.0","id":"ten","source":"/t","type":"context.loaded","subject":"w","time":%q,"workflowtype":"refund","data":{"refs":[%s]}}`,
		at(20), strings.Join(refs, ","))
	return refund(tb, append(events, load)...)
}

// BenchmarkJudge is the judgement of ten items whose row is decoded, and the bytes of the answer.
func BenchmarkJudge(b *testing.B) {
	f := ten(b)
	f.live(zero + 30*second)
	s := f.serve(b, Config{})
	q, x := check.Request{Workflow: "w", MaxLag: check.DefaultLag}, new(exchange)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.judge.Load().Check(b.Context(), &q, &x.answer); err != nil {
			b.Fatal(err)
		}
	}
	if len(x.answer.Verdict.Items) != 11 {
		b.Fatalf("%d items", len(x.answer.Verdict.Items))
	}
}

// nobody takes an answer and keeps nothing.
type nobody struct{ h http.Header }

func (n nobody) Header() http.Header         { return n.h }
func (n nobody) Write(b []byte) (int, error) { return len(b), nil }
func (n nobody) WriteHeader(int)             {}

// BenchmarkCheck is a whole request but for what net/http does to read and write it.
func BenchmarkCheck(b *testing.B) {
	f := ten(b)
	f.live(zero + 30*second)
	h := f.serve(b, Config{}).Handler(true)
	body := strings.NewReader("")
	r := request(http.MethodPost, "/v1/check", "")
	w := nobody{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(`{"workflow":"w"}`)
		r.Body = io.NopCloser(body)
		clear(w.h)
		h.ServeHTTP(w, r)
	}
}

// BenchmarkRequest is a whole request on a kept connection, as net/http reads and writes it: what is allocated is the server's alone.
func BenchmarkRequest(b *testing.B) {
	f := ten(b)
	f.live(zero + 30*second)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv, l, err := f.serve(b, Config{MaxConnections: 10}).HTTP(l, true)
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	const body = `{"workflow":"w"}`
	request := fmt.Appendf(nil, "POST /v1/check HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", l.Addr(), len(body), body)
	answer := make([]byte, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		for n := 0; !bytes.HasSuffix(answer[:n], []byte("}\n")); {
			m, err := conn.Read(answer[n:])
			if err != nil {
				b.Fatal(err)
			}
			n += m
		}
	}
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
		b.Fatalf("%s", answer[:100])
	}
}
