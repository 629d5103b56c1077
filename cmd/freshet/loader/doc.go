// Package loader writes recorded events into the topics they belong on, as producers would have done: binary mode, keyed by subject, placed by
// the graph's partitioner, idempotent, acknowledged by all replicas, with the time the record was appended at.
package loader
