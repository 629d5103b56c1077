// Package otlp sends the metrics of a registry to an OpenTelemetry collector, by OTLP over HTTP, every so often. It defines no series but that of its own
// exports, and nothing waits for it: what could not be sent is in what is sent next, for all values are cumulative.
package otlp
