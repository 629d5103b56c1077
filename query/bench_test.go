package query

import (
	"fmt"
	"io"
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
