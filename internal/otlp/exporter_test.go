package otlp

import (
	"compress/gzip"
	"context"
	"encoding/pem"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is a collector: it takes requests, or refuses them.
type receiver struct {
	t    *testing.T
	took chan struct{} // one for each request, as long as somebody waits

	mu       sync.Mutex
	refusing bool
	headers  []http.Header
	requests []*collector.ExportMetricsServiceRequest
}

func (r *receiver) refuse(yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusing = yes
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refusing {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	if req.URL.Path != "/v1/metrics" || req.Header.Get("Content-Type") != "application/x-protobuf" || req.Header.Get("Content-Encoding") != "gzip" {
		r.t.Errorf("%s %s: %v", req.Method, req.URL, req.Header)
	}
	plain, err := gzip.NewReader(req.Body)
	if err != nil {
		r.t.Error(err)
		return
	}
	body, err := io.ReadAll(plain)
	if err != nil {
		r.t.Error(err)
		return
	}
	var m collector.ExportMetricsServiceRequest
	if err := proto.Unmarshal(body, &m); err != nil {
		r.t.Error(err)
	}
	r.requests, r.headers = append(r.requests, &m), append(r.headers, req.Header)
	w.Header().Set("Content-Type", "application/x-protobuf")
	select {
	case r.took <- struct{}{}:
	default:
	}
}

// last returns the metrics of the latest request by name, how many requests there were, and who sent it.
func (r *receiver) last() (all map[string]*otlp.Metric, n int, who map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, who = map[string]*otlp.Metric{}, map[string]string{}
	if n = len(r.requests); n == 0 {
		return all, 0, who
	}
	for _, resource := range r.requests[n-1].ResourceMetrics {
		for _, a := range resource.Resource.Attributes {
			who[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range resource.ScopeMetrics {
			for _, m := range scope.Metrics {
				all[m.Name] = m
			}
		}
	}
	return all, n, who
}

func (r *receiver) header(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.headers[len(r.headers)-1].Get(name)
}

func config(t *testing.T, endpoint string) Config {
	t.Helper()
	var c Config
	c.RegisterFlags(flag.NewFlagSet("otlp", flag.PanicOnError))
	c.Endpoint = endpoint
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What Prometheus would scrape arrives at a collector: names, labels, values, histograms, whose it is; with the headers that the file has
// now. What a collector refuses is in the next request.
func TestMetricsArrive(t *testing.T) {
	r := &receiver{t: t}
	srv := httptest.NewServer(r)
	defer srv.Close()
	reg := prometheus.NewPedanticRegistry()
	m := metrics.New(reg)
	cfg := config(t, srv.URL+"/v1/metrics")
	cfg.HeadersFile = file(t, "headers", "# of the collector\nAuthorization: Bearer one\n\n")
	e, err := New(t.Context(), cfg, reg, Who{Instance: "i-1", Version: "v1"}, m, log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	m.Events.WithLabelValues("workflow.tool", metrics.Applied).Add(3)
	metrics.Inc(m.StaleDecisions.WithLabelValues("refund", "policy", "hold_tool", "risk"), metrics.Trail{Workflow: "wf-1", Decision: "d-1"}.Exemplar())
	m.AppliedThrough.WithLabelValues("workflows/3").Set(7)
	m.Staleness.WithLabelValues("refund", "policy").Observe(12)

	r.refuse(true)
	e.Export(t.Context())
	if _, n, _ := r.last(); n != 0 || !e.failing {
		t.Fatalf("%d requests were taken, failing %v", n, e.failing)
	}
	r.refuse(false)
	if err := os.WriteFile(cfg.HeadersFile, []byte("authorization: Bearer two"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.Export(t.Context())
	all, n, who := r.last()
	if n != 1 || e.failing || r.header("Authorization") != "Bearer two" {
		t.Errorf("%d requests, failing %v, authorization %q", n, e.failing, r.header("Authorization"))
	}
	if who["service.name"] != "freshet" || who["service.instance.id"] != "i-1" || who["service.version"] != "v1" {
		t.Errorf("sent by %v", who)
	}
	events := all["freshet_events_total"].GetSum()
	if !events.GetIsMonotonic() || events.GetAggregationTemporality() != otlp.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE || len(events.DataPoints) != 1 ||
		events.DataPoints[0].GetAsDouble() != 3 || attributes(events.DataPoints[0]) != "result=applied topic=workflow.tool" {
		t.Errorf("events: %v", events)
	}
	if stale := all["freshet_stale_decisions_total"].GetSum().GetDataPoints(); len(stale) != 1 || len(stale[0].Exemplars) != 1 || len(stale[0].Exemplars[0].FilteredAttributes) != 2 {
		t.Errorf("stale decisions: %v", stale)
	}
	if g := all["freshet_applied_through_timestamp_seconds"].GetGauge().GetDataPoints(); len(g) != 1 || g[0].GetAsDouble() != 7 {
		t.Errorf("clock: %v", g)
	}
	if h := all["freshet_staleness_at_use_seconds"].GetExponentialHistogram().GetDataPoints(); len(h) != 1 || h[0].Count != 1 || h[0].GetSum() != 12 {
		t.Errorf("staleness: %v", h)
	}
	e.Export(t.Context())
	all, _, _ = r.last()
	results := map[string]float64{}
	for _, p := range all["freshet_otlp_exports_total"].GetSum().GetDataPoints() {
		results[attributes(p)] = p.GetAsDouble()
	}
	if results["result=failed"] != 1 || results["result=delivered"] != 1 {
		t.Errorf("exports: %v", results)
	}
}

func attributes(p *otlp.NumberDataPoint) string {
	var all []string
	for _, a := range p.Attributes {
		all = append(all, a.Key+"="+a.Value.GetStringValue())
	}
	return strings.Join(all, " ")
}

// Metrics are sent every so often, and once more at the end.
func TestItSendsUntilTheEnd(t *testing.T) {
	r := &receiver{t: t, took: make(chan struct{}, 1)}
	srv := httptest.NewTLSServer(r)
	defer srv.Close()
	reg := prometheus.NewRegistry()
	cfg := config(t, srv.URL+"/v1/metrics")
	cfg.Interval = time.Millisecond
	cfg.CAFile = file(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	e, err := New(t.Context(), cfg, reg, Who{}, metrics.New(reg), log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	for range 3 {
		<-r.took
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"-otlp.endpoint":                        func(c *Config) { c.Endpoint = "collector:4317" },
		"whole path":                            func(c *Config) { c.Endpoint = "http://collector:4318" },
		"credentials stand in":                  func(c *Config) { c.Endpoint = "https://me:secret@collector/v1/metrics" },
		"-otlp.interval 0s":                     func(c *Config) { c.Interval = 0 },
		"-otlp.timeout -1s":                     func(c *Config) { c.Timeout = -time.Second },
		`-otlp.ca-file "ca.pem": has no effect`: func(c *Config) { c.Endpoint, c.CAFile = "", "ca.pem" },
		`-otlp.headers-file "h": has no effect`: func(c *Config) { c.Endpoint, c.HeadersFile = "", "h" },
	} {
		c := config(t, "http://collector:4318/v1/metrics")
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%q: %v", want, err)
		}
	}
	for want, change := range map[string]func(*Config){
		"line 2: must be NAME: VALUE": func(c *Config) { c.HeadersFile = file(t, "h", "a: b\nc d: e\n") },
		"-otlp.headers-file: open":    func(c *Config) { c.HeadersFile = filepath.Join(t.TempDir(), "none") },
		"no certificate in it":        func(c *Config) { c.CAFile = file(t, "ca", "nothing") },
		"-otlp.ca-file: open":         func(c *Config) { c.CAFile = filepath.Join(t.TempDir(), "none") },
	} {
		c := config(t, "http://collector:4318/v1/metrics")
		change(&c)
		reg := prometheus.NewRegistry()
		if _, err := New(t.Context(), c, reg, Who{}, metrics.New(reg), log.NewNopLogger()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
