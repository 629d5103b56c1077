// Package buckets compares what objectives have counted with what can be counted from the last revisions of all verdicts. Tests of every
// kind use it: over the embedded broker, over Kafka, after crashes.
package buckets
