// Package app wires the engine together: every package gets here what it uses, as dskit modules that start and stop in the order of
// their dependencies. Commands, the demo, benchmarks and tests embed it.
package app
