package answers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/test/harness"
	"github.com/twmb/franz-go/pkg/kgo"
)

// engine is an engine that is asked.
type engine struct {
	*harness.Engine
	t   *testing.T
	ctx context.Context
}

// start starts an engine with a contract and waits until it stands at the head of its topics.
func start(t *testing.T, contract string, o harness.Options) *engine {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	o.Contract = contract
	if o.Partitions == 0 {
		o.Partitions = 2
	}
	e := &engine{harness.New(t, o), t, ctx}
	e.Start(ctx)
	e.AwaitNow(ctx)
	return e
}

// ask asks for a path and returns the status and the answer.
func (e *engine) ask(method, path, body string) (int, map[string]any) {
	e.t.Helper()
	r := httptest.NewRequestWithContext(e.ctx, method, "http://localhost"+path, strings.NewReader(body))
	w := httptest.NewRecorder()
	e.App.Query().ServeHTTP(w, r)
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		e.t.Fatalf("%s %s: %d %v: %s", method, path, w.Code, err, w.Body)
	}
	return w.Code, answer
}

// check asks a check, which is always answered.
func (e *engine) check(format string, args ...any) map[string]any {
	e.t.Helper()
	status, answer := e.ask(http.MethodPost, "/v1/check", fmt.Sprintf(format, args...))
	if status != http.StatusOK {
		e.t.Fatalf("%s: %d %v", fmt.Sprintf(format, args...), status, answer)
	}
	return answer
}

// says returns verdict and reasons of an answer in one string.
func says(answer map[string]any) string {
	s := fmt.Sprint(answer["verdict"])
	for _, r := range answer["reasons"].([]any) {
		s += " " + r.(string)
	}
	return s
}

// until asks a check until it says what is wanted.
func (e *engine) until(want, format string, args ...any) map[string]any {
	e.t.Helper()
	var answer map[string]any
	e.Until(e.ctx, func() string {
		if answer = e.check(format, args...); says(answer) == want {
			return ""
		}
		return fmt.Sprintf("want %s, the answer is %v", want, answer)
	})
	return answer
}

// tell writes an event as its sender would and returns where it was acknowledged, as a token.
func (e *engine) tell(topic, kind, subject string, at event.Time, data string) string {
	e.t.Helper()
	r := e.record(topic, kind, subject, at, data)
	e.Produce(e.ctx, r)
	return token(r)
}

func token(r *kgo.Record) string {
	return fmt.Sprintf(`{"topic":%q,"partition":%d,"offset":%d}`, r.Topic, r.Partition, r.Offset)
}

// record makes the record of an event.
func (e *engine) record(topic, kind, subject string, at event.Time, data string) *kgo.Record {
	e.t.Helper()
	r := e.Records(e.ctx, [][]byte{line(kind, subject, at, data)})[0]
	r.Timestamp = time.Now()
	if r.Topic != e.Name(topic) {
		e.t.Fatalf("%s goes to %s, not to %s", kind, r.Topic, topic)
	}
	return r
}

// line is a structured event.
func line(kind, subject string, at event.Time, data string) []byte {
	id := fmt.Sprintf("%s/%s/%s/%s", kind, subject, at, data)
	return fmt.Appendf(nil, `{"specversion":"1.0","id":%q,"source":"/test","type":%q,"subject":%q,"time":%q,"workflowtype":"refund","datacontenttype":"application/json","data":%s}`,
		id, kind, subject, at, data)
}

func now() event.Time { return event.Of(time.Now()) }
