package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Asking is a load of requests: one after the other on each of some connections that are kept, at a rate that does not wait for answers.
type Asking struct {
	Addr        string
	Path        string
	Bodies      [][]byte // by turns
	Connections int
	Rate        float64 // requests a second
	For         time.Duration
}

// Asked is what a load of requests has come to. A latency counts from when the request was due, unless its connection was free before then:
// how late a timer fires is not the server's doing.
type Asked struct {
	Answers  int64            `json:"answers"`
	Reached  float64          `json:"answers_per_second"`
	P50      float64          `json:"p50_us"`
	P99      float64          `json:"p99_us"`
	Max      float64          `json:"max_us"`
	Verdicts map[string]int64 `json:"verdicts"`
	Other    int64            `json:"other_statuses"`
}

// verdicts of an answer, as they stand in its text.
func verdicts() []string { return []string{"fresh", "stale", "unknown"} }

// asker is one connection.
type asker struct {
	*Asking
	conn   net.Conn
	in     *bufio.Reader
	body   []byte
	took   []time.Duration
	counts [4]int64 // by verdict; the last: neither
	other  int64
}

// Run makes the requests.
func (a *Asking) Run(ctx context.Context) (Asked, error) {
	requests := make([][]byte, len(a.Bodies))
	for i, body := range a.Bodies {
		requests[i] = a.request(body)
	}
	askers := make([]*asker, a.Connections)
	for i := range askers {
		one, err := a.open()
		if err != nil {
			return Asked{}, err
		}
		defer one.conn.Close()
		askers[i] = one
	}
	var next atomic.Int64
	var all sync.WaitGroup
	failed := make([]error, len(askers))
	begun := time.Now()
	for i, one := range askers {
		all.Go(func() { failed[i] = one.run(ctx, begun, &next, requests) })
	}
	all.Wait()
	return sum(askers, time.Since(begun)), errors.Join(failed...)
}

func (a *Asking) request(body []byte) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", a.Path, a.Addr, len(body), body)
}

func (a *Asking) open() (*asker, error) {
	conn, err := net.Dial("tcp", a.Addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", a.Addr, err)
	}
	return &asker{Asking: a, conn: conn, in: bufio.NewReaderSize(conn, 16<<10), took: make([]time.Duration, 0, 1<<14)}, nil
}

func (a *asker) run(ctx context.Context, begun time.Time, next *atomic.Int64, requests [][]byte) error {
	for ctx.Err() == nil {
		n := next.Add(1) - 1
		due := begun.Add(time.Duration(float64(n) / a.Rate * float64(time.Second)))
		if due.Sub(begun) > a.For || time.Since(begun) > a.For {
			return nil
		}
		from := due
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
			from = time.Now()
		}
		if err := a.ask(requests[n%int64(len(requests))]); err != nil {
			return err
		}
		a.took = append(a.took, time.Since(from))
	}
	return ctx.Err()
}

// ask sends a request and reads its answer.
func (a *asker) ask(request []byte) error {
	if _, err := a.conn.Write(request); err != nil {
		return fmt.Errorf("ask %s: %w", a.Path, err)
	}
	status, err := a.in.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", a.Path, err)
	}
	ok, length := bytes.HasPrefix(status, []byte("HTTP/1.1 200")), 0
	for {
		line, err := a.in.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("read the answer of %s: %w", a.Path, err)
		}
		if len(line) <= 2 {
			break
		}
		if value, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return fmt.Errorf("read the answer of %s: %w", a.Path, err)
			}
		}
	}
	if cap(a.body) < length {
		a.body = make([]byte, length)
	}
	a.body = a.body[:length]
	if _, err := io.ReadFull(a.in, a.body); err != nil {
		return fmt.Errorf("read the answer of %s: %w", a.Path, err)
	}
	if !ok {
		a.other++
	}
	a.counts[verdictOf(a.body)]++
	return nil
}

// verdictOf returns which of the verdicts an answer begins with.
func verdictOf(body []byte) int {
	rest, _ := bytes.CutPrefix(body, []byte(`{"verdict":"`))
	for i, v := range verdicts() {
		if bytes.HasPrefix(rest, []byte(v)) {
			return i
		}
	}
	return len(verdicts())
}

func sum(askers []*asker, took time.Duration) Asked {
	var all []time.Duration
	r := Asked{Verdicts: map[string]int64{}}
	for _, a := range askers {
		all = append(all, a.took...)
		r.Other += a.other
		for i, v := range verdicts() {
			if a.counts[i] > 0 {
				r.Verdicts[v] += a.counts[i]
			}
		}
	}
	r.Answers = int64(len(all))
	r.Reached = float64(r.Answers) / took.Seconds()
	r.P50, r.P99, r.Max = Quantiles(all)
	return r
}

// Quantiles returns the median, the 99th hundredth and the greatest of durations, in microseconds.
func Quantiles(all []time.Duration) (p50, p99, most float64) {
	if len(all) == 0 {
		return 0, 0, 0
	}
	slices.Sort(all)
	micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	return micros(all[len(all)/2]), micros(all[len(all)*99/100]), micros(all[len(all)-1])
}
