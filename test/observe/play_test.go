package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/alerts/rules"
	"github.com/freshet-io/freshet/cmd/freshet/demo"
	"github.com/freshet-io/freshet/cmd/freshet/loader"
	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/recorded"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/test/harness"
)

// The stretch of the recording that plays while Prometheus scrapes, and how long it takes. What lies before it is loaded before the engine
// starts.
const (
	historyFrom = 15_500
	playFrom    = 17_500
	playTo      = 19_500
	playFor     = 25 * time.Second
)

// watched is what the contract of the recording gets besides: an objective, and what becomes an alert.
const watched = `
slos:
  - name: commits-fresh
    workflow: coding-session
    use: action.executed
    objective: 0.9
    window: 1d
    owner: agents
    alerting: {page: [{burn: 2, long: 10m, short: 1m}], min_events: 5}
detections: [{name: held, workflow: coding-session, for: 1s, severity: ticket}]
`

// stage is an engine with the history of the recording, and two Prometheus that scrape it.
type stage struct {
	engine   *harness.Engine
	classic  *server // keeps classic histograms
	native   *server // keeps native ones
	script   *demo.Script
	history  event.Time // the history's end, moved to now
	sessions []string
	began    time.Time
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// newStage starts the engine and Prometheus.
func newStage(ctx context.Context, t *testing.T) *stage {
	t.Helper()
	program(t, "prometheus")
	text := append(recorded.Contract(), watched...)
	contract := filepath.Join(t.TempDir(), "contracts.yaml")
	if err := os.WriteFile(contract, text, 0o600); err != nil {
		t.Fatal(err)
	}
	lines, err := recorded.Events()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{history: event.Of(time.Now())}
	if s.script, err = demo.NewScript(lines[historyFrom:playTo], playFrom-historyFrom, playTo-historyFrom); err != nil {
		t.Fatal(err)
	}
	s.engine = harness.New(t, harness.Options{Contract: contract, Partitions: 2, HTTP: true})
	var past [][]byte
	err = s.script.History(s.history, func(line []byte) error {
		past = append(past, bytes.Clone(line))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.engine.Load(ctx, past)
	s.engine.Start(ctx)
	s.engine.AwaitNow(ctx)
	s.sessions = sessions(t, lines[historyFrom:playTo])
	http, rules := s.engine.App.HTTPAddr(), generated(t, text)
	s.classic = startPrometheus(ctx, t, http, rules, "exemplar-storage")
	s.native = startPrometheus(ctx, t, http, rules, "exemplar-storage,native-histograms")
	s.began = time.Now()
	return s
}

// generated are the rules of a contract.
func generated(t *testing.T, contract []byte) []byte {
	t.Helper()
	f, err := slo.Parse(contract, "contracts.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := rules.Build(f, rules.Options{Job: "freshet", Owner: "platform"}).YAML()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sessions are the workflows of events.
func sessions(t *testing.T, lines [][]byte) (ids []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, line := range lines {
		var e struct{ Subject, Type string }
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(e.Type, "source.") && !seen[e.Subject] {
			seen[e.Subject] = true
			ids = append(ids, e.Subject)
		}
	}
	if len(ids) == 0 {
		t.Fatal("no workflow plays")
	}
	return ids
}

// play writes each event of the live stretch when its time has come, while agents ask.
func (s *stage) play(ctx context.Context, t *testing.T) {
	t.Helper()
	l, err := loader.Open(ctx, access.Open(s.engine.Brokers()...), s.engine.Graph())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asking, stop := context.WithCancel(ctx)
	asked := make(chan error, 1)
	go func() { asked <- s.ask(asking) }()
	err = s.script.Live(s.history, event.Of(s.began), freshness.Duration(playFor.Milliseconds()), func(at event.Time, line []byte) error {
		wait := time.NewTimer(time.Until(at.Go()))
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		r, reason := l.Record(line)
		if reason != event.OK {
			return fmt.Errorf("%v: %s", reason, line)
		}
		return l.Produce(ctx, r)
	})
	if err == nil {
		err = l.Finish(ctx)
	}
	stop()
	if asking := <-asked; err == nil {
		err = asking
	}
	if err != nil {
		t.Fatal(err)
	}
	s.engine.AwaitNow(ctx)
}

// ask asks about the sessions, one after the other, until ctx ends.
func (s *stage) ask(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		body := fmt.Sprintf(`{"workflow":%q}`, s.sessions[i%len(s.sessions)])
		res, err := http.Post("http://"+s.engine.App.HTTPAddr()+"/v1/check", "application/json", strings.NewReader(body))
		if err != nil {
			return err
		}
		text, err := io.ReadAll(res.Body)
		if err := res.Body.Close(); err != nil {
			return err
		}
		if err != nil || res.StatusCode != http.StatusOK {
			return fmt.Errorf("check: %s: %s: %w", res.Status, text, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
