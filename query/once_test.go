package query

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// counting is a listener that counts how often its connections are written to.
type counting struct {
	net.Listener
	writes atomic.Int64
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	return &counted{conn, c}, err
}

type counted struct {
	net.Conn
	of *counting
}

func (c *counted) Write(b []byte) (int, error) {
	c.of.writes.Add(1)
	return c.Conn.Write(b)
}

// An answer of several KiB leaves in one piece, and the connection goes on to be used, by answers of every size.
func TestAnAnswerIsWrittenAtOnce(t *testing.T) {
	f := ten(t)
	f.live(zero + 30*second)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &counting{Listener: inner}
	srv, l, err := f.serve(t, Config{MaxConnections: 10}).HTTP(c, true)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	conn, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	batch := func(n int) string { return `[` + strings.Repeat(`{"workflow":"w"},`, n-1) + `{"workflow":"w"}]` }
	for i, q := range []struct {
		path, body string
		status     int
		least      int // bytes of the answer
		pieces     bool
	}{
		{"/v1/check", `{"workflow":"w"}`, 200, 4 << 10, false},
		{"/v1/check", `{"workflow":"nobody"}`, 200, 0, false},
		{"/v1/gate", `{"workflow":"w"}`, 200, 4 << 10, false},
		{"/v1/check", `{"workflow":`, 400, 0, false},
		{"/v1/check:batch", batch(5), 200, heldLimit, false}, // more than a connection uses again
		{"/v1/check:batch", batch(20), 200, keepLimit, true}, // too long to be held
		{"/v1/check", `{"workflow":"w"}`, 200, 4 << 10, false},
	} {
		before := c.writes.Load()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", q.path, len(q.body), q.body)
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != q.status || len(b) < q.least || int64(len(b)) != r.ContentLength || b[len(b)-1] != '\n' || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d: %d, %d bytes of %d, %v, %v", i, r.StatusCode, len(b), r.ContentLength, r.Header, err)
		}
		if n := c.writes.Load() - before; n != 1 && !q.pieces {
			t.Errorf("%d: %d bytes were written in %d pieces", i, len(b), n)
		}
	}
}
