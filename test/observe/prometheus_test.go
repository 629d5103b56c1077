package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/freshet-io/freshet/internal/programs"
	"github.com/freshet-io/freshet/test/wait"
)

// scrapeEvery is how often Prometheus scrapes the engine and evaluates its rules.
const scrapeEvery = time.Second

// server is a Prometheus that scrapes one engine.
type server struct{ url string }

// env says whether a real Prometheus is used: "try", or "require" where it is an error that it is missing. make test-observe sets it.
const env = "FRESHET_PROMETHEUS"

// program returns the path of one of Prometheus' programs, or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	wanted := os.Getenv(env)
	if wanted == "" {
		t.Skipf("SKIPPED: %s is not set: make test-observe", env)
	}
	path, err := exec.LookPath(name)
	const missing = "%s is not installed (Debian: apt-get install prometheus)"
	if err != nil && wanted == "require" {
		t.Fatalf(missing, name)
	}
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: "+missing, name)
	}
	return path
}

// startPrometheus starts Prometheus on an engine's HTTP address, with rules, and waits until it answers. It ends with the test. One that is
// asked for native histograms keeps no classic ones.
func startPrometheus(ctx context.Context, t *testing.T, engine string, rules []byte, features string) *server {
	t.Helper()
	program(t, "prometheus")
	at, err := programs.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	p, err := (&programs.Prometheus{Dir: t.TempDir(), Listen: at, Scrape: engine, Every: scrapeEvery, Rules: rules, Features: features}).Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("Prometheus said:\n%s", p.Said())
		}
	})
	s := &server{url: p.URL}
	wait.Until(ctx, t, func() string {
		if up, err := s.instant(`up{job="freshet"} == 1`, time.Now()); err != nil || len(up) == 0 {
			return fmt.Sprintf("Prometheus has not scraped the engine: %v", err)
		}
		return ""
	})
	return s
}

// series is a series of an answer: its values that are numbers, or native histograms, whatever they are.
type series struct {
	labels map[string]string
	at     []float64 // Unix seconds
	values []float64
	native bool
}

// get asks the API, and decodes the data of its answer.
func (s *server) get(path string, query url.Values, data any) error {
	res, err := http.Get(s.url + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%s: %q: %w", res.Status, text, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

type matrix struct {
	Result []struct {
		Metric map[string]string
		Value  [2]any
		Values [][2]any

		Histogram  [2]json.RawMessage
		Histograms [][2]json.RawMessage
	}
}

func (m *matrix) series() []series {
	var all []series
	for _, r := range m.Result {
		one := series{labels: r.Metric}
		if r.Value[0] != nil {
			r.Values = append(r.Values, r.Value)
		}
		for _, v := range r.Values {
			x, err := strconv.ParseFloat(fmt.Sprint(v[1]), 64)
			if at, ok := v[0].(float64); ok && err == nil && !math.IsNaN(x) {
				one.at, one.values = append(one.at, at), append(one.values, x)
			}
		}
		one.native = len(r.Histograms) > 0 || r.Histogram[0] != nil
		if len(one.values) > 0 || one.native {
			all = append(all, one)
		}
	}
	return all
}

// instant returns what an expression is at an instant.
func (s *server) instant(expr string, at time.Time) ([]series, error) {
	var m matrix
	err := s.get("/api/v1/query", url.Values{"query": {expr}, "time": {seconds(at)}}, &m)
	return m.series(), err
}

// span returns what an expression is from one instant to another.
func (s *server) span(expr string, from, to time.Time, step time.Duration) ([]series, error) {
	var m matrix
	err := s.get("/api/v1/query_range", url.Values{"query": {expr}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {fmt.Sprint(step.Seconds())}}, &m)
	return m.series(), err
}

func seconds(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }
