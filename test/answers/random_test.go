package answers

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/freshet-io/freshet/test/honest"
)

var (
	seed = flag.Uint64("answers.seed", 0, "seed of the random run; 0 takes one from the clock and prints it")
	span = flag.Duration("answers.span", 8*time.Second, "how long the random run takes")
)

// Of all that two instances answer while partitions move between them, nothing is fresh that was not, nothing stale that was not, and what
// is fresh is so for as long as is said. make test-honesty runs more of it, with kills.
func TestNoAnswerIsWrong(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./test/answers -count=1 -run '^%s$' -answers.seed=%d -answers.span=%s", t.Name(), *seed, *span)
	ctx, cancel := context.WithTimeout(t.Context(), *span+5*time.Minute)
	defer cancel()
	contract := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(contract, []byte(honest.Contract), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := slo.Parse([]byte(honest.Contract), contract, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	one := harness.New(t, harness.Options{Contract: contract, Partitions: 4})
	both := []*harness.Engine{one, one.Another("two")}
	for _, e := range both {
		e.Start(ctx)
	}
	one.Until(ctx, func() string {
		if a, b := len(both[0].App.Partitions()), len(both[1].App.Partitions()); a == 0 || b == 0 {
			return fmt.Sprintf("one has %d partitions, two has %d", a, b)
		}
		return ""
	})
	log := honest.NewLog(file.Contract())
	var mu sync.RWMutex // an engine that is started again is another one
	const enough = 20   // of each verdict
	play := honest.Play{
		Enough: func() bool { return log.Has(enough) },
		Seed:   *seed, Items: 3, Workflows: 6, Askers: 4, Gap: 30 * time.Millisecond, Aborts: true,
		Teller: func() honest.Teller {
			return &honest.Kafka{Brokers: one.Brokers(), Graph: one.Graph(), TxnID: "test/honest"}
		},
		Ask: func(ctx context.Context, r *rand.Rand, body []byte) (string, []byte, error) {
			n := r.IntN(2)
			mu.RLock()
			h := both[n].App.Query()
			mu.RUnlock()
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/v1/check", bytes.NewReader(body)))
			if w.Code != http.StatusOK {
				return "", nil, fmt.Errorf("%d: %s", w.Code, w.Body)
			}
			return fmt.Sprint("instance ", n), w.Body.Bytes(), nil
		},
	}
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		<-time.After(*span / 3)
		both[1].Stop()
		<-time.After(*span / 6)
		mu.Lock()
		defer mu.Unlock()
		both[1].Start(ctx)
	}()
	unanswered, err := play.Run(ctx, log, *span)
	<-moved
	if err != nil {
		t.Fatal(err)
	}
	report := log.Compare()
	t.Logf("%v; %d checks without an answer", report, unanswered)
	for _, example := range report.Examples {
		t.Error(example)
	}
	if report.Wrong() > 0 || unanswered > 0 || report.Fresh < enough || report.Stale < enough || report.Unknown < enough {
		t.Errorf("%v; %d checks without an answer", report, unanswered)
	}
}
