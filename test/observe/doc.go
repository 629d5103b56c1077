// Package observe has the tests that look at a running engine as its operators do: a real Prometheus scrapes it while recorded sessions play,
// and every panel of every dashboard is asked what it shows. Without the program prometheus they are skipped, aloud.
package observe
