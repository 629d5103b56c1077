// Package metrics defines every series of the engine, once.
//
// A Metrics is made for a registry and handed to whoever counts; there are no package-level metrics. Label values come from the contract
// or from closed sets: Labels turns what the contract does not name into "_other". What can stop is exported as a timestamp, not as an
// age, and the series of a partition go when the partition goes. docs/metrics.md is generated from here.
package metrics
