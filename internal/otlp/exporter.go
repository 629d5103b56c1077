package otlp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/freshet-io/freshet/internal/metrics"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	prom "github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
)

// Exporter sends what a registry has.
type Exporter struct {
	cfg      Config
	m        *metrics.Metrics
	logger   log.Logger
	reader   *metric.ManualReader
	provider *metric.MeterProvider
	exporter *otlpmetrichttp.Exporter
	failing  bool
}

// Who says whose metrics they are.
type Who struct{ Instance, Version string }

// New returns an exporter that has sent nothing yet. A file that cannot be read is an error here, not later.
func New(ctx context.Context, cfg Config, from prom.Gatherer, who Who, m *metrics.Metrics, logger log.Logger) (*Exporter, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("-otlp.ca-file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("-otlp.ca-file %s: no certificate in it", cfg.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	sending := &sender{next: transport, headersFile: cfg.HeadersFile}
	if _, err := sending.headers(); err != nil {
		return nil, err
	}
	// What is not sent in one request is in the next, so nothing is sent again within one. Redirects are not followed: headers may be secrets.
	client := &http.Client{Transport: sending, Timeout: cfg.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(cfg.Endpoint), otlpmetrichttp.WithHTTPClient(client), otlpmetrichttp.WithTimeout(cfg.Timeout),
		otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression), otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}))
	if err != nil {
		return nil, fmt.Errorf("-otlp.endpoint: %w", err)
	}
	reader := metric.NewManualReader(metric.WithProducer(prometheus.NewMetricProducer(prometheus.WithGatherer(from))))
	provider := metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(resource.NewSchemaless(
		attribute.String("service.name", "freshet"), attribute.String("service.instance.id", who.Instance), attribute.String("service.version", who.Version))))
	return &Exporter{cfg: cfg, m: m, logger: logger, reader: reader, provider: provider, exporter: exporter}, nil
}

// Run sends every so often until ctx ends, and then once more. It fails for nothing: metrics that do not arrive are no reason to stop.
func (e *Exporter) Run(ctx context.Context) error {
	tick := time.NewTicker(e.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return e.stop(context.WithoutCancel(ctx))
		case <-tick.C:
			e.Export(ctx)
		}
	}
}

// farewell is how long the last export may take: an engine that stops does not wait for a collector.
const farewell = 2 * time.Second

func (e *Exporter) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	e.Export(ctx)
	if err := errors.Join(e.provider.Shutdown(ctx), e.exporter.Shutdown(ctx)); err != nil && ctx.Err() == nil {
		return fmt.Errorf("end the export of metrics: %w", err)
	}
	return nil
}

// Export sends what there is now, counts what became of it, and says when that changes.
func (e *Exporter) Export(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	var all metricdata.ResourceMetrics
	err := e.reader.Collect(ctx, &all)
	if err == nil {
		err = e.exporter.Export(ctx, &all)
	}
	if err != nil {
		e.m.Exports.WithLabelValues(metrics.FailedAttempt).Inc()
		if !e.failing {
			_ = level.Warn(e.logger).Log("msg", "metrics cannot be sent; what they say is in what is sent next", "flag", "-otlp.endpoint", "err", err)
		}
	} else {
		e.m.Exports.WithLabelValues(metrics.Delivered).Inc()
		if e.failing {
			_ = level.Info(e.logger).Log("msg", "metrics are sent again", "flag", "-otlp.endpoint")
		}
	}
	e.failing = err != nil
}

// sender adds the headers to requests.
type sender struct {
	next        http.RoundTripper
	headersFile string
}

func (s *sender) headers() (http.Header, error) {
	if s.headersFile == "" {
		return nil, nil
	}
	return readHeaders(s.headersFile)
}

// RoundTrip reads the headers and sends the request with them.
func (s *sender) RoundTrip(r *http.Request) (*http.Response, error) {
	headers, err := s.headers()
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	for name, values := range headers {
		r.Header[name] = values
	}
	return s.next.RoundTrip(r)
}
