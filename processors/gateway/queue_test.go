package gateway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
)

// TestAnInputThatHasMoreIsWaitedFor: the inputs of a partition are merged by time, and one of them is read more slowly. As long as its log has more, the
// others wait, but not for ever: it may come no further.
func TestAnInputThatHasMoreIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		records := func(input int, from, n int) (in []In) {
			for i := range n {
				at := begin.Add(time.Duration(from+i) * time.Second)
				in = append(in, In{Topic: input, Msg: &sarama.ConsumerMessage{Offset: int64(from + i), Timestamp: at, Key: []byte("k")}})
			}
			return in
		}
		p := &Partition{units: make(chan *Unit, 100)}
		q := newQueue(p, 2, 2, 4096, func(int, bool) {})
		out := make(chan *sarama.ConsumerMessage, 100)
		done := make(chan struct{})
		go func() { q.run(ctx, []string{"a", "b"}, out); close(done) }()
		passed := func(what string, want int, took time.Duration) {
			t.Helper()
			from, n := time.Now(), 0
			for n < want {
				select {
				case u := <-p.units:
					n += len(u.Records)
					<-out
				case <-time.After(time.Minute):
					t.Fatalf("%s: %d records of %d", what, n, want)
				}
			}
			synctest.Wait()
			if more := len(p.units); n != want || more > 0 || time.Since(from) != took {
				t.Errorf("%s: %d records and %d units more after %v, want %d after %v", what, n, more, time.Since(from), want, took)
			}
		}
		q.push(0, records(0, 0, 3), 7)
		q.push(1, records(1, 0, 10), 0)
		passed("what can be merged", 5, 0)
		time.AfterFunc(patience/2, func() { q.push(0, records(0, 3, 3), 4) })
		passed("what was waited for", 6, patience/2)
		passed("what it is not waited for any more", 5, patience)
		q.push(1, records(1, 10, 1), 0)
		passed("while it brings nothing", 1, 0)
		q.push(0, records(0, 6, 1), 1) // the marker of a transaction
		q.push(1, records(1, 11, 2), 0)
		passed("while there is less than a batch", 3, 0)
		cancel()
		<-done
	})
}
