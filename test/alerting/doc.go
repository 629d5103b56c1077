// Package alerting tests the way of an alert through the whole engine: from what happens to the receivers, over restarts and among several
// instances.
package alerting
