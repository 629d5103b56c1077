// Package embedded runs a Kafka broker in this process, for a single machine, the demo and tests.
package embedded
