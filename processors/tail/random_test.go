package tail

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRandomLogs writes random logs, of plain records and of transactions that lie between each other, and holds every answer against
// what was written: an offset holds a record that a reader is given, or not.
func TestRandomLogs(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("FRESHET_TEST_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("repeat with FRESHET_TEST_SEED=%d go test ./processors/tail -run '^TestRandomLogs$'", seed)
	onBrokers(t, func(t *testing.T, r *rig) {
		l := r.logs(t)
		writers := []*writer{r.writer(t, name("a")), r.writer(t, name("b"))}
		for run := range uint64(12) {
			rnd := rand.New(rand.NewPCG(seed, run))
			topic := r.topic(t, 1)
			given, start := writeRandom(t, r, rnd, topic, writers)
			end := int64(len(given))
			next := func(from int64) (int64, bool) {
				for o := max(from, start); o < end; o++ {
					if given[o] {
						return o, true
					}
				}
				return end, false
			}
			usable := start
			for o := start; o < end; o++ {
				if given[o] {
					usable = o + 1
				}
			}
			if got, err := l.Usable(within(t), topic, 0); err != nil || got != usable {
				t.Errorf("run %d: Usable = %d, %v; want %d", run, got, err, usable)
			}
			for range 10 {
				from := rnd.Int64N(end + 1)
				want, record := next(from)
				got, gotRecord, err := l.Next(within(t), topic, 0, from)
				if err != nil || gotRecord != record || got != want {
					t.Errorf("run %d: Next from %d = %d, %v, %v; want %d, %v", run, from, got, gotRecord, err, want, record)
				}
			}
		}
	})
}

// writeRandom writes a log and returns which of its offsets hold a record that a reader is given, and its start.
func writeRandom(t *testing.T, r *rig, rnd *rand.Rand, topic string, writers []*writer) (given []bool, start int64) {
	t.Helper()
	open := make([][]int, len(writers)) // offsets of the open transactions
	began := make([]bool, len(writers))
	end := func(i int, how kgo.TransactionEndTry) {
		writers[i].end(t, how)
		for _, o := range open[i] {
			given[o] = how == kgo.TryCommit
		}
		if len(open[i]) > 0 {
			given = append(given, false) // its marker
			// Kafka writes markers after it has said that the transaction has ended; what comes next must lie behind it.
			r.awaitEnd(t, topic, 0, int64(len(given)))
		}
		open[i], began[i] = nil, false
	}
	for range rnd.IntN(60) {
		n := 1 + rnd.IntN(4)
		i := rnd.IntN(len(writers) + 1)
		switch {
		case i == len(writers):
			r.plain(t, topic, 0, n)
			for range n {
				given = append(given, true)
			}
		case began[i] && rnd.IntN(2) == 0:
			end(i, kgo.TransactionEndTry(rnd.IntN(3) == 0))
		default:
			if !began[i] {
				if err := writers[i].cl.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				began[i] = true
			}
			put(t, writers[i].cl, topic, 0, n)
			for range n {
				open[i] = append(open[i], len(given))
				given = append(given, false)
			}
		}
	}
	for i := range writers {
		if began[i] {
			end(i, kgo.TryAbort)
		}
	}
	if rnd.IntN(3) == 0 && len(given) > 0 {
		start = rnd.Int64N(int64(len(given)) + 1)
		r.deleteBelow(t, topic, 0, start)
	}
	return given, start
}
