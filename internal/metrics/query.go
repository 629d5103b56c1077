package metrics

import "github.com/prometheus/client_golang/prometheus"

// Query holds the series of the HTTP server.
type Query struct {
	// Checks counts answers to checks by verdict.
	Checks *prometheus.CounterVec
	// CheckDuration observes seconds from a check's request, once it is read, until its answer, waiting included.
	CheckDuration prometheus.Histogram
	// Denied counts requests that were denied by why.
	Denied *prometheus.CounterVec
	// Connections is how many connections are open.
	Connections prometheus.Gauge
}

// query defines what is asked of the HTTP server.
func (b *builder) query() {
	m := b.m
	m.Checks = b.counter("checks_total", "Checks answered, by verdict.", "verdict")
	for _, v := range closedValues("checks_total", "verdict") {
		m.Checks.WithLabelValues(v)
	}
	m.CheckDuration = b.histogram("check_duration_seconds", "From a check that has been read until its answer, waiting for records included.", answers()).WithLabelValues().(prometheus.Histogram)
	m.Denied = b.counter("requests_denied_total", "Requests that were denied, by why.", "why")
	m.Connections = b.gauge("http_connections", "Connections open to the HTTP server.").WithLabelValues()
}

// answers spans what an answer takes, from memory to the longest wait.
func answers() []float64 {
	return []float64{5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30}
}
