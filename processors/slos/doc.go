// Package slos reads the buckets of all objectives, of all partitions, and says how the objectives stand: for metrics, for answers and for
// alerts. Every instance that needs it has its own copy in memory; who writes the buckets is package workflows.
package slos
