// Package rules writes Prometheus rules: what watches the engine from outside, since a dead engine says nothing, and per objective
// multi-window burn-rate rules over the engine's counters. Those are a second way to page, independent of the engine's own alerts: a
// counter says how a use was first judged, so an amendment is not in it, and it starts again at 0 with the process.
//
// The package is pure: a contract in, rules out.
package rules
